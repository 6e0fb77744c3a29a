// The kernel side between its boxes: the kernel on one side, main and the speaker played by the test.
#include "vrrp/kernel_side.h"

#include <algorithm>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <thread>

#include "test/unit/vrrp/kernel_fixture.h"

namespace sluice::vrrp {
namespace {

using namespace std::chrono_literals;  // NOLINT: of a test
using testing::IsEmpty;

class KernelSideTest : public test::KernelTest {
 protected:
  static constexpr InstanceId kA{1}, kB{2};
  static constexpr ListenerId kLan{1}, kWan{2};

  /// What main and the speaker know of an instance, by what they were told.
  struct Known {
    std::optional<Footing> footing;  ///< the last one
    std::optional<config::VrrpTrouble> trouble;
    int senders = 0;
  };

  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped()) return;
    add_pair("wan", "wan-far");
    run("ip address add 192.0.2.1/24 dev lan");
    run("ip address add 198.51.100.1/24 dev wan");
    auto made = KernelSide::create({*from_main_, orders_, *to_speaker_, *to_main_});
    ASSERT_TRUE(made) << made.error().message;
    side_ = *std::move(made);
  }
  void TearDown() override {
    if (side_) side_->finish();
    if (thread_.joinable()) thread_.join();
  }

  config::VrrpInstance instance(const std::string& name, const std::string& interface, const char* vip) {
    config::VrrpInstance out;
    out.name = name;
    out.interface = interface;
    out.virtual_router_id = name == "A" ? 61 : 62;
    out.addresses = {{prefix(vip), interface}};
    out.advert_int = 100s;  // the time limit of what is left over: never, unless a test says so
    return out;
  }
  config::VrrpInstance a() { return instance("A", "lan", "192.0.2.10/24"); }
  config::VrrpInstance b() { return instance("B", "wan", "198.51.100.10/24"); }

  config::VrrpInstance six() {
    config::VrrpInstance out = instance("A", "lan", "2001:db8::10/64");
    out.family = base::Family::v6;
    out.version = config::VrrpVersion::v3;
    return out;
  }

  void work(const std::vector<config::VrrpInstance>& instances, std::set<std::string> tracked = {}) {
    KernelWork message;
    for (const config::VrrpInstance& config : instances) {
      const bool first = config.name == "A";
      const ListenerId listener = first ? kLan : kWan;
      message.instances.push_back({first ? kA : kB, listener, config, first ? a_ : b_});
      message.listeners[listener] = {config.interface, config.family};
    }
    message.tracked = std::move(tracked);
    say(std::move(message));
    if (!thread_.joinable()) thread_ = std::thread([this] { side_->run(); });  // in our network namespace
  }
  void say(ToKernel message) { ASSERT_TRUE(from_main_->put(std::move(message))); }
  /// The speaker's word.
  void judge(const std::shared_ptr<Orders>& orders, bool hold) {
    orders->hold(hold);
    orders->decided();
    orders_.ring();
  }

  void read_boxes() {
    to_speaker_->wake().clear();
    to_main_->wake().clear();
    while (auto message = to_speaker_->take()) {
      if (auto* socket = std::get_if<ListenerSocket>(&*message)) listeners_[socket->id] = std::move(*socket);
      if (auto* footing = std::get_if<Footing>(&*message)) {
        Known& known = known_[footing->id];
        known.senders += footing->new_sender ? 1 : 0;
        known.footing = std::move(*footing);
      }
    }
    while (auto message = to_main_->take()) {
      if (auto* line = std::get_if<KernelLine>(&*message)) lines_.push_back(line->text);
      if (auto* news = std::get_if<KernelTrouble>(&*message)) known_[news->id].trouble = news->trouble;
      if (auto* tracked = std::get_if<TrackedInterface>(&*message)) tracked_[tracked->name] = *tracked;
      if (auto* status = std::get_if<KernelStatus>(&*message)) status_ = *status;
      done_ = done_ || std::holds_alternative<KernelDone>(*message);
    }
  }
  /// Reads what the kernel side says, until it is so.
  bool until(const std::function<bool()>& condition) {
    const auto end = Clock::now() + kPatience;
    for (;;) {
      read_boxes();
      if (condition()) return true;
      if (Clock::now() > end) return false;
      pollfd boxes[] = {{to_speaker_->wake().fd(), POLLIN, 0}, {to_main_->wake().fd(), POLLIN, 0}};
      ::poll(boxes, 2, 10);
    }
  }
  bool sound(InstanceId id) {
    return until([&] { return known_[id].footing && !known_[id].footing->faulty && !known_[id].trouble; });
  }
  bool faulty(InstanceId id, const std::string& reason) {
    const bool so = until([&] {
      const Known& known = known_[id];
      return known.footing && known.footing->faulty && known.trouble && known.trouble->reason == reason;
    });
    if (!so && known_[id].trouble) ADD_FAILURE() << "but: " << known_[id].trouble->reason;
    return so;
  }
  KernelInstanceStatus status(InstanceId id) {
    status_.reset();
    say(FillKernelStatus{});
    EXPECT_TRUE(until([&] { return status_.has_value(); }));
    return status_ ? status_->instances[id] : KernelInstanceStatus{};
  }
  static bool there(const std::string& address, const std::string& interface) {
    return std::system(("ip -o address show dev " + interface + " 2>/dev/null | grep -q ' " + address + "/'")
                           .c_str()) == 0;
  }
  bool open(ListenerId id) { return static_cast<bool>(listeners_[id].fd); }
  bool said(const std::string& line) { return std::ranges::find(lines_, line) != lines_.end(); }

  std::unique_ptr<KernelBox> from_main_ = *KernelBox::make();
  std::unique_ptr<FootingBox> to_speaker_ = *FootingBox::make();
  std::unique_ptr<NewsBox> to_main_ = *NewsBox::make();
  Wake orders_ = *Wake::make();
  std::shared_ptr<Orders> a_ = std::make_shared<Orders>(), b_ = std::make_shared<Orders>();
  std::map<InstanceId, Known> known_;
  std::map<ListenerId, ListenerSocket> listeners_;
  std::map<std::string, TrackedInterface> tracked_;
  std::vector<std::string> lines_;
  std::optional<KernelStatus> status_;
  bool done_ = false;
  std::unique_ptr<KernelSide> side_;
  std::thread thread_;
};

TEST_F(KernelSideTest, GivesEachInstanceItsSockets) {
  work({a(), b()});
  ASSERT_TRUE(sound(kA));
  ASSERT_TRUE(sound(kB));
  EXPECT_EQ(known_[kA].footing->source, test::ip("192.0.2.1"));
  EXPECT_EQ(known_[kB].footing->source, test::ip("198.51.100.1"));
  EXPECT_TRUE(known_[kA].footing->new_sender);
  EXPECT_TRUE(known_[kA].footing->sender);
  EXPECT_NE(known_[kA].footing->index, known_[kB].footing->index);
  EXPECT_TRUE(open(kLan));
  EXPECT_TRUE(open(kWan));
  EXPECT_EQ(status(kA).source, "192.0.2.1");
}

TEST_F(KernelSideTest, ASocketThatIsLostWithItsInterfaceIsMadeAnew) {
  work({a(), b()});
  ASSERT_TRUE(sound(kA));
  ASSERT_TRUE(sound(kB));
  const std::uint32_t before = known_[kA].footing->index;
  run("ip link delete lan");
  ASSERT_TRUE(faulty(kA, "interface lan does not exist"));
  EXPECT_TRUE(until([&] { return !open(kLan); }));
  EXPECT_TRUE(until([&] { return said("Interface lan deleted"); }));
  add_pair("lan", "far");
  ASSERT_TRUE(faulty(kA, "interface lan has no IPv4 address to send from"));
  run("ip address add 192.0.2.2/24 dev lan");
  ASSERT_TRUE(sound(kA));
  EXPECT_EQ(known_[kA].senders, 2);
  EXPECT_NE(known_[kA].footing->index, before);
  EXPECT_EQ(known_[kA].footing->source, test::ip("192.0.2.2"));
  EXPECT_TRUE(known_[kA].footing->link_came_up) << "though what was missing in the end was an address";
  EXPECT_TRUE(until([&] { return open(kLan); }));
  EXPECT_EQ(known_[kB].senders, 1) << "the other one is none the wiser";
  EXPECT_TRUE(open(kWan));
  EXPECT_FALSE(known_[kB].trouble);
}

TEST_F(KernelSideTest, NamesWhatStandsInTheWayUntilItIsGone) {
  work({a()});
  ASSERT_TRUE(sound(kA));
  run("ip link set lan down");
  EXPECT_TRUE(faulty(kA, "interface lan is down"));
  run("ip link set lan up");
  ASSERT_TRUE(sound(kA));
  EXPECT_TRUE(known_[kA].footing->link_came_up);
  run("ip link set far down");
  EXPECT_TRUE(faulty(kA, "interface lan has no link"));
  EXPECT_EQ(known_[kA].trouble->tracker, "link");
  run("ip link set far up");
  ASSERT_TRUE(sound(kA));
  EXPECT_TRUE(known_[kA].footing->link_came_up);
  run("ip address flush dev lan");
  EXPECT_TRUE(faulty(kA, "interface lan has no IPv4 address to send from"));
  run("ip address add 192.0.2.1/24 dev lan");
  ASSERT_TRUE(sound(kA));
  EXPECT_FALSE(known_[kA].footing->link_came_up) << "it was there all the time";
  EXPECT_TRUE(said("Netlink reports lan down"));
  EXPECT_TRUE(said("Netlink reports lan up"));
}

TEST_F(KernelSideTest, WaitsForTheSourceAddressThatIsConfigured) {
  config::VrrpInstance wanted = a();
  wanted.source = test::ip("192.0.2.5");
  work({wanted});
  ASSERT_TRUE(faulty(kA, "source address 192.0.2.5 is not there"));
  run("ip address add 192.0.2.5/24 dev lan");
  ASSERT_TRUE(sound(kA));
  EXPECT_EQ(known_[kA].footing->source, test::ip("192.0.2.5"));
  wanted.source = test::ip("192.0.2.1");
  work({wanted});  // a reload
  EXPECT_TRUE(until([&] { return known_[kA].footing->source == test::ip("192.0.2.1"); }));
  EXPECT_EQ(known_[kA].senders, 2);
}

/// Of priority 255: its address is the host's own.
TEST_F(KernelSideTest, AnOwnerSpeaksFromItsAddressAndLeavesItToTheHost) {
  config::VrrpInstance wanted = instance("A", "lan", "192.0.2.1/24");
  for (const auto& source : {std::optional<base::IpAddress>{}, std::optional(test::ip("192.0.2.1"))}) {
    wanted.priority = 255;
    wanted.source = source;
    work({wanted});
    ASSERT_TRUE(sound(kA));
    EXPECT_EQ(status(kA).source, "192.0.2.1");
    judge(a_, true);
    run("ip link set lan down");
    ASSERT_TRUE(faulty(kA, "interface lan is down"));
    judge(a_, false);
    run("ip link set lan up");
    ASSERT_TRUE(sound(kA)) << "for ever without an address to send from";
    EXPECT_TRUE(there("192.0.2.1", "lan"));
  }
  say(Finish{});
  ASSERT_TRUE(until([&] { return done_; }));
  EXPECT_TRUE(there("192.0.2.1", "lan"));
}

TEST_F(KernelSideTest, WhoIsNoOwnerNeverSpeaksFromAVirtualAddress) {
  work({instance("A", "lan", "192.0.2.1/24")});
  EXPECT_TRUE(faulty(kA, "interface lan has no IPv4 address to send from"));
}

TEST_F(KernelSideTest, WaitsForTheInterfacesOfAllItsAddresses) {
  config::VrrpInstance wanted = a();
  wanted.addresses_excluded = {{prefix("203.0.113.10/24"), "dmz"}};
  work({wanted});
  ASSERT_TRUE(faulty(kA, "interface dmz of 203.0.113.10/24 does not exist"));
  add_pair("dmz", "dmz-far");
  EXPECT_TRUE(sound(kA));
  run("ip link set dmz-far down");
  EXPECT_TRUE(faulty(kA, "interface dmz of 203.0.113.10/24 has no link"));
  run("ip link set dmz down");
  EXPECT_TRUE(faulty(kA, "interface dmz of 203.0.113.10/24 is down"));
  run("ip link set dmz up; ip link set dmz-far up");
  EXPECT_TRUE(sound(kA));
}

/// So that a peer can have them.
TEST_F(KernelSideTest, WhoCannotHaveAllItsAddressesIsInFaultUntilItIsWorthAnotherAttempt) {
  run("echo 1 > /proc/sys/net/ipv6/conf/lan/disable_ipv6");
  config::VrrpInstance wanted = a();
  wanted.addresses_excluded = {{prefix("2001:db8::10/64"), "lan"}};
  work({wanted});
  ASSERT_TRUE(sound(kA));
  judge(a_, true);
  ASSERT_TRUE(faulty(kA, "address 2001:db8::10/64 on lan: No Access"));
  EXPECT_EQ(known_[kA].trouble->tracker, "address");
  judge(a_, false);
  run("echo 0 > /proc/sys/net/ipv6/conf/lan/disable_ipv6");
  ASSERT_TRUE(sound(kA));
  EXPECT_FALSE(known_[kA].footing->link_came_up);
  judge(a_, true);
  EXPECT_TRUE(until([] { return there("2001:db8::10", "lan"); }));
}

TEST_F(KernelSideTest, AddsAnnouncesAndRemovesAsItIsOrdered) {
  config::VrrpInstance wanted = a();
  wanted.announce.repeat = 3;
  work({wanted});
  ASSERT_TRUE(sound(kA));
  judge(a_, true);
  ASSERT_TRUE(until([] { return there("192.0.2.10", "lan"); }));
  EXPECT_TRUE(until([&] { return status(kA).announcements == 3; }));
  EXPECT_TRUE(said("(A) setting VIPs."));
  EXPECT_TRUE(said("(A) Sending/queueing gratuitous ARPs on lan for 192.0.2.10"));
  EXPECT_THAT(status(kA).missing, IsEmpty());
  a_->announce(Effect::Burst::full);  // the second burst
  orders_.ring();
  EXPECT_TRUE(until([&] { return status(kA).announcements == 6; }));
  judge(a_, false);
  ASSERT_TRUE(until([] { return !there("192.0.2.10", "lan"); }));
  EXPECT_TRUE(until([&] { return said("(A) removing VIPs."); }));
  a_->announce(Effect::Burst::full);
  orders_.ring();
  EXPECT_EQ(status(kA).announcements, 6U) << "there is nothing to announce";
}

TEST_F(KernelSideTest, ALocalAddressThatNobodyHasPlacedStandsWhereItsNetworkIs) {
  config::VrrpInstance one = a();
  one.addresses_excluded = {{prefix("198.51.100.20/32"), "lan", true},
                            {prefix("203.0.113.20/32"), "lan", true}};
  work({one});
  ASSERT_TRUE(sound(kA));
  judge(a_, true);
  ASSERT_TRUE(until([] { return there("198.51.100.20", "wan") && there("203.0.113.20", "lan"); }));
  EXPECT_FALSE(there("198.51.100.20", "lan"));
  // Its network comes up later: it follows.
  run("ip address add 203.0.113.1/24 dev wan");
  ASSERT_TRUE(until([] { return there("203.0.113.20", "wan"); }));
  EXPECT_TRUE(until([] { return !there("203.0.113.20", "lan"); }));
}

/// Where the host itself has no address: a gateway that moves, too.
TEST_F(KernelSideTest, ALocalAddressStandsBesideAnotherThatMoves) {
  config::VrrpInstance one = a();
  one.addresses_excluded = {{prefix("203.0.113.1/24"), "wan"}, {prefix("203.0.113.20/32"), "lan", true}};
  work({one});
  ASSERT_TRUE(sound(kA));
  judge(a_, true);
  ASSERT_TRUE(until([] { return there("203.0.113.20", "wan"); }));
  EXPECT_FALSE(there("203.0.113.20", "lan"));
  EXPECT_THAT(status(kA).addresses, testing::ElementsAre("192.0.2.10/24 dev lan", "203.0.113.1/24 dev wan",
                                                         "203.0.113.20/32 dev wan"));
}

/// A master with a lower priority that does not hear us orders them with each of its adverts.
TEST_F(KernelSideTest, RepeatedBurstsAreAtMostOneASecondAndOneLineInTenSeconds) {
  config::VrrpInstance wanted = a();
  wanted.announce.repeat = 1;
  work({wanted});
  ASSERT_TRUE(sound(kA));
  judge(a_, true);
  ASSERT_TRUE(until([&] { return status(kA).announcements == 1; }));
  lines_.clear();
  const auto began = Clock::now();
  for (int i = 0; i < 100; ++i) {
    a_->announce(Effect::Burst::lower_priority);
    orders_.ring();
    (void)status(kA);
  }
  // The first at once, and the last not lost.
  ASSERT_TRUE(until([&] { return status(kA).announcements >= 3; }));
  const auto took = static_cast<std::uint64_t>((Clock::now() - began) / 1s);
  EXPECT_GE(took, 1U);
  EXPECT_LE(status(kA).announcements, 2 + took);
  EXPECT_LE(lines_.size(), 1 + took / 10) << lines_.back();
}

TEST_F(KernelSideTest, LinesThatMainDoesNotReadAreCounted) {
  config::VrrpInstance wanted = a();
  wanted.announce.repeat = 1;
  for (int i = 0; i < 200; ++i)
    wanted.addresses_excluded.push_back({prefix(("198.18.0." + std::to_string(i) + "/32").c_str()), "lan"});
  work({wanted});
  ASSERT_TRUE(sound(kA));
  judge(a_, true);
  for (int i = 0; i < 50; ++i) {
    a_->announce(Effect::Burst::full);
    orders_.ring();
    pollfd rung{orders_.fd(), POLLIN, 0};
    while (::poll(&rung, 1, 0) == 1) std::this_thread::yield();  // main reads nothing meanwhile
  }
  ASSERT_TRUE(until([&] {
    a_->announce(Effect::Burst::full);
    orders_.ring();
    return std::ranges::any_of(lines_, [](const std::string& line) {
      return line.ends_with(" lines of the kernel side were lost");
    });
  }));
}

TEST_F(KernelSideTest, AnnouncesIPv6AddressesAsSoonAsTheyAreAdded) {
  run("ip address add fe80::1/64 dev lan nodad");
  config::VrrpInstance wanted = six();
  wanted.announce.repeat = 3;
  work({wanted});
  ASSERT_TRUE(sound(kA));
  EXPECT_EQ(known_[kA].footing->source, test::ip("fe80::1"));
  for (std::uint64_t time = 1; time <= 10; ++time) {
    judge(a_, true);
    ASSERT_TRUE(until([&] { return status(kA).announcements == 3 * time; })) << status(kA).announcements;
    judge(a_, false);
    ASSERT_TRUE(until([] { return !there("2001:db8::10", "lan"); }));
  }
}

TEST_F(KernelSideTest, PutsBackAnnouncesAndCountsWhatWasDeletedByHand) {
  config::VrrpInstance wanted = a();
  wanted.announce.repeat = 2;
  work({wanted});
  judge(a_, true);
  ASSERT_TRUE(until([&] { return status(kA).announcements == 2; }));
  run("ip address delete 192.0.2.10/24 dev lan");
  ASSERT_TRUE(until([&] { return status(kA).repaired == 1; }));
  EXPECT_TRUE(there("192.0.2.10", "lan"));
  EXPECT_TRUE(until([&] { return status(kA).announcements == 4; }));
  EXPECT_TRUE(said("Netlink reflector reports IP 192.0.2.10 removed from lan"));
  EXPECT_FALSE(known_[kA].trouble);
}

TEST_F(KernelSideTest, LeftOverAddressesWaitForTheSpeakersJudgement) {
  run("ip address add 192.0.2.10/24 dev lan");
  run("ip address add 198.51.100.10/24 dev wan");
  work({a(), b()});
  ASSERT_TRUE(sound(kA));
  ASSERT_TRUE(sound(kB));
  EXPECT_EQ(known_[kA].footing->source, test::ip("192.0.2.1")) << "adverts never come from a virtual address";
  judge(a_, true);
  judge(b_, false);
  ASSERT_TRUE(until([] { return !there("198.51.100.10", "wan"); }));
  EXPECT_TRUE(there("192.0.2.10", "lan"));
  EXPECT_FALSE(said("Netlink reflector reports IP 192.0.2.10 removed from lan"));
}

TEST_F(KernelSideTest, LeftOverAddressesGoWhenNobodyJudgesInTime) {
  run("ip address add 192.0.2.10/24 dev lan");
  config::VrrpInstance wanted = a();
  wanted.advert_int = 100ms;  // their peers wait for three
  work({wanted});
  ASSERT_TRUE(sound(kA));
  EXPECT_TRUE(until([] { return !there("192.0.2.10", "lan"); }));
}

TEST_F(KernelSideTest, AnInstanceThatAReloadTakesAwayLosesItsAddressesAndItsListener) {
  work({a(), b()});
  judge(a_, true);
  judge(b_, true);
  ASSERT_TRUE(until([] { return there("192.0.2.10", "lan") && there("198.51.100.10", "wan"); }));
  work({a()});
  EXPECT_TRUE(until([] { return !there("198.51.100.10", "wan"); }));
  EXPECT_TRUE(until([&] { return !open(kWan); }));
  EXPECT_TRUE(there("192.0.2.10", "lan"));
  EXPECT_TRUE(open(kLan));
}

TEST_F(KernelSideTest, TellsOfTrackedInterfaces) {
  work({a()}, {"dmz"});
  ASSERT_TRUE(until([&] { return tracked_.contains("dmz"); }));
  EXPECT_FALSE(tracked_["dmz"].exists);
  add_pair("dmz", "dmz-far");
  EXPECT_TRUE(until([&] { return tracked_["dmz"].up && tracked_["dmz"].running; }));
  run("ip link set dmz-far down");
  EXPECT_TRUE(until([&] { return tracked_["dmz"].up && !tracked_["dmz"].running; }));
  run("ip link delete dmz");
  EXPECT_TRUE(until([&] { return !tracked_["dmz"].exists; }));
  tracked_.clear();
  work({a()});
  work({a()}, {"dmz"});
  EXPECT_TRUE(until([&] { return tracked_.contains("dmz"); })) << "main has forgotten it meanwhile";
}

TEST_F(KernelSideTest, WithItsOwnMacAddressAnInstanceStandsOnAMacvlan) {
  config::VrrpInstance wanted = a();
  wanted.use_vmac = true;
  wanted.vmac_interface = "vrrp.61";
  work({wanted});
  judge(a_, true);
  ASSERT_TRUE(sound(kA));
  ASSERT_TRUE(until([] { return there("192.0.2.10", "vrrp.61"); }));
  EXPECT_FALSE(there("192.0.2.10", "lan"));
  const int before = known_[kA].senders;
  run("ip link delete vrrp.61");
  EXPECT_TRUE(until([] { return there("192.0.2.10", "vrrp.61"); }));
  EXPECT_TRUE(until([&] { return known_[kA].senders > before; }));
  ASSERT_TRUE(sound(kA));
  judge(a_, false);
  say(Finish{});
  ASSERT_TRUE(until([&] { return done_; }));
  run("! ip link show vrrp.61 2>/dev/null");
}

TEST_F(KernelSideTest, WithItsOwnMacAddressTheInterfacesLinkLocalAddressStaysItsOwn) {
  run("ip address add fe80::1/64 dev lan nodad");
  config::VrrpInstance wanted = six();
  wanted.use_vmac = true;
  wanted.vmac_interface = "vrrp6.61";
  work({wanted});
  ASSERT_TRUE(sound(kA));
  EXPECT_EQ(known_[kA].footing->source, test::ip("fe80::1"));
  EXPECT_FALSE(there("fe80::1", "vrrp6.61"));
  judge(a_, true);
  EXPECT_TRUE(until([] { return there("2001:db8::10", "vrrp6.61"); }));
}

TEST_F(KernelSideTest, SaysThatTheReversePathFilterKeepsTrafficFromTheMacvlan) {
  run("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
  config::VrrpInstance wanted = a();
  wanted.use_vmac = true;
  wanted.vmac_interface = "vrrp.61";
  work({wanted});
  ASSERT_TRUE(sound(kA));
  EXPECT_TRUE(until([&] {
    return said(
        "(A) net.ipv4.conf.all.rp_filter is 1: the kernel drops packets to addresses of vrrp.61, unless "
        "it has a route back by it; 2 lets them pass");
  }));
}

TEST_F(KernelSideTest, JoinsItsGroupAgainWhenIPv6IsBack) {
  run("ip address add fe80::1/64 dev lan nodad");
  work({six()});
  ASSERT_TRUE(sound(kA));
  ASSERT_TRUE(until([&] { return open(kLan); }));
  run("ip link set lan mtu 1200");
  ASSERT_TRUE(until([&] { return known_[kA].footing->faulty; }));
  run("ip link set lan mtu 1500");
  run("ip address replace fe80::1/64 dev lan nodad");
  ASSERT_TRUE(sound(kA));
  const test::FrameEnd far("far");
  EXPECT_TRUE(until([&] {
    far.send(test::advert_frame({{2, 0, 0, 0, 0, 2}}, test::ip("fe80::2")));
    return test::readable(listeners_[kLan].fd.get(), 50ms);
  }));
}

/// The switch at the other end may be another one.
TEST_F(KernelSideTest, ReportsItsGroupAgainWhenTheLinkIsBack) {
  work({a()});
  ASSERT_TRUE(sound(kA));
  const test::FrameEnd far("far");
  int reports = 0;
  const auto reported = [&](int times) {
    return until([&] {
      for (auto frame = far.next(); !frame.empty(); frame = far.next())
        reports += test::FrameEnd::is_report(frame, base::Family::v4) ? 1 : 0;
      return reports >= times;
    });
  };
  ASSERT_TRUE(reported(2)) << "so often, when it has joined";
  reports = 0;
  run("ip link set far down");
  ASSERT_TRUE(faulty(kA, "interface lan has no link"));
  run("ip link set far up");
  ASSERT_TRUE(sound(kA));
  EXPECT_TRUE(reported(1));
}

TEST_F(KernelSideTest, AnnouncesANewMacAddress) {
  config::VrrpInstance wanted = a();
  wanted.announce.repeat = 3;
  work({wanted});
  ASSERT_TRUE(sound(kA));
  judge(a_, true);
  ASSERT_TRUE(until([&] { return status(kA).announcements == 3; }));
  run("ip link set lan address 02:00:00:00:00:07");
  EXPECT_TRUE(until([&] { return status(kA).announcements == 6; }));
}

TEST_F(KernelSideTest, TellsEachTimeThatAnAddressCannotBeAnnounced) {
  add_pair("dmz", "dmz-far");
  config::VrrpInstance wanted = a();
  wanted.addresses_excluded = {{prefix("203.0.113.10/24"), "dmz"}};
  wanted.announce.repeat = 2;
  work({wanted});
  ASSERT_TRUE(sound(kA));
  judge(a_, true);
  ASSERT_TRUE(until([&] { return status(kA).announcements == 4; }));
  const auto burst = [this] {
    a_->announce(Effect::Burst::full);
    orders_.ring();
  };
  for (int time = 1; time <= 2; ++time) {
    run("ip link set dmz down");
    burst();
    const auto failed = static_cast<std::uint64_t>(2 * time);
    EXPECT_TRUE(until([&] { return status(kA).announce_errors == failed; }));
    EXPECT_EQ(std::ranges::count(lines_, "(A) announcing 203.0.113.10 on dmz: Network is down"), time);
    run("ip link set dmz up");
    const std::uint64_t before = status(kA).announcements;
    burst();
    ASSERT_TRUE(until([&] { return status(kA).announcements == before + 4; }));
  }
}

TEST_F(KernelSideTest, FinishesWhenNothingIsLeft) {
  work({a(), b()});
  judge(a_, true);
  judge(b_, true);
  ASSERT_TRUE(until([] { return there("192.0.2.10", "lan") && there("198.51.100.10", "wan"); }));
  for (const auto& orders : {a_, b_}) judge(orders, false);
  say(Finish{});
  ASSERT_TRUE(until([&] { return done_; }));
  EXPECT_FALSE(there("192.0.2.10", "lan"));
  EXPECT_FALSE(there("198.51.100.10", "wan"));
  EXPECT_TRUE(there("192.0.2.1", "lan"));
}

}  // namespace
}  // namespace sluice::vrrp
