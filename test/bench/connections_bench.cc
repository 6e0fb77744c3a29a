// What a whole TCP connection costs one worker: SYN, SYN-ACK, ACK, FIN, FIN, ACK through all stages, in
// memory.
#include <cstring>
#include <span>

#include <benchmark/benchmark.h>

#include "base/checksum.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

constexpr Family F = Family::v4;

struct Wire {
  base::EthHdr eth;
  base::Ipv4Hdr ip;
  base::TcpHdr tcp;

  /// Of a segment without options and payload.
  void set_checksums() noexcept {
    ip.checksum = tcp.checksum = {};
    ip.checksum = base::ipv4_checksum(std::as_bytes(std::span(&ip, 1)));
    tcp.checksum = base::l4_checksum(ip.src, ip.dst, base::IpProto::tcp, std::as_bytes(std::span(&tcp, 1)));
  }
};

/// A frame that is sent again and again with other addresses, ports and numbers. Checksums are left out, but
/// of SYNs, of which alone they are verified.
class Stream {
 public:
  Stream(std::uint16_t port, const Bytes& frame)
      : port_(port), length_(frame.size()), original_(Balancer::kHeadroom + frame.size()) {
    std::memcpy(original_.data() + Balancer::kHeadroom, frame.data(), frame.size());
    buffer_ = original_;
  }
  Wire& fresh() {
    std::memcpy(buffer_.data(), original_.data(), buffer_.size());
    return wire();
  }
  Wire& wire() { return *base::at<Wire>(std::span(buffer_), Balancer::kHeadroom); }
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
  std::size_t length_;
  Bytes original_, buffer_;
};

/// `flows`: connections that are remembered meanwhile.
void connect_and_close(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  Balancer::Options options;
  options.limits.flows_per_worker = flows;
  options.limits.half_open_per_worker = 65'536;
  Balancer b(options);
  auto service = web<F>(16);
  service.source_ports = {1'024, 65'535};
  service.retries = static_cast<std::uint16_t>(state.range(1));
  b.configure({service});
  Stream client(0, from_client<F>({}, Net<F>::vip()).tcp(1, kPort, SYN).bytes());
  Stream server(1, from_server<F>(0, Net<F>::vip()).tcp(kServerPort, 1, SYN).bytes());

  unsigned n = 0;
  const auto send = [&](Stream& stream) {
    dp::Packet p = stream.packet();
    dp::process_burst({&p, 1}, dp::Origin::port, b.snapshot(), b.worker(), b.now());
    if (p.verdict != Verdict::forward) state.SkipWithError(std::string(dp::info(p.reason).name).c_str());
  };
  const auto connection = [&] {
    const auto address = Net<F>::client(n % 60'000);
    const base::Be16 port{static_cast<std::uint16_t>(1'000 + n / 60'000 % 60'000)};
    ++n;
    const auto of_client = [&](Flags flags, std::uint32_t seq, std::uint32_t ack) {
      Wire& w = client.fresh();
      w.ip.src = address;
      w.tcp.src = port;
      w.tcp.flags.bits = flags.bits;
      w.tcp.seq = base::Be32{seq};
      w.tcp.ack = base::Be32{ack};
      if (flags == SYN) w.set_checksums();
      send(client);
    };
    of_client(SYN, 100, 0);
    const base::Ipv4 chosen = client.wire().ip.dst;
    const base::Be16 local_port = client.wire().tcp.src;
    const std::uint32_t shift = client.wire().tcp.seq.host() - 100;
    const auto of_server = [&](Flags flags, std::uint32_t seq, std::uint32_t ack) {
      Wire& w = server.fresh();
      w.ip.src = chosen;
      w.tcp.dst = local_port;
      w.tcp.flags.bits = flags.bits;
      w.tcp.seq = base::Be32{seq};
      w.tcp.ack = base::Be32{ack + shift};
      send(server);
    };
    of_server(SYN | ACK, 900, 101);
    of_client(ACK, 101, 901);
    of_client(FIN | ACK, 101, 901);
    of_server(FIN | ACK, 901, 102);
    of_client(ACK, 102, 902);
  };
  while (b.flows() + 1 < flows && !state.error_occurred()) connection();
  for (auto _ : state) connection();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(connect_and_close)->ArgNames({"flows", "retries"})->ArgsProduct({{1'000, 500'000}, {0, 3}});

}  // namespace
}  // namespace sluice::test

BENCHMARK_MAIN();
