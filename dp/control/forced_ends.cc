#include "dp/control/forced_ends.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace sluice::dp {
namespace {

/// A server by what it is to an operator: its service's name, its own, its endpoint.
using ServerName = std::tuple<std::string, std::string, base::Endpoint>;

std::map<ServerName, std::uint32_t> shutdowns_of(const config::ForwardingState& state) {
  std::map<ServerName, std::uint32_t> shutdowns;
  for (const config::ForwardingService& service : state.services) {
    for (const config::ForwardingServer& server : service.servers) {
      if (server.shutdowns != 0) shutdowns[{service.name, server.name, server.endpoint}] = server.shutdowns;
    }
  }
  return shutdowns;
}

}  // namespace

std::vector<std::uint16_t> newly_shut_down(const config::ForwardingState& before,
                                           const config::ForwardingState& after,
                                           const ServiceCompiler& compiler) {
  const std::map<ServerName, std::uint32_t> was = shutdowns_of(before), is = shutdowns_of(after);
  std::vector<std::uint16_t> slots;
  for (std::uint16_t slot = 0; slot < compiler.servers().size(); ++slot) {
    const auto* holder = compiler.servers()[slot];
    if (holder == nullptr) continue;
    const auto now = is.find({holder->service, holder->server, holder->endpoint});
    if (now == is.end()) continue;
    const auto then = was.find(now->first);
    if (then == was.end() || then->second < now->second) slots.push_back(slot);
  }
  return slots;
}

std::vector<std::uint16_t> HardStop::overdue(const ServiceCompiler& compiler,
                                             std::optional<config::Milliseconds> limit,
                                             std::uint64_t now_ms) {
  const auto& slots = compiler.servers();
  std::erase_if(drains_, [&](const auto& item) {
    const auto& [slot, drain] = item;
    const auto* holder = slot < slots.size() ? slots[slot] : nullptr;
    return holder == nullptr || !holder->draining || holder->service != drain.service ||
           holder->server != drain.server || holder->endpoint != drain.endpoint;
  });
  std::vector<std::uint16_t> overdue;
  for (std::uint16_t slot = 0; slot < slots.size(); ++slot) {
    const auto* holder = slots[slot];
    if (holder == nullptr || !holder->draining) continue;
    const auto [it, fresh] =
        drains_.try_emplace(slot, Drain{holder->service, holder->server, holder->endpoint, now_ms});
    const std::uint64_t drained_ms = now_ms - it->second.since_ms;
    if (limit && drained_ms >= static_cast<std::uint64_t>(limit->count())) overdue.push_back(slot);
  }
  return overdue;
}

}  // namespace sluice::dp
