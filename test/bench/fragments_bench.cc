// What a datagram of 8,000 bytes in six fragments costs one worker: put together and taken apart again by
// librte_ip_frag, or each fragment forwarded by itself (dp/fragments.h) through all stages. Both begin with
// mbufs filled as a NIC would, and end with freeing them. And what a whole packet costs beside that.
#include <cstdio>
#include <cstring>
#include <iterator>

#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ip_frag.h>
#include <rte_mbuf.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

constexpr Family F = Family::v4;
constexpr std::size_t kMtu = 1500;
constexpr unsigned kClients = 1'000;

rte_mempool* pool() {
  static rte_mempool* const pool =
      ::rte_pktmbuf_pool_create("frames", 8'191, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  return pool;
}

PacketBuilder datagram(unsigned client, std::size_t length) {
  return from_client<F>(Net<F>::client(client), Net<F>::vip()).udp(5'000, kPort).payload(length);
}

std::vector<std::vector<Bytes>> datagrams(std::size_t length) {
  std::vector<std::vector<Bytes>> all;
  for (unsigned n = 0; n < kClients; ++n) all.push_back(fragments(datagram(n, length).bytes(), kMtu, n));
  return all;
}

rte_mbuf* received(const Bytes& frame) {
  rte_mbuf* m = ::rte_pktmbuf_alloc(pool());
  std::memcpy(::rte_pktmbuf_append(m, static_cast<std::uint16_t>(frame.size())), frame.data(), frame.size());
  return m;
}

void reassembled(benchmark::State& state) {
  const auto all = datagrams(static_cast<std::size_t>(state.range(0)));
  rte_ip_frag_tbl* table =
      ::rte_ip_frag_table_create(1'024, 4, 4'096, ::rte_get_tsc_hz() * 5, static_cast<int>(SOCKET_ID_ANY));
  rte_ip_frag_death_row row{};
  unsigned n = 0;
  for (auto _ : state) {
    rte_mbuf* whole = nullptr;
    for (const Bytes& frame : all[n % kClients]) {
      rte_mbuf* m = received(frame);
      m->l2_len = 14;
      m->l3_len = 20;
      auto* ip = rte_pktmbuf_mtod_offset(m, rte_ipv4_hdr*, 14);
      whole = ::rte_ipv4_frag_reassemble_packet(table, &row, m, ::rte_rdtsc(), ip);
      ::rte_ip_frag_free_death_row(&row, 0);
    }
    ++n;
    if (whole == nullptr) {
      state.SkipWithError("more fragments than librte_ip_frag takes");
      break;
    }
    ::rte_pktmbuf_adj(whole, 14);
    rte_mbuf* out[16];
    const int pieces = ::rte_ipv4_fragment_packet(whole, out, std::size(out), kMtu, pool(), pool());
    if (pieces < 0) state.SkipWithError("not fragmented");
    for (int i = 0; i < pieces; ++i) {
      (void)::rte_pktmbuf_prepend(out[i], 14);
      ::rte_pktmbuf_free(out[i]);
    }
    ::rte_pktmbuf_free(whole);
  }
  ::rte_ip_frag_table_destroy(table);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(reassembled)->Arg(8'000)->Arg(20'000);

dp::Packet packet_of(rte_mbuf* m) {
  dp::Packet p;
  p.bytes = {rte_pktmbuf_mtod(m, std::byte*), m->data_len};
  p.mbuf = m;
  p.frame_length = m->pkt_len;
  p.headroom = m->data_off;
  return p;
}

void run(benchmark::State& state, const std::vector<std::vector<Bytes>>& all) {
  Balancer b;
  b.configure({dns<F>(4)});
  unsigned n = 0;
  std::vector<dp::Packet> burst;
  for (auto _ : state) {
    burst.clear();
    for (const Bytes& frame : all[n % kClients]) burst.push_back(packet_of(received(frame)));
    ++n;
    for (std::span<dp::Packet> rest(burst); !rest.empty();) {
      const auto some = rest.first(std::min(rest.size(), dp::kBurst));
      dp::process_burst(some, dp::Origin::port, b.snapshot(), b.worker(), b.now());
      rest = rest.subspan(some.size());
    }
    for (const dp::Packet& p : burst) {
      if (p.verdict != Verdict::forward) state.SkipWithError(std::string(dp::info(p.reason).name).c_str());
      ::rte_pktmbuf_free(p.mbuf);
    }
  }
  state.SetItemsProcessed(state.iterations());
}

void tracked(benchmark::State& state) {
  run(state, datagrams(static_cast<std::size_t>(state.range(0))));
}
BENCHMARK(tracked)->Arg(8'000)->Arg(20'000);

/// As many whole packets of the same size as the datagram has fragments.
void whole_packets(benchmark::State& state) {
  std::vector<std::vector<Bytes>> all;
  const auto pieces = static_cast<std::size_t>(state.range(0));
  for (unsigned n = 0; n < kClients; ++n) all.emplace_back(pieces, datagram(n, kMtu - 28).bytes());
  run(state, all);
}
BENCHMARK(whole_packets)->Arg(6);

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
  char arguments[][24]{"fragments_bench", "--no-huge",   "--no-pci",   "--no-shconf", "-m", "128", "-l", "0",
                       "--no-telemetry",  "--log-level", "lib.*:error"};
  std::vector<char*> eal;
  for (auto& argument : arguments) eal.push_back(argument);
  if (::rte_eal_init(static_cast<int>(eal.size()), eal.data()) < 0) {
    std::fputs("fragments_bench: EAL does not start\n", stderr);
    return 1;
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
