// Whatever happens to the network, by whomever, the mirror shows it.
#include "vrrp/kernel/interfaces.h"

#include <fstream>

#include "test/unit/base/temp_dir.h"
#include "test/unit/vrrp/kernel_fixture.h"

namespace sluice::vrrp {
namespace {

class InterfacesTest : public test::InterfacesFixture {
 protected:
  /// More notifications than its socket has room for, while nobody reads them: of `first` the kernel can
  /// still tell, not of `last`.
  void overrun(const std::string& first, const std::string& last) {
    const std::string batch = files_.file("batch");
    std::ofstream out(batch);
    for (int i = 0; i < 5'500; ++i) {
      if (i == 500) out << first << '\n';
      out << "link set far mtu " << 1300 + i % 2 << '\n';
    }
    out << last << '\n';
    out.close();
    run("ip -batch " + batch);
  }
  base::test::TempDir files_;
};

TEST_F(InterfacesTest, KnowsWhatThereWasBeforeIt) {
  run("ip address add 192.0.2.1/24 dev lan");
  auto late = Interfaces::start(*loop_, [](const Event&) { FAIL() << "the first picture has no events"; });
  ASSERT_TRUE(late);
  const Interface* lan = (*late)->by_name("lan");
  ASSERT_NE(lan, nullptr);
  EXPECT_TRUE(lan->up);
  EXPECT_TRUE(lan->running);
  EXPECT_EQ(lan->kind, "veth");
  EXPECT_EQ(lan->mtu, 1500U);
  EXPECT_FALSE(lan->mac.is_zero());
  EXPECT_EQ((*late)->by_index(lan->index), lan);
  EXPECT_TRUE((*late)->has(lan->index, test::ip("192.0.2.1")));
  EXPECT_FALSE((*late)->has((*late)->by_name("far")->index, test::ip("192.0.2.1")));
  EXPECT_EQ((*late)->by_name("wan"), nullptr);
}

TEST_F(InterfacesTest, HearsOfDownUpAndOfALinkThatIsLost) {
  run("ip link set far down");
  EXPECT_TRUE(until([&] { return !link("lan").running; }));
  EXPECT_TRUE(link("lan").up);
  ASSERT_GE(heard_of(Kind::changed, "lan"), 1U);
  run("ip link set far up");
  ASSERT_TRUE(until([&] { return link("lan").running; }));
  run("ip link set lan down");
  EXPECT_FALSE(link("lan").up);
  ASSERT_FALSE(events_.empty());
  const auto down = std::ranges::find_if(
      events_, [](const Event& event) { return event.interface.name == "lan" && !event.interface.up; });
  ASSERT_NE(down, events_.end());
  EXPECT_EQ(down->kind, Kind::changed);
  EXPECT_TRUE(down->before.usable());
}

TEST_F(InterfacesTest, HearsOfAddressesThatAreFlushed) {
  run("ip address add 192.0.2.1/24 dev lan");
  run("ip address add 2001:db8::1/64 dev lan nodad");
  EXPECT_TRUE(has("lan", "192.0.2.1"));
  EXPECT_TRUE(until([&] { return has("lan", "2001:db8::1"); }));
  EXPECT_EQ(heard_of(Kind::address_added, "lan"), 2U);
  run("ip address flush dev lan");
  EXPECT_FALSE(has("lan", "192.0.2.1"));
  EXPECT_FALSE(has("lan", "2001:db8::1"));
  EXPECT_EQ(heard_of(Kind::address_removed, "lan"), 2U);
}

TEST_F(InterfacesTest, KnowsARenamedInterfaceByItsNewNameOnly) {
  run("ip address add 192.0.2.1/24 dev lan");
  const std::uint32_t index = link("lan").index;
  run("ip link set lan down");
  run("ip link set lan name wan");
  EXPECT_EQ(link("wan").index, index);
  EXPECT_EQ(interfaces_->by_name("lan"), nullptr);
  EXPECT_TRUE(has("wan", "192.0.2.1"));
}

TEST_F(InterfacesTest, ForgetsADeletedInterfaceAndKnowsTheNextOfItsName) {
  run("ip address add 192.0.2.1/24 dev lan");
  const std::uint32_t before = link("lan").index;
  events_.clear();
  run("ip link delete lan");
  interfaces_->drain();
  EXPECT_EQ(interfaces_->by_name("lan"), nullptr);
  EXPECT_EQ(interfaces_->by_index(before), nullptr);
  EXPECT_TRUE(interfaces_->addresses(before).empty());
  EXPECT_FALSE(interfaces_->has(test::ip("192.0.2.1")));
  EXPECT_EQ(heard_of(Kind::deleted, "lan"), 1U);
  add_pair("lan", "far");
  EXPECT_NE(link("lan").index, before);
  EXPECT_EQ(heard_of(Kind::added, "lan"), 1U);
  EXPECT_FALSE(has("lan", "192.0.2.1"));
}

/// The kernel lets one IPv4 address be there with several prefix lengths.
TEST_F(InterfacesTest, AnAddressIsThereUntilTheLastOfItsPrefixesIsGone) {
  run("ip address add 192.0.2.1/24 dev lan");
  run("ip address add 192.0.2.1/32 dev lan");
  run("ip address delete 192.0.2.1/32 dev lan");
  EXPECT_TRUE(has("lan", "192.0.2.1"));
  EXPECT_EQ(heard_of(Kind::address_removed, "lan"), 0U);
  run("ip address add 192.0.2.1/32 dev lan");
  run("ip address delete 192.0.2.1/24 dev lan");
  EXPECT_TRUE(has("lan", "192.0.2.1"));
  ASSERT_TRUE(interfaces_->remove_address(link("lan"), test::ip("192.0.2.1")));
  EXPECT_FALSE(has("lan", "192.0.2.1"));
  EXPECT_EQ(heard_of(Kind::address_removed, "lan"), 1U);
}

TEST_F(InterfacesTest, TakesAnAddressAwayWithAllItsPrefixes) {
  run("ip address add 192.0.2.1/24 dev lan");
  run("ip address add 192.0.2.1/32 dev lan");
  interfaces_->drain();
  ASSERT_TRUE(interfaces_->remove_address(link("lan"), test::ip("192.0.2.1")));
  EXPECT_FALSE(has("lan", "192.0.2.1"));
  run("! ip -o address show dev lan | grep -q 192.0.2.1");
}

TEST_F(InterfacesTest, AddsAndRemovesAddressesAndTakesWhatIsSoAlreadyForDone) {
  for (const char* address : {"192.0.2.10/24", "2001:db8::10/64"}) {
    const base::Prefix wanted = prefix(address);
    ASSERT_TRUE(interfaces_->add_address(link("lan"), wanted));
    EXPECT_TRUE(interfaces_->add_address(link("lan"), wanted)) << address << " is there already";
    interfaces_->drain();
    ASSERT_TRUE(interfaces_->has(link("lan").index, wanted.address));
    EXPECT_TRUE(until([&] { return interfaces_->addresses(link("lan").index).at(wanted.address).usable(); }));
    ASSERT_TRUE(interfaces_->remove_address(link("lan"), wanted.address));
    interfaces_->drain();
    EXPECT_FALSE(interfaces_->has(wanted.address));
    EXPECT_TRUE(interfaces_->remove_address(link("lan"), wanted.address)) << address << " is gone already";
  }
}

TEST_F(InterfacesTest, AnAddressThatSomeoneElseTookAwayMeanwhileIsNoError) {
  const Interface lan = link("lan");
  ASSERT_TRUE(interfaces_->add_address(lan, prefix("192.0.2.10/24")));
  interfaces_->drain();
  run("ip address flush dev lan");
  ASSERT_TRUE(interfaces_->has(lan.index, test::ip("192.0.2.10"))) << "not heard yet";
  EXPECT_TRUE(interfaces_->remove_address(lan, test::ip("192.0.2.10")));
}

TEST_F(InterfacesTest, NamesTheAddressThatCannotBeAdded) {
  const Interface gone = link("lan");
  run("ip link delete lan");
  const auto added = interfaces_->add_address(gone, prefix("192.0.2.10/24"));
  ASSERT_FALSE(added);
  EXPECT_TRUE(added.error().message.starts_with("address 192.0.2.10/24 on lan: ")) << added.error().message;
}

/// Of IPv6; a virtual address is to be no source of the host's own connections.
TEST_F(InterfacesTest, AnAddedAddressIsNotPreferredAsSource) {
  run("ip address add 2001:db8::1/64 dev lan nodad");
  ASSERT_TRUE(until([&] { return has("lan", "2001:db8::1"); }));  // the kernel tells from a work queue
  ASSERT_TRUE(interfaces_->add_address(link("lan"), prefix("2001:db8::10/64")));
  ASSERT_TRUE(has("lan", "2001:db8::10"));
  const auto& addresses = interfaces_->addresses(link("lan").index);
  EXPECT_TRUE(addresses.at(test::ip("2001:db8::10")).second_choice());
  EXPECT_FALSE(addresses.at(test::ip("2001:db8::1")).second_choice());
}

TEST_F(InterfacesTest, AnAddressWhoseUniquenessIsInDoubtIsToldAgainWhenItIsUsable) {
  run("ip address add 2001:db8::1/64 dev lan");
  ASSERT_TRUE(until([&] { return has("lan", "2001:db8::1"); }));
  ASSERT_FALSE(interfaces_->addresses(link("lan").index).at(test::ip("2001:db8::1")).usable());
  EXPECT_EQ(heard_of(Kind::address_added, "lan"), 1U);
  ASSERT_TRUE(until([&] {
    return interfaces_->addresses(interfaces_->by_name("lan")->index).at(test::ip("2001:db8::1")).usable();
  }));
  EXPECT_EQ(heard_of(Kind::address_added, "lan"), 1U);
}

TEST_F(InterfacesTest, ReadsAllAnewWhenTheKernelDroppedNotifications) {
  run("ip address add 192.0.2.1/24 dev lan");
  run("ip address add 2001:db8::1/64 dev lan");
  ASSERT_TRUE(has("lan", "192.0.2.1"));
  ASSERT_FALSE(interfaces_->addresses(link("lan").index).at(test::ip("2001:db8::1")).usable());
  add_pair("old", "old-far");
  ASSERT_TRUE(until([&] { return link("old").running; }));
  events_.clear();
  // Whoever believes what is left of the old news sees a ghost.
  overrun("address add 192.0.2.66/24 dev lan", "address delete 192.0.2.66/24 dev lan");
  run("ip link delete old");
  run("ip link add new type veth peer name new-far");
  run("ip address delete 192.0.2.1/24 dev lan");
  run("ip address add 192.0.2.2/24 dev lan");
  run("until ip -6 address show dev lan | grep -q 2001:db8::1 &&"
      " ! ip -6 address show dev lan | grep -q tentative; do :; done");
  ASSERT_EQ(interfaces_->resyncs(), 0U);
  ASSERT_TRUE(until([&] { return interfaces_->resyncs() > 0; }));
  while (loop_->run_once(std::chrono::milliseconds(0))) {
  }
  EXPECT_EQ(interfaces_->by_name("old"), nullptr);
  EXPECT_NE(interfaces_->by_name("new"), nullptr);
  EXPECT_FALSE(interfaces_->has(test::ip("192.0.2.1")));
  EXPECT_FALSE(interfaces_->has(test::ip("192.0.2.66")));
  EXPECT_TRUE(has("lan", "192.0.2.2"));
  const auto told = [&](Kind kind, const std::string& name, const char* address = nullptr) {
    return std::ranges::count_if(events_, [&](const Event& event) {
      return event.kind == kind && event.interface.name == name &&
             (address == nullptr || event.address.address == test::ip(address));
    });
  };
  EXPECT_EQ(told(Kind::deleted, "old"), 1);
  EXPECT_EQ(told(Kind::added, "new"), 1);
  EXPECT_GE(told(Kind::changed, "far"), 1);
  EXPECT_EQ(told(Kind::address_removed, "lan", "192.0.2.1"), 1);
  EXPECT_EQ(told(Kind::address_added, "lan", "192.0.2.2"), 1);
  EXPECT_EQ(told(Kind::address_added, "lan", "2001:db8::1"), 1) << "its uniqueness is no more in doubt";
}

}  // namespace
}  // namespace sluice::vrrp
