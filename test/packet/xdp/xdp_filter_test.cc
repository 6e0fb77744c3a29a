#include "dp/xdp/xdp_filter.h"

#include <memory>
#include <net/if.h>
#include <optional>
#include <string>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include "test/packet/network_namespace.h"
#include "test/packet_builder.h"

namespace sluice::dp {
namespace {

using config::Protocol;
using test::ACK;
using test::eth;
using test::PacketBuilder;
using test::SYN;
using test::v4;
using test::v6;

const base::Ipv4 client = v4("198.51.100.7"), vip = v4("192.0.2.10"), local = v4("192.0.2.20"),
                 server = v4("203.0.113.1"), router = v4("198.51.100.1");
const base::Ipv4 seeing = v4("203.0.113.2"), host = v4("203.0.113.254");  // a server in mode dnat; our own
const base::Ipv6 seeing6 = v6("2001:db8:5::2"), host6 = v6("2001:db8:5::fe");
const base::Ipv6 client6 = v6("2001:db8:c::7"), vip6 = v6("2001:db8::10"), server6 = v6("2001:db8:5::1"),
                 router6 = v6("2001:db8:c::1");

FilterRules rules() {
  return {.services = {{vip, Protocol::tcp, 80},
                       {vip, Protocol::udp, 53},
                       {vip6, Protocol::tcp, 80},
                       {vip6, Protocol::udp, 53}},
          .servers = {{seeing, Protocol::tcp, 8080},
                      {seeing, Protocol::udp, 5353},
                      {seeing6, Protocol::tcp, 8080},
                      {seeing6, Protocol::udp, 5353}},
          .hosts = {host, host6, vip, vip6},
          .locals = {{local, Protocol::tcp, {1024, 65'535}, {5000}},
                     {vip6, Protocol::udp, {1024, 65'535}, {5000}}}};
}

/// The program on an interface of an own namespace. No socket is in its map: what is ours is dropped, all
/// else passes.
class XdpFilterTest : public testing::Test {
 protected:
  struct Close {
    void operator()(bpf_object* object) const noexcept { bpf_object__close(object); }
  };

  void SetUp() override {
    ASSERT_TRUE(namespace_.entered()) << "needs root";
    test::OwnNamespace::run(
        "ip link add near type veth peer name far && ip link set near up && ip link set far up");
    ifindex_ = static_cast<int>(if_nametoindex("near"));
    attach();
    auto filter = XdpFilter::open(ifindex_);
    ASSERT_TRUE(filter) << filter.error().message;
    filter_.emplace(std::move(*filter));
    const auto updated = filter_->update(rules());
    ASSERT_TRUE(updated) << updated.error().message;
  }

  void attach() {
    const auto bytes = xdp_filter_object();
    object_.reset(bpf_object__open_mem(bytes.data(), bytes.size(), nullptr));
    ASSERT_NE(object_, nullptr);
    ASSERT_EQ(bpf_object__load(object_.get()), 0);
    program_ = bpf_program__fd(bpf_object__next_program(object_.get(), nullptr));
    ASSERT_EQ(bpf_xdp_attach(ifindex_, program_, 0, nullptr), 0);
  }

  [[nodiscard]] bool is_ours(const test::Bytes& frame) const {
    bpf_test_run_opts run{};
    run.sz = sizeof(run);
    run.data_in = frame.data();
    run.data_size_in = static_cast<std::uint32_t>(frame.size());
    run.repeat = 1;
    EXPECT_EQ(bpf_prog_test_run_opts(program_, &run), 0) << "frame of " << frame.size() << " bytes";
    EXPECT_TRUE(run.retval == XDP_DROP || run.retval == XDP_PASS) << run.retval;
    return run.retval == XDP_DROP;
  }

  test::OwnNamespace namespace_;
  int ifindex_ = 0;
  std::unique_ptr<bpf_object, Close> object_;
  int program_ = -1;
  std::optional<XdpFilter> filter_;
};

struct Row {
  const char* name;
  PacketBuilder packet;
  bool ours;
};

std::vector<Row> rows() {
  const PacketBuilder to_client = eth().ip4(vip, client).tcp(80, 40000, ACK);
  const PacketBuilder to_server = eth().ip4(local, server).tcp(40000, 80, ACK);
  const PacketBuilder to_client6 = eth().ip6(vip6, client6).tcp(80, 40000, ACK);
  const PacketBuilder to_server6 = eth().ip6(vip6, server6).hop_by_hop(8).udp(40000, 53).payload(64);
  return {
      {"service", eth().ip4(client, vip).tcp(40000, 80, SYN), true},
      {"service, other port", eth().ip4(client, vip).tcp(40000, 22, SYN), false},
      {"service, other protocol", eth().ip4(client, vip).udp(40000, 80), false},
      {"service, UDP", eth().ip4(client, vip).udp(40000, 53), true},
      {"service, IPv4 options", eth().ip4(client, vip).options(40).tcp(40000, 80, SYN), true},
      {"service, one tag", eth().vlan(7).ip4(client, vip).tcp(40000, 80, SYN), true},
      {"service, two tags", eth().qinq(3).vlan(7).ip4(client, vip).tcp(40000, 80, SYN), true},
      {"service, three tags", eth().qinq(2).qinq(3).vlan(7).ip4(client, vip).tcp(40000, 80, SYN), false},
      {"another address", eth().ip4(client, server).tcp(40000, 80, SYN), false},
      {"from the VIP", eth().ip4(vip, client).tcp(80, 40000, ACK), false},
      {"reply to a source port", eth().ip4(server, local).tcp(80, 1024, ACK), true},
      {"reply to the last source port", eth().ip4(server, local).tcp(80, 65'535, ACK), true},
      {"reply to an excluded port", eth().ip4(server, local).tcp(80, 5000, ACK), false},
      {"reply below the range", eth().ip4(server, local).tcp(80, 1023, ACK), false},
      {"reply of the other protocol", eth().ip4(server, local).udp(80, 1024), false},
      {"ping", eth().ip4(client, vip).icmp(8, 0).payload(56), false},
      {"first fragment", eth().ip4(client, vip).fragment(0, true, 1).udp(40000, 53).payload(64), true},
      {"first fragment, other port", eth().ip4(client, vip).fragment(0, true, 5).udp(40000, 99).payload(64),
       false},
      {"later fragment", eth().ip4(client, vip).protocol(17).fragment(64, false, 1).payload(64), true},
      {"later fragment to another address",
       eth().ip4(client, server).protocol(17).fragment(64, false, 1).payload(64), false},
      {"fragment of a ping", eth().ip4(client, vip).protocol(1).fragment(64, false, 1).payload(64), false},
      {"error about a packet to a client", eth().ip4(router, vip).icmp(3, 1).quote(to_client, 28), true},
      {"error about a packet to a server", eth().ip4(server, local).icmp(3, 3).quote(to_server, 28), true},
      {"time exceeded", eth().ip4(router, vip).icmp(11, 0).quote(to_client), true},
      {"echo reply that looks like an error", eth().ip4(router, vip).icmp(0, 0).quote(to_client), false},
      {"source quench", eth().ip4(router, vip).icmp(4, 0).quote(to_client), false},
      {"redirect", eth().ip4(router, vip).icmp(5, 1).quote(to_client), false},
      {"error about the kernel's packet",
       eth().ip4(router, vip).icmp(3, 1).quote(eth().ip4(vip, client).tcp(22, 40000, ACK)), false},
      {"error that quotes too little", eth().ip4(router, vip).icmp(3, 1).quote(to_client, 20), false},
      {"to a client, of a server that sees it", eth().ip4(seeing, client).tcp(8080, 40000, ACK), true},
      {"likewise, UDP", eth().ip4(seeing, client).udp(5353, 40000), true},
      {"likewise, another port", eth().ip4(seeing, client).tcp(22, 40000, ACK), false},
      {"likewise, the other protocol", eth().ip4(seeing, client).udp(8080, 40000), false},
      {"likewise, to the host, as an answer to a check", eth().ip4(seeing, host).tcp(8080, 40000, ACK),
       false},
      {"likewise, to the VIP", eth().ip4(seeing, vip).tcp(8080, 40000, ACK), false},
      {"likewise, to a service on the VIP", eth().ip4(seeing, vip).tcp(8080, 80, SYN), true},
      {"to a group, of that server",
       eth(base::Mac{{2, 0, 0, 0, 0, 9}}, base::Mac{{1, 0, 0x5e, 0, 0, 0xfb}})
           .ip4(seeing, v4("224.0.0.251"))
           .udp(5353, 5353),
       false},
      {"likewise, tagged", eth().vlan(7).ip4(seeing, client).tcp(8080, 40000, ACK), true},
      {"to that server, past us", eth().ip4(client, seeing).tcp(40000, 8080, SYN), false},
      {"later fragment of that server",
       eth().ip4(seeing, client).protocol(17).fragment(64, false, 9).payload(64), true},
      {"later fragment of that server to the host",
       eth().ip4(seeing, host).protocol(17).fragment(64, false, 9).payload(64), false},
      {"error about what that server was sent",
       eth().ip4(router, client).icmp(3, 1).quote(eth().ip4(client, seeing).tcp(40000, 8080, ACK)), true},
      {"error about what the host sent that server",
       eth().ip4(router, host).icmp(3, 1).quote(eth().ip4(host, seeing).tcp(40000, 8080, ACK)), false},
      {"to a client, of a server that sees it, IPv6", eth().ip6(seeing6, client6).tcp(8080, 40000, ACK),
       true},
      {"likewise, behind extension headers", eth().ip6(seeing6, client6).hop_by_hop(8).udp(5353, 40000),
       true},
      {"later fragment, behind an extension header",
       eth().ip6(seeing6, client6).fragment(64, false, 9).dest_opts(8).udp(5353, 40000).payload(64), true},
      {"likewise, IPv6, to the host", eth().ip6(seeing6, host6).tcp(8080, 40000, ACK), false},
      {"error about what that server was sent, IPv6",
       eth().ip6(router6, client6).icmp6(1, 0).quote(eth().ip6(client6, seeing6).tcp(40000, 8080, ACK)),
       true},
      {"service, IPv6", eth().ip6(client6, vip6).tcp(40000, 80, SYN), true},
      {"service, IPv6, other port", eth().ip6(client6, vip6).tcp(40000, 22, SYN), false},
      {"service, IPv6, extension headers",
       eth().ip6(client6, vip6).hop_by_hop(8).dest_opts(16).routing(8).udp(40000, 53), true},
      {"service, IPv6, six extension headers",
       eth()
           .ip6(client6, vip6)
           .hop_by_hop(8)
           .dest_opts(8)
           .dest_opts(8)
           .dest_opts(8)
           .dest_opts(8)
           .dest_opts(8)
           .udp(40000, 53),
       true},
      {"service, IPv6, seven extension headers",
       eth()
           .ip6(client6, vip6)
           .hop_by_hop(8)
           .dest_opts(8)
           .dest_opts(8)
           .dest_opts(8)
           .dest_opts(8)
           .dest_opts(8)
           .dest_opts(8)
           .udp(40000, 53),
       false},
      {"IPv6 atomic fragment, service", eth().ip6(client6, vip6).fragment(0, false, 9).udp(40000, 53), true},
      {"IPv6 atomic fragment, other port", eth().ip6(client6, vip6).fragment(0, false, 9).udp(40000, 54),
       false},
      {"IPv6 first fragment", eth().ip6(client6, vip6).fragment(0, true, 9).udp(40000, 53).payload(64), true},
      {"IPv6 later fragment of further headers",
       eth().ip6(client6, vip6).protocol(60).fragment(64, false, 8).payload(64), true},
      {"IPv6 later fragment", eth().ip6(client6, vip6).protocol(17).fragment(64, false, 9).payload(64), true},
      {"IPv6 fragment of a ping", eth().ip6(client6, vip6).protocol(58).fragment(64, false, 9).payload(64),
       false},
      {"neighbour solicitation", eth().ip6(client6, vip6).icmp6(135, 0).payload(24), false},
      {"IPv6 error about a packet to a client", eth().ip6(router6, vip6).icmp6(2, 0, 1280).quote(to_client6),
       true},
      {"IPv6 error about a packet to a server", eth().ip6(server6, vip6).icmp6(1, 4).quote(to_server6), true},
      {"ARP", eth().type(0x0806).payload(28), false},
      {"wrong IP version", eth().ip4(client, vip).version(5).tcp(40000, 80, SYN), false},
      {"IHL too small", eth().ip4(client, vip).ihl(4).tcp(40000, 80, SYN), false},
  };
}

TEST_F(XdpFilterTest, TakesOnlyWhatIsSluices) {
  for (const Row& row : rows()) EXPECT_EQ(is_ours(row.packet.bytes()), row.ours) << row.name;
}

TEST_F(XdpFilterTest, LaterFragmentsOfTheKernelsDatagramsFollowTheFirst) {
  const auto v4_later = [&](std::uint16_t id) {
    return is_ours(eth().ip4(client, vip).protocol(17).fragment(64, false, id).payload(64).bytes());
  };
  const auto v4_first = [&](std::uint16_t id, std::uint16_t port) {
    return is_ours(eth().ip4(client, vip).fragment(0, true, id).udp(40000, port).payload(56).bytes());
  };
  EXPECT_FALSE(v4_first(100, 99));
  EXPECT_FALSE(v4_later(100));
  EXPECT_TRUE(v4_later(101)) << "another datagram, of which the first has not come";
  EXPECT_TRUE(is_ours(eth().ip4(router, vip).protocol(17).fragment(64, false, 100).payload(64).bytes()));
  EXPECT_TRUE(is_ours(eth().ip4(client, vip).protocol(6).fragment(64, false, 100).payload(64).bytes()));
  EXPECT_TRUE(v4_first(100, 53)) << "the identification has come round";
  EXPECT_TRUE(v4_later(100));

  const auto v6_later = [&](std::uint32_t id) {
    return is_ours(
        eth().ip6(client6, vip6).hop_by_hop(8).protocol(60).fragment(64, false, id).payload(64).bytes());
  };
  const auto first6 = [](std::uint32_t id) {
    return eth().ip6(client6, vip6).hop_by_hop(8).fragment(0, true, id).dest_opts(8);
  };
  EXPECT_TRUE(v6_later(0x10001));
  EXPECT_FALSE(is_ours(first6(0x10001).udp(40000, 54).payload(64).bytes()));
  EXPECT_FALSE(v6_later(0x10001));
  EXPECT_FALSE(is_ours(first6(0x10002).icmp6(128, 0).payload(64).bytes()));
  EXPECT_FALSE(v6_later(0x10002));
  EXPECT_TRUE(is_ours(first6(0x10003).udp(40000, 53).payload(64).bytes()));
  EXPECT_TRUE(v6_later(0x10003));
}

TEST_F(XdpFilterTest, CutFramesNeitherCrashNorBecomeOurs) {
  for (const Row& row : rows()) {
    const test::Bytes whole = row.packet.bytes();
    for (std::size_t length = 14; length < whole.size(); ++length) {
      const test::Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      EXPECT_TRUE(!is_ours(cut) || row.ours) << row.name << ", first " << length << " bytes";
    }
  }
}

TEST_F(XdpFilterTest, FollowsTheRulesAsTheyChange) {
  const auto updated = filter_->update(FilterRules{.services = {{server, Protocol::tcp, 81}}, .locals = {}});
  ASSERT_TRUE(updated) << updated.error().message;
  EXPECT_TRUE(is_ours(eth().ip4(client, server).tcp(40000, 81, SYN).bytes()));
  EXPECT_FALSE(is_ours(eth().ip4(client, vip).tcp(40000, 80, SYN).bytes()));
}

TEST_F(XdpFilterTest, CountsEachFrameOnce) {
  EXPECT_TRUE(is_ours(eth().ip4(client, vip).tcp(40000, 80, SYN).bytes()));
  EXPECT_FALSE(is_ours(eth().ip4(client, vip).tcp(40000, 22, SYN).bytes()));
  const auto counters = filter_->counters();
  ASSERT_TRUE(counters) << counters.error().message;
  EXPECT_EQ(counters->unclaimed, 1U);
  EXPECT_EQ(counters->redirected, 0U);
  EXPECT_GE(counters->passed, 1U);  // the namespace's own multicast may add to it
}

TEST_F(XdpFilterTest, ReadsTheRulesOfAProgramThatIsThereAlready) {
  auto again = XdpFilter::open(ifindex_);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->table(), compile(rules()));
}

TEST_F(XdpFilterTest, IsRecognisedAndTakenOff) {
  auto program = attached_xdp_program(ifindex_);
  ASSERT_TRUE(program && program->has_value());
  EXPECT_TRUE((*program)->ours);
  const auto detached = detach_xdp_filter(ifindex_);
  ASSERT_TRUE(detached) << detached.error().message;
  program = attached_xdp_program(ifindex_);
  ASSERT_TRUE(program);
  EXPECT_FALSE(program->has_value());
}

TEST_F(XdpFilterTest, LeavesAForeignProgramAlone) {
  ASSERT_TRUE(detach_xdp_filter(ifindex_));
  constexpr bpf_insn kPass[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 2},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const base::Fd foreign(bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", kPass, 2, nullptr));
  ASSERT_TRUE(foreign);
  ASSERT_EQ(bpf_xdp_attach(ifindex_, foreign.get(), 0, nullptr), 0);
  const auto detached = detach_xdp_filter(ifindex_);
  ASSERT_FALSE(detached);
  EXPECT_EQ(detached.error().message,
            "interface near carries the XDP program \"foreign\", which is not sluice's");
}

}  // namespace
}  // namespace sluice::dp
