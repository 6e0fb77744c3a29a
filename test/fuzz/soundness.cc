#include "test/fuzz/soundness.h"

#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "dp/flow/attempt.h"
#include "dp/flow/flow_life.h"

namespace sluice::test {
namespace {

template <Family F>
std::string text_of(const dp::FlowKey<F>& key) {
  return {reinterpret_cast<const char*>(&key), sizeof(key)};
}

/// Flows and connections, by slot.
struct Held {
  std::map<std::uint16_t, std::uint32_t> flows, connections;  // of servers
  std::map<std::uint16_t, std::uint32_t> of_services;         // connections
};

/// Goes over one worker's flows of a family. Returns how many are handshakes.
template <Family F>
std::uint32_t expect_sound_table(Balancer& b, unsigned id, std::set<std::string>& clients,
                                 std::set<std::string>& servers, Held& held) {
  const auto& table = b.worker(id).flows<F>();
  std::uint32_t used = 0, handshakes = 0;
  for (std::uint32_t n = 0; n < table.used_records(); ++n) {
    const dp::Flow<F>& flow = table.flow(n);
    if (flow.state == FlowState::unused) continue;
    ++used;
    EXPECT_TRUE(clients.insert(text_of(flow.client_key())).second) << "two flows of one client's port";
    EXPECT_TRUE(servers.insert(text_of(flow.server_key())).second) << "two flows share a reply key";
    const auto leads = [&](const dp::FlowKey<F>& key, Direction direction) {
      const auto found = table.find(key, table.hash(key));
      return found && found.flow == n && found.direction == direction;
    };
    EXPECT_TRUE(leads(flow.client_key(), Direction::to_server))
        << "a client's packet finds another flow, or none";
    EXPECT_TRUE(leads(flow.server_key(), Direction::to_client)) << "a reply finds another flow, or none";
    const bool leased = table.detail(n).pool != dp::kNoIndex;
    const std::uint64_t hash = table.client_hash(flow.local, flow.local_port, flow.proto);
    EXPECT_EQ(leased ? flow.local_port.host() % b.workers() : dp::owner_of_hash(hash, b.workers()), id)
        << "a reply would lead to another worker";
    ++held.flows[flow.server_slot];
    if (dp::class_of(flow.state) != FlowClass::closed) {
      ++held.connections[flow.server_slot];
      ++held.of_services[flow.service];
    }
    handshakes += dp::is_handshake(flow) ? 1 : 0;
  }
  EXPECT_EQ(used, table.size());
  return handshakes;
}

void expect_counters_add_up(Balancer& b, const Held& held) {
  const auto of = [](const std::map<std::uint16_t, std::uint32_t>& counts, std::size_t slot) {
    const auto found = counts.find(static_cast<std::uint16_t>(slot));
    return found == counts.end() ? 0U : found->second;
  };
  std::uint64_t connections = 0;
  const std::size_t slots = b.snapshot().services->servers.size();
  for (std::size_t slot = 0; slot < slots; ++slot) {
    std::uint64_t begun = 0, ended = 0, closed = 0, failed = 0, failures = 0;
    for (unsigned id = 0; id < b.workers(); ++id) {
      const dp::ServerCounters& c = b.worker(id).servers[slot];
      begun += c.connections_new.get();
      ended += c.connections_ended.get();
      closed += c.connections_closed.get();
      failed += c.connections_failed.get();
      const dp::ServerHandshakes& h = b.worker(id).handshakes[slot];
      failures += h.refused.get() + h.unreachable.get() + h.unanswered.get();
    }
    EXPECT_EQ(begun - ended, of(held.flows, slot)) << "of server slot " << slot;
    EXPECT_EQ(begun - closed, of(held.connections, slot)) << "of server slot " << slot;
    EXPECT_EQ(failed, failures) << "of server slot " << slot;
    EXPECT_EQ(b.load().servers[slot].open.taken(), of(held.connections, slot)) << "of server slot " << slot;
    connections += of(held.connections, slot);
  }
  EXPECT_EQ(b.load().open.taken(), connections) << "a place for each connection";
  for (std::size_t slot = 0; slot < b.snapshot().services->services.size(); ++slot) {
    EXPECT_EQ(b.load().services[slot].open.taken(), of(held.of_services, slot)) << "of service slot " << slot;
  }
}

/// Of the flows of one worker and family, as of Census.
template <Family F, typename Note>
void for_each_flow(dp::WorkerState& worker, Note&& note) {
  const auto& table = worker.flows<F>();
  for (std::uint32_t n = 0; n < table.used_records(); ++n) {
    const dp::Flow<F>& flow = table.flow(n);
    if (flow.state == FlowState::unused) continue;
    note(FlowName{worker.id, F, n, table.detail(n).created.ms}, flow, table.detail(n));
  }
}

}  // namespace

void expect_sound(Balancer& b) {
  std::set<std::string> clients, servers;
  Held held;
  for (unsigned id = 0; id < b.workers(); ++id) {
    const std::uint32_t handshakes = expect_sound_table<Family::v4>(b, id, clients, servers, held) +
                                     expect_sound_table<Family::v6>(b, id, clients, servers, held);
    EXPECT_EQ(b.worker(id).handshakes_open, handshakes);
  }
  EXPECT_EQ(b.leased_ports(), b.flows() - b.flows_without_lease())
      << "a source port for each flow that needs one, a flow for each source port";
  expect_counters_add_up(b, held);
  b.expect_clients_add_up();
  b.expect_stored_syns_add_up();
  b.expect_kept_add_up();
}

void expect_all_ends(Balancer& b) {
  b.advance(2 * 3'600'000, 60'000);
  EXPECT_EQ(b.flows(), 0U) << "after two hours of silence";
  for (unsigned id = 0; id < b.workers(); ++id) {
    const dp::WorkerState& worker = b.worker(id);
    EXPECT_EQ(worker.fragments.datagrams(), 0U);
    EXPECT_EQ(worker.fragments.kept(), 0U);
    EXPECT_EQ(worker.syns.used(), 0U);
    EXPECT_EQ(worker.handshakes_open, 0U);
  }
  for (const dp::PortPool* pool : b.snapshot().services->pools) {
    if (pool != nullptr) {
      EXPECT_EQ(pool->available(), pool->total());
    }
  }
  expect_sound(b);
}

Census::Census(Balancer& b) {
  for (unsigned id = 0; id < b.workers(); ++id) {
    dp::WorkerState& worker = b.worker(id);
    const auto note = [&]<Family F>(const FlowName& name, const dp::Flow<F>& flow,
                                    const dp::FlowDetail& detail) {
      Kind kind = Kind::connection;
      if (flow.proto != base::IpProto::tcp || dp::class_of(flow.state) == FlowClass::closed) {
        kind = Kind::other;
      } else if ((flow.flags & dp::Flow<F>::kKilled) != 0) {
        kind = Kind::killed;
      } else if (flow.state == FlowState::syn_sent && dp::has_attempts_left(detail, worker)) {
        kind = Kind::attempt;
      }
      flows_[name] = kind;
    };
    for_each_flow<Family::v4>(worker, note);
    for_each_flow<Family::v6>(worker, note);
    killed_ += worker.counters.killed.get();
    timed_out_ += worker.counters.timed_out.get();
  }
}

Census::Change Census::since(const Census& before) const {
  Change change{.killed = killed_ - before.killed_, .timed_out = timed_out_ - before.timed_out_, .gone = {}};
  for (const auto& [name, kind] : before.flows_) {
    if (!flows_.contains(name)) ++change.gone[static_cast<std::size_t>(kind)];
  }
  return change;
}

}  // namespace sluice::test
