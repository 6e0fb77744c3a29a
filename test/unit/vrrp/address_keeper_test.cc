// Who holds addresses has them, whoever takes them away; who does not hold them has them not.
#include "vrrp/kernel/address_keeper.h"

#include <gmock/gmock.h>

#include "test/unit/vrrp/kernel_fixture.h"

namespace sluice::vrrp {
namespace {

using namespace std::chrono_literals;  // NOLINT: of a test
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AddressKeeperTest : public test::InterfacesFixture {
 protected:
  static constexpr InstanceId kA{1}, kB{2};
  static constexpr const char* kVip = "192.0.2.10";

  void SetUp() override {
    InterfacesFixture::SetUp();
    if (IsSkipped()) return;
    start(AddressKeeper::kLifetime);
  }
  void start(std::chrono::seconds lifetime) {
    keeper_.emplace(
        *interfaces_, [this](base::log::Level, std::string line) { said_.push_back(line); }, lifetime);
  }
  /// As the kernel says it.
  std::chrono::seconds lifetime_of(const char* address) {
    return interfaces_->addresses(link("lan").index).at(test::ip(address)).lifetime;
  }
  void heard(const Event& event) override {
    if (keeper_ && event.kind == Kind::address_removed)
      keeper_->lost(event.interface.name, event.address.address);
  }
  void set(InstanceId id, const std::vector<config::VrrpAddress>& addresses) {
    keeper_->set(id, id == kA ? "A" : "B", addresses);
  }
  static config::VrrpAddress vip(const std::string& interface = "lan",
                                 const char* address = "192.0.2.10/24") {
    return {prefix(address), interface};
  }
  std::vector<AddressKeeper::Added> settle() {
    interfaces_->drain();
    next_.reset();
    return keeper_->settle(now_, next_);
  }
  /// A holds its addresses and has them.
  void hold() {
    set(kA, {vip()});
    keeper_->hold(kA, true);
    (void)settle();
    ASSERT_TRUE(has("lan", kVip));
  }

  std::optional<AddressKeeper> keeper_;
  std::vector<std::string> said_;
  Time now_{};
  std::optional<Time> next_;
};

TEST_F(AddressKeeperTest, GivesAHolderItsAddressesAndTakesThemAwayAfterwards) {
  set(kA, {vip(), vip("lan", "2001:db8::10/64"), vip("far", "198.51.100.10/32")});
  EXPECT_THAT(settle(), IsEmpty()) << "nobody holds them";
  keeper_->hold(kA, true);
  const auto added = settle();
  ASSERT_EQ(added.size(), 3U);
  for (const auto& one : added) {
    EXPECT_EQ(one.instance, kA);
    EXPECT_FALSE(one.repaired);
    EXPECT_TRUE(interfaces_->has(one.index, one.address));
  }
  EXPECT_TRUE(has("lan", kVip));
  EXPECT_TRUE(has("lan", "2001:db8::10"));
  EXPECT_TRUE(has("far", "198.51.100.10"));
  EXPECT_THAT(keeper_->missing(kA), IsEmpty());
  EXPECT_THAT(settle(), IsEmpty()) << "once is enough";

  keeper_->hold(kA, false);
  EXPECT_FALSE(keeper_->settled());
  (void)settle();
  EXPECT_FALSE(has("lan", kVip));
  EXPECT_FALSE(has("lan", "2001:db8::10"));
  EXPECT_FALSE(has("far", "198.51.100.10"));
  EXPECT_TRUE(keeper_->settled());
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(AddressKeeperTest, PutsBackAtOnceWhatWasDeletedByHandAndThenOnceASecond) {
  hold();
  run("ip address delete 192.0.2.10/24 dev lan");
  const auto first = settle();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_TRUE(first[0].repaired);
  EXPECT_TRUE(has("lan", kVip));
  EXPECT_EQ(keeper_->repaired(kA), 1U);
  EXPECT_THAT(said_,
              ElementsAre("(A) 192.0.2.10/24 was taken away from lan by someone else; it is put back"));

  run("ip address delete 192.0.2.10/24 dev lan");
  now_ += 999ms;
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_FALSE(has("lan", kVip));
  EXPECT_EQ(next_, now_ + 1ms);
  EXPECT_THAT(keeper_->missing(kA), ElementsAre("192.0.2.10/24 dev lan"));
  now_ += 1ms;
  EXPECT_EQ(settle().size(), 1U);
  EXPECT_TRUE(has("lan", kVip));
  EXPECT_EQ(keeper_->repaired(kA), 2U);
}

TEST_F(AddressKeeperTest, WhatSomeoneElsePutsBackIsNoRepair) {
  hold();
  run("ip address delete 192.0.2.10/24 dev lan");
  run("ip address add 192.0.2.10/24 dev lan");
  EXPECT_THAT(settle(), IsEmpty());
  keeper_->hold(kA, false);
  (void)settle();
  keeper_->hold(kA, true);
  const auto again = settle();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_FALSE(again[0].repaired);
  EXPECT_EQ(keeper_->repaired(kA), 0U);
}

TEST_F(AddressKeeperTest, TakesLeftOverAddressesOverWithoutRemovingThem) {
  run("ip address add 192.0.2.10/24 dev lan");
  set(kA, {vip()});
  interfaces_->drain();
  events_.clear();
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_TRUE(has("lan", kVip)) << "nobody has judged yet";
  keeper_->hold(kA, true);
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_TRUE(has("lan", kVip));
  EXPECT_EQ(heard_of(Kind::address_removed, "lan"), 0U);
  EXPECT_EQ(keeper_->repaired(kA), 0U);
}

TEST_F(AddressKeeperTest, RemovesLeftOverAddressesOfWhoIsJudgedToBeABackup) {
  run("ip address add 192.0.2.10/32 dev lan");  // configured otherwise then
  set(kA, {vip()});
  keeper_->hold(kA, false);
  (void)settle();
  EXPECT_FALSE(has("lan", kVip));
}

TEST_F(AddressKeeperTest, LeavesAddressesAloneThatNobodyLists) {
  run("ip address add 192.0.2.77/24 dev lan");
  hold();
  keeper_->hold(kA, false);
  (void)settle();
  EXPECT_TRUE(has("lan", "192.0.2.77"));
  EXPECT_FALSE(keeper_->knows(test::ip("192.0.2.77")));
  EXPECT_TRUE(keeper_->knows(test::ip(kVip)));
}

TEST_F(AddressKeeperTest, TakesAnAddressAwayFromAnInterfaceThatIsRenamed) {
  hold();
  run("ip link set lan down");
  run("ip link set lan name wan up");
  (void)settle();
  EXPECT_FALSE(has("wan", kVip));
  add_pair("lan", "far2");
  EXPECT_EQ(settle().size(), 1U);
  EXPECT_TRUE(has("lan", kVip));
}

TEST_F(AddressKeeperTest, TakesALeftOverAddressAwayFromAnInterfaceThatIsRenamedLater) {
  run("ip address add 192.0.2.10/24 dev lan");
  hold();
  run("ip link set lan down");
  run("ip link set lan name wan up");
  (void)settle();
  EXPECT_FALSE(has("wan", kVip));
}

TEST_F(AddressKeeperTest, LeavesARenamedInterfaceAnAddressThatItIsToHaveUnderBothNames) {
  set(kA, {vip("lan"), vip("wan")});
  keeper_->hold(kA, true);
  (void)settle();
  run("ip link set lan down");
  run("ip link set lan name wan up");
  interfaces_->drain();
  events_.clear();
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_TRUE(has("wan", kVip));
  EXPECT_EQ(heard_of(Kind::address_removed, "wan"), 0U);
}

TEST_F(AddressKeeperTest, AnInterfaceThatIsDeletedAndMadeAnewGetsItsAddressBack) {
  hold();
  run("ip link delete lan");
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_THAT(keeper_->missing(kA), ElementsAre("192.0.2.10/24 dev lan"));
  add_pair("lan", "far");
  const auto added = settle();
  ASSERT_EQ(added.size(), 1U);
  EXPECT_EQ(added[0].index, link("lan").index);
  EXPECT_TRUE(has("lan", kVip));
}

TEST_F(AddressKeeperTest, WaitsForAnInterfaceThatIsDown) {
  hold();
  run("ip link set lan down");
  run("ip address delete 192.0.2.10/24 dev lan");
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_FALSE(has("lan", kVip));
  run("ip link set lan up");
  EXPECT_EQ(settle().size(), 1U);
  EXPECT_TRUE(has("lan", kVip));
}

TEST_F(AddressKeeperTest, AnAddressThatTwoInstancesListStaysUntilNeitherHoldsIt) {
  for (const InstanceId id : {kA, kB}) {
    set(id, {vip()});
    keeper_->hold(id, true);
  }
  EXPECT_EQ(settle().size(), 1U) << "one address, added once";
  events_.clear();
  keeper_->hold(kA, false);
  EXPECT_THAT(settle(), IsEmpty());
  keeper_->forget(kA);
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_EQ(heard_of(Kind::address_removed, "lan"), 0U);
  EXPECT_TRUE(has("lan", kVip));
  keeper_->hold(kB, false);
  (void)settle();
  EXPECT_FALSE(has("lan", kVip));
}

TEST_F(AddressKeeperTest, AReloadTakesAwayWhatIsListedNoMoreAndOnlyThat) {
  set(kA, {vip(), vip("lan", "192.0.2.11/24")});
  keeper_->hold(kA, true);
  (void)settle();
  events_.clear();
  set(kA, {vip(), vip("lan", "192.0.2.12/24")});
  EXPECT_EQ(settle().size(), 1U);
  EXPECT_TRUE(has("lan", kVip));
  EXPECT_FALSE(has("lan", "192.0.2.11"));
  EXPECT_TRUE(has("lan", "192.0.2.12"));
  EXPECT_EQ(heard_of(Kind::address_removed, "lan"), 1U);
  keeper_->forget(kA);
  (void)settle();
  EXPECT_FALSE(has("lan", kVip));
  EXPECT_FALSE(has("lan", "192.0.2.12"));
  (void)settle();  // as after any change
  EXPECT_FALSE(keeper_->knows(test::ip(kVip)));
}

TEST_F(AddressKeeperTest, AReloadChangesThePrefixLengthOfWhatIsThere) {
  for (const char* vip_text : {"192.0.2.10/24", "2001:db8::10/64"}) {
    const base::Prefix before = prefix(vip_text);
    const base::Prefix after{before.address, static_cast<std::uint8_t>(before.length + 2)};
    keeper_->set(kA, "A", {{before, "lan"}});
    keeper_->hold(kA, true);
    (void)settle();
    keeper_->set(kA, "A", {{after, "lan"}});
    const auto added = settle();
    ASSERT_EQ(added.size(), 1U);
    EXPECT_FALSE(added[0].repaired);
    interfaces_->drain();
    EXPECT_EQ(interfaces_->addresses(link("lan").index).at(after.address).prefix_length, after.length);
    EXPECT_THAT(settle(), IsEmpty());
  }
  EXPECT_THAT(said_, IsEmpty());
}

/// An owner's address is the host's own.
TEST_F(AddressKeeperTest, LeavesAnAddressThatWasThereWithItsPrefixLength) {
  run("ip address add 192.0.2.10/28 dev lan");
  hold();
  (void)settle();
  EXPECT_EQ(interfaces_->addresses(link("lan").index).at(test::ip(kVip)).prefix_length, 28);
}

TEST_F(AddressKeeperTest, NeverTakesAnOwnerTheHostsOwnAddressAway) {
  run("ip address add 192.0.2.10/24 dev lan");
  keeper_->set(kA, "A", {vip(), vip("lan", "192.0.2.11/24")}, true);
  keeper_->hold(kA, true);
  EXPECT_EQ(settle().size(), 1U);
  keeper_->hold(kA, false);
  (void)settle();
  EXPECT_TRUE(has("lan", kVip));
  EXPECT_FALSE(has("lan", "192.0.2.11")) << "that one was ours";
  EXPECT_TRUE(keeper_->settled());
  keeper_->hold(kA, true);
  keeper_->set(kA, "A", {vip("lan", "192.0.2.10/28")}, true);  // a reload
  (void)settle();
  EXPECT_EQ(interfaces_->addresses(link("lan").index).at(test::ip(kVip)).prefix_length, 24);
  run("ip link set lan down");
  run("ip link set lan name wan up");
  (void)settle();
  EXPECT_TRUE(has("wan", kVip));
  run("ip link set wan down");
  run("ip link set wan name lan up");
  keeper_->forget(kA);
  (void)settle();
  EXPECT_TRUE(has("lan", kVip));
  EXPECT_FALSE(keeper_->knows(test::ip(kVip)));
}

TEST_F(AddressKeeperTest, AddsNothingForWhoseFootingIsBad) {
  set(kA, {vip()});
  keeper_->hold(kA, true);
  keeper_->withhold(kA, true);
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_FALSE(has("lan", kVip));
  keeper_->withhold(kA, false);
  EXPECT_EQ(settle().size(), 1U);
  keeper_->withhold(kA, true);
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_TRUE(has("lan", kVip)) << "whether it goes is the speaker's to say";
}

TEST_F(AddressKeeperTest, SaysOnceWhatCannotBeAddedAndTriesAgainEachSecond) {
  run("echo 1 > /proc/sys/net/ipv6/conf/lan/disable_ipv6");
  set(kA, {vip("lan", "2001:db8::10/64")});
  keeper_->hold(kA, true);
  for (int second = 0; second < 3; ++second) {
    EXPECT_THAT(settle(), IsEmpty());
    EXPECT_EQ(next_, now_ + 1s);
    now_ += 1s;
  }
  EXPECT_THAT(said_, ElementsAre(HasSubstr("address 2001:db8::10/64 on lan: ")));
  EXPECT_THAT(keeper_->missing(kA), ElementsAre("2001:db8::10/64 dev lan"));
  run("echo 0 > /proc/sys/net/ipv6/conf/lan/disable_ipv6");
  EXPECT_EQ(settle().size(), 1U);
  EXPECT_TRUE(has("lan", "2001:db8::10"));
}

TEST_F(AddressKeeperTest, WhatTheKernelRefusesAgainAndAgainIsNotItsHoldersForLongerAndLonger) {
  run("echo 1 > /proc/sys/net/ipv6/conf/lan/disable_ipv6");
  set(kA, {vip(), vip("lan", "2001:db8::10/64")});
  set(kB, {vip()});
  keeper_->hold(kA, true);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    EXPECT_EQ(keeper_->refused(kA, now_), std::nullopt) << attempt;
    (void)settle();
    now_ += 1s;
  }
  for (const auto pause : {5s, 10s, 20s}) {
    EXPECT_THAT(keeper_->refused(kA, now_), testing::Optional(HasSubstr("address 2001:db8::10/64 on lan: ")));
    EXPECT_EQ(keeper_->refused(kB, now_), std::nullopt);
    keeper_->hold(kA, false);
    keeper_->withhold(kA, true);
    (void)settle();
    EXPECT_EQ(next_, now_ + pause - 1s) << "it is to be looked at again then";
    now_ += pause - 1s;
    EXPECT_EQ(keeper_->refused(kA, now_), std::nullopt);
    keeper_->hold(kA, true);
    keeper_->withhold(kA, false);
    (void)settle();
    now_ += 1s;
  }
  now_ += 40s;
  run("echo 0 > /proc/sys/net/ipv6/conf/lan/disable_ipv6");
  EXPECT_EQ(settle().size(), 1U);
  EXPECT_EQ(keeper_->refused(kA, now_), std::nullopt);
}

TEST_F(AddressKeeperTest, TheKernelTakesAwayWhatNobodyRenews) {
  run("ip address add 192.0.2.1/24 dev lan");
  run("ip address add 2001:db8::1/64 dev lan nodad");
  start(1s);
  set(kA, {vip(), vip("lan", "2001:db8::10/64")});
  keeper_->hold(kA, true);
  EXPECT_EQ(settle().size(), 2U);
  keeper_.reset();  // killed
  EXPECT_TRUE(until([&] { return !has("lan", kVip) && !has("lan", "2001:db8::10"); }));
  run("ip route show dev lan | grep -q 192.0.2.0/24");
  run("ip -6 route show dev lan | grep 2001:db8::/64 | grep -vq expires");
}

/// Of an address without a network of its own (DHCPv6), and of a router's advertisement.
TEST_F(AddressKeeperTest, DoesNotShortenTheRouteOfOthers) {
  run("ip address add 2001:db8::1/128 dev lan nodad");
  run("ip -6 route add 2001:db8::/64 dev lan proto ra metric 256 expires 1000");
  set(kA, {vip("lan", "2001:db8::10/64")});
  keeper_->hold(kA, true);
  for (int i = 0; i < 3; ++i) {
    (void)settle();
    run("ip -6 route show dev lan | grep '2001:db8::/64' | grep -Eq 'expires (9[0-9][0-9]|1000)sec'");
    now_ += AddressKeeper::kLifetime / 3;
  }
}

TEST_F(AddressKeeperTest, GivesItselfARouteWhenThatOfOthersIsGone) {
  run("ip address add 2001:db8::1/64 dev lan nodad");
  set(kA, {vip("lan", "2001:db8::10/64")});
  keeper_->hold(kA, true);
  (void)settle();
  run("ip -6 route show dev lan | grep 2001:db8::/64 | grep -vq expires");
  run("ip address delete 2001:db8::1/64 dev lan");
  run("ip -6 route flush 2001:db8::/64 dev lan");
  now_ += AddressKeeper::kLifetime / 3;
  (void)settle();
  run("ip -6 route show dev lan | grep -q 2001:db8::/64");
}

TEST_F(AddressKeeperTest, RenewsWhatItHoldsAndWhatAKilledOneHasLeft) {
  start(1s);
  set(kA, {vip(), vip("lan", "2001:db8::10/64")});
  keeper_->hold(kA, true);
  (void)settle();
  start(1s);
  set(kA, {vip(), vip("lan", "2001:db8::10/64")});
  keeper_->hold(kA, true);
  events_.clear();
  const auto began = Clock::now();
  ASSERT_TRUE(until([&] {
    now_ = Time(Clock::now() - began);
    EXPECT_THAT(settle(), IsEmpty());
    return now_ > Time(4s);
  }));
  EXPECT_TRUE(has("lan", kVip));
  EXPECT_TRUE(has("lan", "2001:db8::10"));
  EXPECT_EQ(heard_of(Kind::address_removed, "lan"), 0U);
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(AddressKeeperTest, NeitherRenewsNorShortensWhatTheKernelKeepsForLonger) {
  run("ip address add 192.0.2.10/24 dev lan");
  run("ip address add 2001:db8::10/64 dev lan nodad valid_lft 1000 preferred_lft 1000");
  set(kA, {vip(), vip("lan", "2001:db8::10/64")});
  keeper_->hold(kA, true);
  (void)settle();
  EXPECT_EQ(next_, std::nullopt);
  EXPECT_EQ(lifetime_of(kVip), kForever);
  EXPECT_GT(lifetime_of("2001:db8::10"), 900s);
}

TEST_F(AddressKeeperTest, WantsToBeCalledInTimeToRenew) {
  hold();
  EXPECT_EQ(lifetime_of(kVip), AddressKeeper::kLifetime);
  EXPECT_EQ(next_, now_ + AddressKeeper::kLifetime / 3);
}

}  // namespace
}  // namespace sluice::vrrp
