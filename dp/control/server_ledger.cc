#include "dp/control/server_ledger.h"

#include <set>

namespace sluice::dp {
namespace {

config::TrafficCounters since(config::TrafficCounters now, const config::TrafficCounters& start) noexcept {
  now.packets_in -= start.packets_in;
  now.bytes_in -= start.bytes_in;
  now.packets_out -= start.packets_out;
  now.bytes_out -= start.bytes_out;
  now.connections_new -= start.connections_new;
  now.connections_failed -= start.connections_failed;
  return now;  // connections_current is a level: a slot changes hands only when it is 0
}

}  // namespace

void ServerLedger::add(config::TrafficCounters& sum, const config::TrafficCounters& more) noexcept {
  sum.packets_in += more.packets_in;
  sum.bytes_in += more.bytes_in;
  sum.packets_out += more.packets_out;
  sum.bytes_out += more.bytes_out;
  sum.connections_new += more.connections_new;
  sum.connections_failed += more.connections_failed;
  sum.connections_current += more.connections_current;
}

config::TrafficCounters ServerLedger::sum(std::uint16_t slot) const {
  config::TrafficCounters total;
  for (const WorkerState* worker : workers_) {
    const ServerCounters& c = worker->servers[slot];
    // Closed is read before new: the difference is never negative.
    const std::uint64_t closed = c.connections_closed.get();
    const std::uint64_t begun = c.connections_new.get();
    add(total, {.packets_in = c.packets[index(Direction::to_server)].get(),
                .bytes_in = c.bytes[index(Direction::to_server)].get(),
                .packets_out = c.packets[index(Direction::to_client)].get(),
                .bytes_out = c.bytes[index(Direction::to_client)].get(),
                .connections_new = begun,
                .connections_failed = c.connections_failed.get(),
                .connections_current = begun - closed});
  }
  return total;
}

void ServerLedger::follow(const ServiceCompiler& compiler) {
  const auto& slots = compiler.servers();
  std::set<std::string> services;
  for (const auto* service : compiler.services()) {
    if (service != nullptr) services.insert(service->service.name);
  }
  const auto leave = [this](std::uint16_t slot, const Account& account) {
    config::TrafficCounters counted = since(sum(slot), account.at_start);
    counted.connections_current = 0;
    add(removed_[account.holder.service], counted);
  };
  std::erase_if(accounts_, [&](const auto& item) {
    const auto& [slot, account] = item;
    if (slot < slots.size() && slots[slot] != nullptr) return false;
    leave(slot, account);
    return true;
  });
  for (std::uint16_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] == nullptr) continue;
    const Holder holder{slots[slot]->service, slots[slot]->server, slots[slot]->endpoint};
    auto [it, fresh] = accounts_.try_emplace(slot);
    if (!fresh && it->second.holder == holder) continue;
    if (!fresh) leave(slot, it->second);
    it->second = {holder, sum(slot)};
  }
  std::erase_if(removed_, [&](const auto& item) { return !services.contains(item.first); });
}

config::TrafficCounters ServerLedger::server(std::uint16_t slot) const {
  const auto it = accounts_.find(slot);
  return it == accounts_.end() ? config::TrafficCounters{} : since(sum(slot), it->second.at_start);
}

config::TrafficCounters ServerLedger::removed_servers(const std::string& service) const {
  const auto it = removed_.find(service);
  return it == removed_.end() ? config::TrafficCounters{} : it->second;
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
