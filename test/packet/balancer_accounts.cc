// What the fixture looks at beside each packet: that accounts agree with what there is, and where frames
// leave.
#include <algorithm>

#include <gtest/gtest.h>

#include "test/packet/balancer.h"
#include "test/packet_check.h"

namespace sluice::test {

void Balancer::expect_right_hop(const Bytes& frame, std::uint16_t port) const {
  if (hops_renamed_) return;
  const Seen seen = see(frame);
  dp::AdjacencyId id = dp::kNoAdjacency;
  const auto look = [&](const auto& address, const auto& routes, const auto& neighbours) {
    const auto* best = &routes.front();
    for (const auto& route : routes) {
      const bool covers = base::Prefix{route.address, route.length}.contains(seen.dst);
      if (covers && route.length >= best->length) best = &route;
    }
    if (best->value.kind == dp::RouteKind::via) id = best->value.adjacency;
    if (best->value.kind != dp::RouteKind::on_link) return;
    for (const auto& neighbour : neighbours) {
      if (neighbour.address == address) id = neighbour.id;
    }
  };
  seen.dst.is_v4() ? look(seen.dst.v4(), routes_v4_, neighbours_v4_)
                   : look(seen.dst.v6(), routes_v6_, neighbours_v6_);
  if (id == dp::kNoAdjacency) {
    ADD_FAILURE() << "nobody is known there: " << describe(frame);
    return;
  }
  const dp::Adjacency& hop = adjacencies_[id];
  EXPECT_EQ(hop.state, dp::AdjacencyState::reachable) << describe(frame);
  EXPECT_EQ(port, hop.port) << describe(frame);
  EXPECT_LE(seen.ip_length, hop.mtu) << describe(frame);
  EXPECT_TRUE(std::equal(hop.header.begin(), hop.header.begin() + hop.header_length - 2, frame.begin()))
      << "not to next hop " << id << ": " << describe(frame);
}

void Balancer::expect_stored_syns_add_up() {
  std::uint32_t waiting = 0, shared = 0;
  for (unsigned id = 0; id < workers(); ++id) {
    dp::WorkerState* const w = &path_->worker(id);
    std::uint32_t bound = 0;
    const auto count = [&](const auto& flows) {
      for (std::uint32_t n = 0; n < flows.used_records(); ++n) {
        if (flows.flow(n).state != dp::FlowState::unused && flows.detail(n).syn != dp::kNoIndex) ++bound;
      }
    };
    count(w->flows_v4);
    count(w->flows_v6);
    EXPECT_EQ(w->syns.used(), w->syns.queued() + bound) << "no stored SYN is forgotten";
    for (const dp::SynQueue queue : w->syns.active()) {
      if (dp::is_service_queue(queue) || dp::is_server_queue(queue)) {
        waiting += static_cast<std::uint32_t>(w->syns.queue(queue).waiting.get());
      }
    }
  }
  for (const auto& l : load().services) shared += l.waiting.taken();
  for (const auto& l : load().servers) shared += l.waiting.taken();
  EXPECT_EQ(shared, waiting) << "who waits is counted where all workers see it";
}

void Balancer::expect_kept_add_up() {
  std::uint64_t kept = 0;
  for (unsigned id = 0; id < workers(); ++id) kept += path_->worker(id).fragments.kept();
  EXPECT_EQ(verdicts_[static_cast<std::size_t>(dp::Verdict::keep)], let_go_ + kept)
      << "no kept fragment is forgotten";
}

std::uint64_t Balancer::client_places(std::uint16_t service) const {
  std::uint64_t places = 0;
  for (unsigned id = 0; id < workers(); ++id) {
    const dp::WorkerState& w = path_->worker(id);
    const auto count = [&](const auto& flows) {
      for (std::uint32_t n = 0; n < flows.used_records(); ++n) {
        const auto& flow = flows.flow(n);
        if (flow.state == dp::FlowState::unused || flow.service != service || !flows.detail(n).client_counted)
          continue;
        ++places;
        EXPECT_NE(dp::class_of(flow.state), dp::FlowClass::closed);
      }
    };
    count(w.flows_v4);
    count(w.flows_v6);
    for (std::uint32_t n = 0; n < w.syns.fresh(); ++n) {
      const dp::StoredSyn& syn = w.syns.at(static_cast<std::uint16_t>(n));
      if (syn.state != dp::SynState::free && syn.service == service && syn.client_table != 0) ++places;
    }
  }
  return places;
}

void Balancer::expect_clients_add_up() const {
  for (std::uint16_t slot = 0; slot < tables_->services.size(); ++slot) {
    const dp::ClientRules* rules = tables_->services[slot].clients;
    if (rules == nullptr || rules->table == nullptr) continue;
    EXPECT_EQ(rules->table->connections(), client_places(slot)) << "a place for each connection of a client";
  }
}

std::uint32_t Balancer::flows() const {
  std::uint32_t n = 0;
  for (unsigned id = 0; id < workers(); ++id) {
    const dp::WorkerState* const w = &path_->worker(id);
    n += w->flows_v4.size() + w->flows_v6.size();
  }
  return n;
}

std::uint32_t Balancer::flows(dp::FlowClass c) const {
  std::uint32_t n = 0;
  for (unsigned id = 0; id < workers(); ++id) {
    const dp::WorkerState* const w = &path_->worker(id);
    n += w->flows_v4.size(c) + w->flows_v6.size(c);
  }
  return n;
}

std::uint32_t Balancer::flows_without_lease() const {
  std::uint32_t n = 0;
  const auto count = [&n](const auto& table) {
    for (std::uint32_t record = 0; record < table.used_records(); ++record) {
      const bool used = table.flow(record).state != dp::FlowState::unused;
      n += used && table.detail(record).pool == dp::kNoIndex ? 1 : 0;
    }
  };
  for (unsigned id = 0; id < workers(); ++id) {
    count(path_->worker(id).flows_v4);
    count(path_->worker(id).flows_v6);
  }
  return n;
}

std::uint64_t Balancer::leased_ports() const {
  std::uint64_t n = 0;
  for (const dp::PortPool* pool : snapshot().services->pools) {
    if (pool != nullptr) n += pool->total() - pool->available();
  }
  return n;
}

std::uint16_t Balancer::server_slot(const std::string& service, const std::string& server) const {
  const auto& slots = compiler_.servers();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] != nullptr && slots[i]->service == service && slots[i]->server == server) {
      return static_cast<std::uint16_t>(i);
    }
  }
  return dp::kNoIndex;
}

Balancer::Counts Balancer::counts(const std::string& service, const std::string& server) const {
  Counts sum;
  const std::uint16_t slot = server_slot(service, server);
  if (slot == dp::kNoIndex) return sum;
  for (unsigned id = 0; id < workers(); ++id) {
    dp::WorkerState* const w = &path_->worker(id);
    const dp::ServerCounters& c = w->servers[slot];
    sum.fresh += c.connections_new.get();
    sum.ended += c.connections_ended.get();
    sum.failed += c.connections_failed.get();
    sum.packets_in += c.packets[0].get();
    sum.packets_out += c.packets[1].get();
    sum.bytes_in += c.bytes[0].get();
    sum.bytes_out += c.bytes[1].get();
  }
  return sum;
}

}  // namespace sluice::test
