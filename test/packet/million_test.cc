// A million connections at once, and what each of them costs.
#include <cstdio>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "dp/flow/flow_life.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

constexpr Family F = Family::v4;
constexpr unsigned kFlows = 1'000'000;
constexpr unsigned kServers = 16;

struct Wire {
  base::EthHdr eth;
  base::Ipv4Hdr ip;
  base::UdpHdr udp;
};

/// Many similar frames: one buffer, of which only addresses and ports change. Checksums are left out: other
/// rows look after them, and the IP header's is not the concern here.
class Stream {
 public:
  explicit Stream(std::uint16_t port) : port_(port) {
    const Bytes frame = port == 0
                            ? from_client<F>({}, Net<F>::vip()).udp(1, kPort).no_udp_checksum().bytes()
                            : from_server<F>(0, Net<F>::vip()).udp(kServerPort, 1).no_udp_checksum().bytes();
    buffer_.resize(Balancer::kHeadroom);
    buffer_.insert(buffer_.end(), frame.begin(), frame.end());
    length_ = frame.size();
    original_ = buffer_;
  }
  Wire& wire() { return *base::at<Wire>(std::span(buffer_), Balancer::kHeadroom); }
  /// Makes the frame anew as it was at first.
  void reset() { std::memcpy(buffer_.data(), original_.data(), buffer_.size()); }
  dp::Packet packet() {
    dp::Packet p;
    p.bytes = std::span(buffer_).subspan(Balancer::kHeadroom);
    p.frame_length = static_cast<std::uint32_t>(length_);
    p.headroom = Balancer::kHeadroom;
    p.in_port = port_;
    return p;
  }

 private:
  std::uint16_t port_;
  Bytes buffer_, original_;
  std::size_t length_ = 0;
};

struct Pair {
  base::Ipv4 server;
  base::Be16 local_port;
};

TEST(Million, ConcurrentFlowsAreFoundBothWaysAndCostAtMost128BytesEach) {
  Balancer::Options options;
  options.limits.flows_per_worker = kFlows;
  options.limits.half_open_per_worker = kFlows;
  Balancer b(options);
  auto service = dns<F>(kServers);
  service.timeouts.udp = config::Milliseconds(60'000);
  service.source_ports = {1'024, 65'535};
  b.configure({service});
  dp::WorkerState& w = b.worker();

  // Client n: 10.9.x.y, its port changes every 60,000 clients.
  const auto client_of = [](unsigned n) { return Net<F>::client(n % 60'000); };
  const auto port_of = [](unsigned n) { return base::Be16{static_cast<std::uint16_t>(1'000 + n / 60'000)}; };
  Stream asking(0), answering(1);
  const auto ask = [&](unsigned n) {
    asking.reset();
    asking.wire().ip.src = client_of(n);
    asking.wire().udp.src = port_of(n);
    dp::Packet p = asking.packet();
    dp::process_burst({&p, 1}, dp::Origin::port, b.snapshot(), w, b.now());
    return p.verdict;
  };

  std::vector<Pair> pairs(kFlows);
  for (unsigned n = 0; n < kFlows; ++n) {
    ASSERT_EQ(ask(n), Verdict::forward) << n;
    pairs[n] = {asking.wire().ip.dst, asking.wire().udp.src};
  }
  ASSERT_EQ(w.flows_v4.size(), kFlows);
  ASSERT_EQ(b.leased_ports(), kFlows);

  for (unsigned n = 0; n < kFlows; ++n) {
    ASSERT_EQ(ask(n), Verdict::forward);
    ASSERT_EQ(asking.wire().udp.src, pairs[n].local_port) << n;
    ASSERT_EQ(asking.wire().ip.dst, pairs[n].server) << n;
    answering.reset();
    answering.wire().ip.src = pairs[n].server;
    answering.wire().udp.dst = pairs[n].local_port;
    dp::Packet p = answering.packet();
    dp::process_burst({&p, 1}, dp::Origin::port, b.snapshot(), w, b.now());
    ASSERT_EQ(p.verdict, Verdict::forward);
    ASSERT_EQ(answering.wire().ip.dst, client_of(n)) << n;
    ASSERT_EQ(answering.wire().udp.dst, port_of(n)) << n;
  }
  ASSERT_EQ(w.flows_v4.size(), kFlows);

  std::size_t pools = 0;
  for (const dp::PortPool* pool : b.snapshot().services->pools) pools += pool == nullptr ? 0 : pool->bytes();
  // Whatever else a worker has is there without any flow, but for the scheduler's counters per server.
  const std::size_t others = kServers * sizeof(dp::ServerCounters) + sizeof(dp::WorkerState);
  const double each = static_cast<double>(w.flows_v4.bytes() + pools + others) / kFlows;
  std::printf("1,000,000 IPv4 flows: %.1f bytes each (table %.1f, source ports %.1f, others %.3f)\n", each,
              static_cast<double>(w.flows_v4.bytes()) / kFlows, static_cast<double>(pools) / kFlows,
              static_cast<double>(others) / kFlows);
  RecordProperty("bytes_per_flow_tenths", static_cast<int>(each * 10));
  EXPECT_LE(each, 128.0);

  b.advance(61'000, 100);
  EXPECT_EQ(w.flows_v4.size(), 0U);
  EXPECT_EQ(b.leased_ports(), 0U);
  for (const dp::PortPool* pool : b.snapshot().services->pools) {
    if (pool != nullptr) {
      EXPECT_EQ(pool->available(), pool->total());
    }
  }
  EXPECT_EQ(ask(7), Verdict::forward) << "and all begins anew";
}

}  // namespace
}  // namespace sluice::test
