// Frames by the million through the packet path: nothing may crash, each ends in one verdict, and what leaves
// is right if what came was right (the Balancer fixture looks at every frame).
#include <algorithm>
#include <cstdio>
#include <deque>
#include <set>

#include <gtest/gtest.h>

#include "dp/flow/flow_life.h"
#include "test/fuzz/budget.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

/// Few of everything: source ports, places, patience; so that all that can run out does.
config::ForwardingService small_ports(config::ForwardingService service) {
  service.source_ports = {20'000, 20'019};
  service.retries = 2;
  for (std::size_t n = 0; n < service.servers.size(); ++n) {
    service.servers[n].maxconn = static_cast<std::uint32_t>(3 + n);
    service.servers[n].maxqueue = 2;
  }
  return service;
}

/// Limits, retries and policies as they may stand in any configuration.
void vary(config::ForwardingService& service, Dice& dice) {
  if (dice.one_in(3)) service.maxconn = dice.below(8);
  if (dice.one_in(3)) service.retries = static_cast<std::uint16_t>(dice.below(4));
  if (dice.one_in(3)) service.redispatch = false;
  if (dice.one_in(2)) service.syn_cookies = config::SynCookies(dice.below(3));
  if (dice.one_in(3)) service.no_server = config::NoServer(dice.below(3));
  if (dice.one_in(3)) service.timeouts.queue = config::Milliseconds(1 + dice.below(60'000));
  if (dice.one_in(3)) service.timeouts.connect = config::Milliseconds(1 + dice.below(10'000));
  for (auto& server : service.servers) {
    server.maxconn = dice.below(6);
    server.maxqueue = dice.below(3);
    server.weight = dice.one_in(6) ? 0 : 1 + dice.below(3);
  }
}

std::vector<config::ForwardingService> all_services() {
  auto web6 = web<Family::v6>(2), dns6 = dns<Family::v6>(2);
  web6.name = "web6";
  dns6.name = "dns6";
  return {small_ports(web<Family::v4>(2)), small_ports(dns<Family::v4>(2)), small_ports(web6),
          small_ports(dns6)};
}

Balancer::Options cramped(unsigned workers) {
  Balancer::Options options;
  options.workers = workers;
  options.limits.flows_per_worker = 24;
  options.limits.half_open_per_worker = 8;
  options.limits.syn_backlog = 4;
  options.limits.rst_per_second = 1'000;
  options.limits.icmp_per_second = 1'000;
  return options;
}

/// What must hold of the tables at any time.
template <Family F>
void expect_sound(Balancer& b) {
  std::set<std::string> clients, servers;
  for (unsigned id = 0; id < b.workers(); ++id) {
    const auto& table = b.worker(id).flows<F>();
    std::uint32_t used = 0;
    for (std::uint32_t n = 0; n < table.used_records(); ++n) {
      const dp::Flow<F>& flow = table.flow(n);
      if (flow.state == FlowState::unused) continue;
      ++used;
      const auto text = [](const dp::FlowKey<F>& k) {
        return std::string(reinterpret_cast<const char*>(&k), sizeof(k));
      };
      ASSERT_TRUE(clients.insert(text(flow.client_key())).second) << "two flows of one client's port";
      ASSERT_TRUE(servers.insert(text(flow.server_key())).second) << "two flows share a reply key";
      ASSERT_EQ(flow.local_port.host() % b.workers(), id);
    }
    ASSERT_EQ(used, table.size());
  }
}

/// Of TCP flows whose handshake is not done.
template <Family F>
std::uint32_t handshakes(const dp::FlowTable<F>& table) {
  std::uint32_t count = 0;
  for (std::uint32_t n = 0; n < table.used_records(); ++n) count += dp::is_handshake(table.flow(n)) ? 1 : 0;
  return count;
}
void expect_handshakes_add_up(Balancer& b) {
  for (unsigned id = 0; id < b.workers(); ++id) {
    const dp::WorkerState& worker = b.worker(id);
    ASSERT_EQ(worker.handshakes_open, handshakes(worker.flows_v4) + handshakes(worker.flows_v6));
  }
}

void finish(Balancer& b) {
  ASSERT_EQ(b.leased_ports(), b.flows());
  b.advance(2 * 3'600'000, 5'000);
  ASSERT_EQ(b.flows(), 0U) << "after two hours of silence";
  for (const dp::PortPool* pool : b.snapshot().services->pools) {
    if (pool != nullptr) {
      ASSERT_EQ(pool->available(), pool->total());
    }
  }
}

/// Bytes that hurt parsers.
std::byte nasty(Dice& dice) {
  constexpr std::uint8_t kBytes[]{0,    1,    4,    5,    6,    8,    0x11, 0x2b, 0x2c, 0x3a, 0x3c,
                                  0x40, 0x45, 0x60, 0x7f, 0x80, 0x81, 0x86, 0x88, 0xa8, 0xdd, 0xff};
  return dice.one_in(2) ? std::byte{kBytes[dice.below(sizeof(kBytes))]} : std::byte(dice.below(256));
}

TEST(PipelineFuzz, RandomBytes) {
  Balancer b(cramped(1));
  b.configure(all_services());
  Dice dice(11);
  std::uint64_t frames = 0;
  std::array<std::uint64_t, 9> verdicts{};
  constexpr std::size_t kMost = 160;
  for (const Budget budget; budget.left();) {
    for (int round = 0; round < 200; ++round) {
      std::vector<Bytes> buffers(dp::kBurst);
      std::vector<dp::Packet> burst(dp::kBurst);
      for (std::size_t i = 0; i < burst.size(); ++i) {
        const std::size_t length = dice.below(kMost);
        Bytes& buffer = buffers[i];
        buffer.resize(Balancer::kHeadroom + length);
        for (std::size_t at = Balancer::kHeadroom; at < buffer.size(); ++at) buffer[at] = nasty(dice);
        // Most are made to look like IP to us, and stay random behind that.
        const std::size_t eth = Balancer::kHeadroom;
        if (length >= 14 && !dice.one_in(8)) {
          const base::Mac mac = Balancer::port_mac(0);
          std::copy_n(reinterpret_cast<const std::byte*>(mac.bytes.data()), 6, buffer.begin() + eth);
          const bool v6 = dice.one_in(2);
          buffer[eth + 12] = std::byte{static_cast<std::uint8_t>(v6 ? 0x86 : 0x08)};
          buffer[eth + 13] = std::byte{static_cast<std::uint8_t>(v6 ? 0xdd : 0x00)};
          if (v6 && length >= 54) {
            buffer[eth + 14] = std::byte{0x60};
            const auto vip = Net<Family::v6>::vip();
            std::copy_n(reinterpret_cast<const std::byte*>(vip.bytes.data()), 16, buffer.begin() + eth + 38);
            buffer[eth + 18] = std::byte{0};
            buffer[eth + 19] = std::byte(dice.below(static_cast<std::uint32_t>(length)));
            if (!dice.one_in(4)) buffer[eth + 20] = std::byte(dice.one_in(2) ? 6 : 17);
            if (length >= 58 && !dice.one_in(4)) {
              buffer[eth + 56] = std::byte{0};
              buffer[eth + 57] = std::byte{kPort};
            }
          } else if (!v6 && length >= 34) {
            buffer[eth + 14] = std::byte(0x40 | dice.below(16));
            buffer[eth + 16] = std::byte{0};
            buffer[eth + 17] = std::byte(dice.below(static_cast<std::uint32_t>(length)));
            const base::Be32 vip = Net<Family::v4>::vip().value;
            std::copy_n(reinterpret_cast<const std::byte*>(&vip), 4, buffer.begin() + eth + 30);
            if (dice.one_in(2)) buffer[eth + 20] = buffer[eth + 21] = std::byte{0};
            if (!dice.one_in(4)) buffer[eth + 14] = std::byte{0x45};
            if (!dice.one_in(4)) buffer[eth + 23] = std::byte(dice.one_in(2) ? 6 : 17);
            if (length >= 38 && !dice.one_in(4)) {
              buffer[eth + 36] = std::byte{0};
              buffer[eth + 37] = std::byte{kPort};
            }
          }
        }
        burst[i].bytes = std::span(buffer).subspan(Balancer::kHeadroom);
        burst[i].frame_length = static_cast<std::uint32_t>(length);
        burst[i].headroom = Balancer::kHeadroom;
      }
      dp::process_burst(burst, dp::Origin::port, b.snapshot(), b.worker(), b.now());
      for (const dp::Packet& p : burst) {
        ++verdicts[static_cast<std::size_t>(p.verdict)];
        ASSERT_NE(p.verdict, Verdict::pending);
        if (p.verdict == Verdict::drop || p.verdict == Verdict::reflect) {
          ASSERT_NE(p.reason, DropReason::none);
        }
      }
      frames += burst.size();
    }
    b.worker().fragments = {};  // the frames that it would have kept are gone
    b.advance(dice.below(3'000));
    expect_sound<Family::v4>(b);
    expect_sound<Family::v6>(b);
    expect_handshakes_add_up(b);
    if (HasFatalFailure()) return;
  }
  finish(b);
  const auto count = [&](Verdict v) {
    return static_cast<unsigned long long>(verdicts[static_cast<std::size_t>(v)]);
  };
  std::printf("%llu random frames: %llu forwarded, %llu reflected, %llu held, %llu punted, %llu dropped\n",
              static_cast<unsigned long long>(frames), count(Verdict::forward), count(Verdict::reflect),
              count(Verdict::hold), count(Verdict::punt), count(Verdict::drop));
}

/// A network of few clients, few servers and their flows, all of whose members talk nonsense at times.
template <Family F>
class Crowd {
 public:
  Crowd(Balancer& b, Dice& dice) : b_(b), dice_(dice) {}

  Bytes any_frame() {
    if (dice_.one_in(5)) return fragment();
    if (!cookies_.empty() && dice_.one_in(4)) return returned();
    switch (dice_.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3: return of_client().bytes();
      case 4:
      case 5:
      case 6:
      case 7: return of_server();
      case 8: return error_about_something();
      default: return mutated(sent_.empty() ? of_client().bytes() : sent_[dice_.below(size())]);
    }
  }
  void note(const Outcome& outcome) {
    if (outcome.reflected() && outcome.reason == DropReason::syn_cookie_sent) {
      const Seen answer = outcome.seen();
      if (answer.dst.family() == F) cookies_.push_back(answer);
      if (cookies_.size() > 4) cookies_.pop_front();
    }
    if (!outcome.forwarded()) return;
    sent_.push_back(outcome.out);
    if (sent_.size() > 32) sent_.pop_front();
  }

 private:
  std::uint32_t size() const { return static_cast<std::uint32_t>(sent_.size()); }
  Flags flags() {
    constexpr Flags kLikely[]{SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK};
    return dice_.one_in(10) ? Flags{static_cast<std::uint8_t>(dice_.below(256))} : kLikely[dice_.below(7)];
  }
  std::uint32_t number(std::uint32_t near) {
    switch (dice_.below(4)) {
      case 0: return near;
      case 1: return near + dice_.below(3) - 1;
      case 2: return near + dice_.below(5'000) - 2'500;
      default: return static_cast<std::uint32_t>(dice_.next());
    }
  }
  PacketBuilder dressed(PacketBuilder p) {
    if (dice_.one_in(6)) p.ttl(static_cast<std::uint8_t>(dice_.below(4)));
    if constexpr (F == Family::v4) {
      if (dice_.one_in(8)) p.options(4 * (1 + dice_.below(10)));
      if (dice_.one_in(8)) p.df();
    } else {
      if (dice_.one_in(8)) p.dest_opts(8 * (1 + dice_.below(3)));
      if (dice_.one_in(8)) p.hop_by_hop(8);
      if (dice_.one_in(16)) p.fragment(0, false, 1);
    }
    if (dice_.one_in(8)) p.padding(dice_.below(20));
    return p;
  }
  void tcp_options(PacketBuilder& p) {
    if (dice_.one_in(3)) p.mss(1460);
    if (dice_.one_in(3)) p.window_scale(static_cast<std::uint8_t>(dice_.below(16)));
    if (dice_.one_in(3)) p.timestamps(static_cast<std::uint32_t>(dice_.next()), 0);
    if (dice_.one_in(4)) p.sack_blocks({{number(0), number(0)}});
  }
  PacketBuilder of_client() {
    PacketBuilder p = dressed(from_client<F>(Net<F>::client(dice_.below(4)), Net<F>::vip()));
    const auto port = static_cast<std::uint16_t>(1'000 + dice_.below(4));
    const std::size_t length = dice_.one_in(40) ? 1'600 : dice_.below(100);
    if (dice_.one_in(3)) return p.udp(port, kPort).payload(length);
    p.tcp(port, kPort, flags()).seq(number(7'000)).ack(number(9'000));
    tcp_options(p);
    return p.payload(length);
  }
  /// A client's ACK that brings a SYN cookie back, or nearly.
  Bytes returned() {
    const Seen& answer = cookies_[dice_.below(static_cast<std::uint32_t>(cookies_.size()))];
    PacketBuilder p = dressed(from_client<F>(answer.dst.template as<F>(), answer.src.template as<F>()))
                          .tcp(answer.dport, answer.sport, dice_.one_in(8) ? flags() : ACK)
                          .window(static_cast<std::uint16_t>(dice_.next()));
    const bool exact = !dice_.one_in(4);
    p.seq(exact ? answer.ack : number(answer.ack)).ack(exact ? answer.seq + 1 : number(answer.seq + 1));
    return p.payload(dice_.one_in(4) ? dice_.below(100) : 0).bytes();
  }
  Bytes of_server() {
    auto& table = b_.worker(dice_.below(b_.workers())).template flows<F>();
    if (table.used_records() == 0) return of_client().bytes();
    const dp::Flow<F>& flow = table.flow(dice_.below(table.used_records()));
    const unsigned n = number_of_server<F>(flow.server);
    PacketBuilder p = dressed(from_server<F>(n % Balancer::kServers, flow.local));
    if (flow.proto == base::IpProto::udp) {
      return p.udp(flow.server_port.host(), flow.local_port.host()).payload(dice_.below(200)).bytes();
    }
    p.tcp(flow.server_port.host(), flow.local_port.host(), flags())
        .seq(number(9'000))
        .ack(number(flow.end[0]));
    tcp_options(p);
    return p.payload(dice_.below(200)).bytes();
  }
  /// One of those that are still on their way, in any order; some twice, some never, some of the same
  /// datagram cut otherwise.
  Bytes fragment() {
    constexpr std::size_t kHead = F == Family::v4 ? 34 : 54;
    while (on_their_way_.size() < 8) {
      const Bytes whole = dice_.one_in(2) ? of_client().bytes() : of_server();
      const bool is_ip = whole.size() > kHead + 24 && whole[12] == std::byte(F == Family::v4 ? 0x08 : 0x86);
      // Only what fragments() takes: no fragment header, and a packet that is there as a whole.
      if (!is_ip || whole[20] == std::byte{44} || !check(whole).empty()) return whole;
      const std::size_t mtu = (F == Family::v4 ? 60 + 8 : 40 + 96) + dice_.below(200);
      for (Bytes& piece : fragments(whole, mtu, dice_.below(6))) on_their_way_.push_back(std::move(piece));
    }
    const std::size_t at = dice_.below(static_cast<std::uint32_t>(on_their_way_.size()));
    Bytes piece = on_their_way_[at];
    if (!dice_.one_in(20)) on_their_way_.erase(on_their_way_.begin() + static_cast<std::ptrdiff_t>(at));
    if (dice_.one_in(50)) on_their_way_.clear();
    return dice_.one_in(30) ? mutated(piece) : piece;
  }
  Bytes error_about_something() {
    if (sent_.empty()) return of_client().bytes();
    const Bytes& about = sent_[dice_.below(size())];
    const Seen seen = see(about);
    if (seen.src.family() != F || seen.protocol == 1 || seen.protocol == 58) return of_client().bytes();
    const std::size_t most = about.size() - 14;
    const std::size_t n = dice_.one_in(3) ? dice_.below(static_cast<std::uint32_t>(most)) : most;
    const Bytes quote(about.begin() + 14, about.begin() + 14 + static_cast<std::ptrdiff_t>(n));
    const auto to = seen.src.template as<F>();
    PacketBuilder p = dice_.one_in(2) ? from_client<F>(Net<F>::router(), to)
                                      : from_client<F>(seen.dst.template as<F>(), to);
    p = dressed(p);
    if constexpr (F == Family::v4) {
      constexpr std::uint8_t kTypes[]{3, 4, 5, 11, 12, 8};
      p.icmp(kTypes[dice_.below(6)], static_cast<std::uint8_t>(dice_.below(6)), dice_.below(2'000));
    } else {
      p.icmp6(static_cast<std::uint8_t>(1 + dice_.below(5)), static_cast<std::uint8_t>(dice_.below(6)),
              dice_.below(2'000));
    }
    return p.raw(quote).bytes();
  }
  Bytes mutated(Bytes frame) {
    const std::uint32_t changes = 1 + dice_.below(4);
    for (std::uint32_t i = 0; i < changes && !frame.empty(); ++i) {
      const std::uint32_t at =
          dice_.below(std::min<std::uint32_t>(static_cast<std::uint32_t>(frame.size()), 120));
      switch (dice_.below(4)) {
        case 0: frame[at] ^= std::byte(1U << dice_.below(8)); break;
        case 1: frame[at] = nasty(dice_); break;
        case 2: frame.resize(at); break;
        default: frame.insert(frame.begin() + at, nasty(dice_)); break;
      }
    }
    return frame;
  }

  Balancer& b_;
  Dice& dice_;
  std::deque<Bytes> sent_;
  std::deque<Seen> cookies_;
  std::vector<Bytes> on_their_way_;
};

class Sequences : public testing::TestWithParam<unsigned> {};

TEST_P(Sequences, OfFewFlows) {
  const unsigned workers = GetParam();
  Dice dice(100 + workers);
  Balancer b(cramped(workers));
  b.configure(all_services());
  Crowd<Family::v4> v4(b, dice);
  Crowd<Family::v6> v6(b, dice);
  std::uint64_t frames = 0;
  for (const Budget budget(0.75); budget.left();) {
    for (int round = 0; round < 100; ++round) {
      std::vector<Bytes> burst;
      const std::uint32_t n = dice.one_in(2) ? 1 : 1 + dice.below(dp::kBurst);
      for (std::uint32_t i = 0; i < n; ++i) burst.push_back(dice.one_in(2) ? v4.any_frame() : v6.any_frame());
      const auto port = static_cast<std::uint16_t>(dice.below(2));
      for (Bytes& frame : burst) {  // most frames are for the port that they come to
        if (frame.size() >= 6 && !dice.one_in(50)) frame[5] = std::byte(port + 1);
      }
      const auto outcomes =
          b.burst(burst, {dice.below(workers), port, dice.one_in(10) ? std::size_t{512} : 0});
      for (const Outcome& o : outcomes) {
        v4.note(o);
        v6.note(o);
      }
      frames += n;
      if (HasFailure()) {
        for (const Bytes& frame : burst) ADD_FAILURE() << "in the burst: " << describe(frame);
        return;
      }
    }
    b.advance(dice.one_in(20) ? dice.below(200'000) : dice.below(500));
    expect_sound<Family::v4>(b);
    expect_sound<Family::v6>(b);
    expect_handshakes_add_up(b);
    if (dice.one_in(50)) {  // configuration changes while packets fly
      auto services = all_services();
      for (auto& service : services) {
        if (dice.one_in(2)) service.servers.erase(service.servers.begin());
        if (dice.one_in(4)) service.balance = config::Balance(dice.below(6));
        vary(service, dice);
      }
      if (dice.one_in(3)) services.erase(services.begin() + dice.below(4));
      b.configure(services);
      if (dice.one_in(3)) b.set_maxconn(dice.below(12));
    }
    if (dice.one_in(20)) {  // hosts come and go
      b.set_state(static_cast<dp::AdjacencyId>(Balancer::kFirstServer + dice.below(2)),
                  dice.one_in(2) ? dp::AdjacencyState::reachable : dp::AdjacencyState::failed);
    }
    if (dice.one_in(20)) b.settle();
    if (HasFailure()) return;
  }
  b.configure(all_services());
  b.set_maxconn(0);
  finish(b);
  std::uint64_t cookies = 0;
  for (unsigned id = 0; id < workers; ++id) cookies += b.worker(id).counters.cookies_returned.get();
  std::printf("%u workers: %llu frames of few flows, %llu handed over, %llu SYN cookies brought back\n",
              workers, static_cast<unsigned long long>(frames),
              static_cast<unsigned long long>(b.handed_over()), static_cast<unsigned long long>(cookies));
}

INSTANTIATE_TEST_SUITE_P(PipelineFuzz, Sequences, testing::Values(1U, 2U, 3U, 4U));

}  // namespace
}  // namespace sluice::test
