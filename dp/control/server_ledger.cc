#include "dp/control/server_ledger.h"

#include <set>

namespace sluice::dp {

namespace {

void add(config::QueueCounters& sum, const config::QueueCounters& more) noexcept {
  sum.waiting += more.waiting;
  sum.entered += more.entered;
  sum.timed_out += more.timed_out;
}

config::QueueCounters since(config::QueueCounters now, const config::QueueCounters& start) noexcept {
  now.entered -= start.entered;
  now.timed_out -= start.timed_out;
  return now;
}

void add(config::ClientCounters& sum, const config::ClientCounters& more) noexcept {
  sum.denied += more.denied;
  sum.over_rate += more.over_rate;
  sum.over_maxconn += more.over_maxconn;
  sum.untracked += more.untracked;
}

config::ClientCounters since(config::ClientCounters now, const config::ClientCounters& start) noexcept {
  now.denied -= start.denied;
  now.over_rate -= start.over_rate;
  now.over_maxconn -= start.over_maxconn;
  now.untracked -= start.untracked;
  return now;
}

void add(ServerLedger::ServiceTally& sum, const ServerLedger::ServiceTally& more) noexcept {
  add(sum.queue, more.queue);
  add(sum.clients, more.clients);
}

ServerLedger::ServiceTally since(const ServerLedger::ServiceTally& now,
                                 const ServerLedger::ServiceTally& start) noexcept {
  return {since(now.queue, start.queue), since(now.clients, start.clients)};
}

}  // namespace

void ServerTally::add(const ServerTally& more) noexcept {
  traffic.packets_in += more.traffic.packets_in;
  traffic.bytes_in += more.traffic.bytes_in;
  traffic.packets_out += more.traffic.packets_out;
  traffic.bytes_out += more.traffic.bytes_out;
  traffic.connections_new += more.traffic.connections_new;
  traffic.connections_failed += more.traffic.connections_failed;
  traffic.connections_current += more.traffic.connections_current;
  handshakes.answered += more.handshakes.answered;
  handshakes.refused += more.handshakes.refused;
  handshakes.unreachable += more.handshakes.unreachable;
  handshakes.unanswered += more.handshakes.unanswered;
  handshakes.retried += more.handshakes.retried;
  handshakes.redispatched += more.handshakes.redispatched;
  dp::add(queue, more.queue);
}

ServerTally ServerTally::since(const ServerTally& start) const noexcept {
  ServerTally counted = *this;
  counted.traffic.packets_in -= start.traffic.packets_in;
  counted.traffic.bytes_in -= start.traffic.bytes_in;
  counted.traffic.packets_out -= start.traffic.packets_out;
  counted.traffic.bytes_out -= start.traffic.bytes_out;
  counted.traffic.connections_new -= start.traffic.connections_new;
  counted.traffic.connections_failed -= start.traffic.connections_failed;
  counted.handshakes.answered -= start.handshakes.answered;
  counted.handshakes.refused -= start.handshakes.refused;
  counted.handshakes.unreachable -= start.handshakes.unreachable;
  counted.handshakes.unanswered -= start.handshakes.unanswered;
  counted.handshakes.retried -= start.handshakes.retried;
  counted.handshakes.redispatched -= start.handshakes.redispatched;
  counted.queue = dp::since(queue, start.queue);
  return counted;
}

ServerTally ServerLedger::sum(std::uint16_t slot) const {
  ServerTally total;
  for (const WorkerState* worker : workers_) {
    const ServerCounters& c = worker->servers[slot];
    const ServerHandshakes& h = worker->handshakes[slot];
    // Closed is read before new: the difference is never negative.
    const std::uint64_t closed = c.connections_closed.get();
    const std::uint64_t begun = c.connections_new.get();
    total.add({.traffic = {.packets_in = c.packets[index(Direction::to_server)].get(),
                           .bytes_in = c.bytes[index(Direction::to_server)].get(),
                           .packets_out = c.packets[index(Direction::to_client)].get(),
                           .bytes_out = c.bytes[index(Direction::to_client)].get(),
                           .connections_new = begun,
                           .connections_failed = c.connections_failed.get(),
                           .connections_current = begun - closed},
               .handshakes = {.answered = h.answered.get(),
                              .refused = h.refused.get(),
                              .unreachable = h.unreachable.get(),
                              .unanswered = h.unanswered.get(),
                              .retried = h.retried.get(),
                              .redispatched = h.redispatched.get()},
               .queue = {}});
  }
  total.queue = sum_queue(queue_of_server(slot));
  return total;
}

config::QueueCounters ServerLedger::sum_queue(SynQueue queue) const {
  config::QueueCounters total;
  for (const WorkerState* worker : workers_) {
    const SynQueueState& q = worker->syns.queue(queue);
    dp::add(total, {.waiting = q.waiting.get(),
                    .oldest_ms = 0,
                    .entered = q.entered.get(),
                    .timed_out = q.timed_out.get()});
  }
  return total;
}

ServerLedger::ServiceTally ServerLedger::sum_service(std::uint16_t slot) const {
  ServiceTally total{sum_queue(queue_of_service(slot)), {}};
  for (const WorkerState* worker : workers_) {
    const ClientLimitCounters& c = worker->clients[slot];
    add(total.clients, {.denied = c.denied.get(),
                        .over_rate = c.over_rate.get(),
                        .over_maxconn = c.over_maxconn.get(),
                        .untracked = c.untracked.get()});
  }
  return total;
}

void ServerLedger::follow_services(const ServiceCompiler& compiler) {
  const auto& slots = compiler.services();
  const auto holder = [&](std::uint16_t slot) -> const std::string* {
    return slot < slots.size() && slots[slot] != nullptr ? &slots[slot]->service.name : nullptr;
  };
  std::erase_if(services_, [&](const auto& item) {
    const auto& [slot, account] = item;
    if (holder(slot) != nullptr && *holder(slot) == account.service) return false;
    ServiceTally past = dp::since(sum_service(slot), account.at_start);
    past.queue.waiting = 0;
    dp::add(past_services_[account.service], past);
    return true;
  });
  std::set<std::string> names;
  for (std::uint16_t slot = 0; slot < slots.size(); ++slot) {
    if (holder(slot) == nullptr) continue;
    names.insert(*holder(slot));
    if (!services_.contains(slot)) services_[slot] = {*holder(slot), sum_service(slot)};
  }
  std::erase_if(past_services_, [&](const auto& item) { return !names.contains(item.first); });
}

std::map<std::string, ServerLedger::ServiceTally> ServerLedger::services() const {
  std::map<std::string, ServiceTally> totals = past_services_;
  for (const auto& [slot, account] : services_) {
    dp::add(totals[account.service], dp::since(sum_service(slot), account.at_start));
  }
  return totals;
}

std::vector<std::uint16_t> ServerLedger::follow(const ServiceCompiler& compiler) {
  follow_services(compiler);
  const auto& slots = compiler.servers();
  std::set<std::string> services;
  for (const auto* service : compiler.services()) {
    if (service != nullptr) services.insert(service->service.name);
  }
  const auto leave = [this](std::uint16_t slot, const Account& account) {
    ServerTally counted = sum(slot).since(account.at_start);
    counted.traffic.connections_current = 0;  // a slot changes hands only when it is
    counted.queue.waiting = 0;
    removed_[account.holder.service].add(counted);
  };
  std::erase_if(accounts_, [&](const auto& item) {
    const auto& [slot, account] = item;
    if (slot < slots.size() && slots[slot] != nullptr) return false;
    leave(slot, account);
    return true;
  });
  std::vector<std::uint16_t> changed;
  for (std::uint16_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] == nullptr) continue;
    const Holder holder{slots[slot]->service, slots[slot]->server, slots[slot]->endpoint};
    auto [it, fresh] = accounts_.try_emplace(slot);
    if (!fresh && it->second.holder == holder) continue;
    if (!fresh) leave(slot, it->second);
    it->second = {holder, sum(slot)};
    changed.push_back(slot);
  }
  std::erase_if(removed_, [&](const auto& item) { return !services.contains(item.first); });
  return changed;
}

ServerTally ServerLedger::server(std::uint16_t slot) const {
  const auto it = accounts_.find(slot);
  return it == accounts_.end() ? ServerTally{} : sum(slot).since(it->second.at_start);
}

ServerTally ServerLedger::removed_servers(const std::string& service) const {
  const auto it = removed_.find(service);
  return it == removed_.end() ? ServerTally{} : it->second;
}

std::vector<bool> ServerLedger::slots_in_use() const {
  std::vector<bool> in_use(kMaxServers);
  for (const auto& [slot, account] : accounts_) {
    std::uint64_t flows = 0;  // with those that are closed, but remembered
    for (const WorkerState* worker : workers_) {
      const ServerCounters& c = worker->servers[slot];
      const std::uint64_t ended = c.connections_ended.get();
      flows += c.connections_new.get() - ended;
    }
    in_use[slot] = flows != 0;
  }
  return in_use;
}

}  // namespace sluice::dp
