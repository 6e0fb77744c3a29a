#include "dp/control/transitions.h"

#include <algorithm>
#include <limits>
#include <map>

namespace sluice::dp {
namespace {

std::uint32_t room_in(const Places& places, std::uint32_t limit) noexcept {
  if (limit == 0) return std::numeric_limits<std::uint32_t>::max();
  return limit - std::min(limit, places.taken());
}

}  // namespace

void Transitions::note(const ServiceTables* before, const ServiceTables& after,
                       std::span<const std::uint16_t> fresh, const Load& load, std::uint64_t generation) {
  transitions_.resize(after.servers.size());
  std::vector<bool> is_fresh(after.servers.size());
  for (const std::uint16_t slot : fresh) {
    transitions_[slot] = {};
    is_fresh[slot] = true;
  }
  if (before == nullptr) return;
  std::uint32_t room = room_in(load.open, after.maxconn);
  std::map<std::uint16_t, std::uint32_t> spoken_for;  // by service: SYNs that go to one that joined earlier
  const std::size_t both = std::min(before->servers.size(), after.servers.size());
  for (std::uint16_t slot = 0; slot < both; ++slot) {
    const Server& server = after.servers[slot];
    if (is_fresh[slot] || server.usable == before->servers[slot].usable) continue;
    const ServerLoad& its = load.servers[slot];
    config::Transition& transition = transitions_[slot];
    transition = {.generation = generation, .sessions = its.open.taken(), .requeued = its.waiting.taken()};
    if (!server.usable) continue;
    const ServiceLoad& service = load.services[server.service];
    std::uint32_t& taken = spoken_for[server.service];
    const std::uint32_t waiting = service.waiting.taken() - std::min(taken, service.waiting.taken());
    const std::uint32_t service_room = room_in(service.open, after.services[server.service].maxconn);
    const std::uint32_t moves = std::min(
        {waiting, room, room_in(its.open, server.maxconn), service_room - std::min(taken, service_room)});
    taken += moves;
    room -= moves;
    transition.requeued = moves;
  }
}

}  // namespace sluice::dp
