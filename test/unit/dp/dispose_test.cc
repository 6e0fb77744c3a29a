// Whatever becomes of a packet, its mbufs are let go of once: the pool counts them. Over a device that takes
// all it is given (net_null), without hugepages.
#include "dp/dispose.h"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "dp/eal.h"
#include "test/fuzz/choices.h"
#include "test/packet_builder.h"

namespace sluice::test {
namespace {

using dp::DropReason;
using dp::Verdict;

constexpr std::uint16_t kWorkers = 2;
constexpr dp::AdjacencyId kOut = 0, kToNoPort = 1;

dp::Snapshot two_hops() {
  dp::Adjacency out;
  out.header_length = 14;
  out.state = dp::AdjacencyState::reachable;
  out.port = 0;
  out.mtu = 1500;
  dp::Adjacency to_no_port = out;
  to_no_port.port = 7;
  dp::Snapshot snapshot;
  snapshot.workers = kWorkers;
  snapshot.next_hops = std::make_shared<dp::AdjacencyTable>(
      std::vector{out, to_no_port}, dp::AdjacencyTable::Routing<base::Family::v4>{},
      dp::AdjacencyTable::Routing<base::Family::v6>{}, 1);
  return snapshot;
}

/// The frame in mbufs, in one or cut into two.
dp::Packet received(const Bytes& frame, bool in_two, rte_mempool* pool) {
  const std::size_t cut = in_two ? 200 : frame.size();
  const auto mbuf_of = [pool](std::span<const std::byte> bytes) {
    rte_mbuf* mbuf = ::rte_pktmbuf_alloc(pool);
    std::ranges::copy(bytes, reinterpret_cast<std::byte*>(
                                 ::rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(bytes.size()))));
    return mbuf;
  };
  rte_mbuf* first = mbuf_of(std::span(frame).first(cut));
  if (in_two) {
    EXPECT_EQ(::rte_pktmbuf_chain(first, mbuf_of(std::span(frame).subspan(cut))), 0);
  }
  dp::Packet packet;
  packet.bytes = {rte_pktmbuf_mtod(first, std::byte*), first->data_len};
  packet.mbuf = first;
  packet.frame_length = first->pkt_len;
  packet.headroom = ::rte_pktmbuf_headroom(first);
  return packet;
}

/// Any verdict; `kept` has a place for each that is to be kept.
void decide(dp::Packet& packet, Choices& choices, std::vector<std::uint16_t>& kept) {
  packet.verdict = static_cast<Verdict>(choices.below(static_cast<std::uint32_t>(Verdict::drop) + 1));
  packet.reason = DropReason::no_flow;
  packet.tag.known = choices.one_in(4);
  packet.meta.next_hop = choices.one_in(8) ? kToNoPort : kOut;
  packet.meta.owner = 1;
  if (packet.verdict == Verdict::forward && choices.one_in(2)) packet.meta.split_mtu = 576;
  if (packet.verdict == Verdict::reflect)
    packet.frame_length = static_cast<std::uint32_t>(packet.bytes.size());
  if (packet.verdict != Verdict::keep) return;
  if (kept.size() == dp::Fragments::kPlaces) {
    packet.verdict = Verdict::drop;
    return;
  }
  packet.meta.place = static_cast<std::uint16_t>(kept.size());
  kept.push_back(packet.meta.place);
}

TEST(Dispose, LetsGoOfEachMbufOnce) {
  config::Port port;
  port.name = "out";
  port.kind = config::DeviceKind::vdev;
  port.argument = "net_null0";
  port.twin = false;
  const auto plan =
      dp::plan_ports({port}, {.workers = kWorkers, .private_bytes = 0, .mbufs_in_flight = 4'096});
  ASSERT_TRUE(plan) << plan.error().message;
  config::Dataplane dataplane;
  dataplane.workers = kWorkers;
  dataplane.hugepages = config::Hugepages::off;
  dataplane.flows_per_worker = 16;
  const std::string directory = testing::TempDir() + "dispose_test." + std::to_string(::getpid());
  std::filesystem::create_directory(directory);
  const auto eal =
      dp::Eal::start({.dataplane = dataplane, .runtime_dir = directory, .caller_memory_mb = 8}, *plan);
  ASSERT_TRUE(eal) << eal.error().message;
  auto ports = dp::open_ports(*plan, *eal);
  ASSERT_TRUE(ports) << ports.error().message;
  const auto tag = dp::MbufTag::make();
  ASSERT_TRUE(tag) << tag.error().message;
  dp::Load load;
  dp::AdjacencyUse hop_use;
  const auto worker =
      dp::WorkerState::create(0, kWorkers, dataplane, {1, 2, 3, 4}, hop_use, load, base::Tick{1});
  ASSERT_TRUE(worker) << worker.error().message;
  const dp::Snapshot snapshot = two_hops();
  const Bytes frame = eth().ip4(v4("10.9.0.1"), v4("10.1.0.1")).udp(1'000, 80).payload(1'400).bytes();

  rte_mempool* pool = ports->pool();
  const unsigned before = ::rte_mempool_avail_count(pool);
  {
    auto handover = dp::Handover::make(kWorkers);
    ASSERT_TRUE(handover) << handover.error().message;
    dp::Disposer disposer(**worker, *ports, *handover, *tag);
    Dice dice(3);
    std::vector<std::uint16_t> kept;
    for (unsigned round = 0; round < 1'500; ++round) {
      std::vector<dp::Packet> burst;
      for (unsigned n = 0; n < 32; ++n) {
        decide(burst.emplace_back(received(frame, dice.one_in(2), pool)), dice, kept);
      }
      disposer.dispose(burst, snapshot, base::Tick{1});
      disposer.flush();
      EXPECT_LT(::rte_mempool_avail_count(pool), before) << "some are kept, parked or handed over";
      // What waits leaves the disposer now and then; what it still has at its end it must free.
      if (!dice.one_in(400)) continue;
      for (const std::uint16_t place : kept) ::rte_pktmbuf_free(disposer.take_kept(place));
      kept.clear();
      std::array<dp::Parking::Place, dp::Parking::kPlaces> parked;
      const std::uint32_t count = disposer.parking().take_all(parked);
      for (std::uint32_t n = 0; n < count; ++n) ::rte_pktmbuf_free(parked[n].mbuf);
      rte_mbuf* mbufs[64];
      while (const std::uint16_t taken = handover->pop(0, 1, mbufs, 64))
        ::rte_pktmbuf_free_bulk(mbufs, taken);
    }
  }
  EXPECT_EQ(::rte_mempool_avail_count(pool), before);
  const dp::WorkerCounters& counters = (*worker)->counters;
  for (const dp::Counter* counter : {&counters.forwarded, &counters.reflected, &counters.handed_over,
                                     &counters.held, &counters.kept, &counters.parked}) {
    EXPECT_GT(counter->get(), 0U);
  }
  for (const DropReason reason :
       {DropReason::neighbour_queue_full, DropReason::handover_full, DropReason::no_route}) {
    EXPECT_GT(counters.drops[static_cast<std::size_t>(reason)].get(), 0U) << dp::info(reason).name;
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sluice::test
