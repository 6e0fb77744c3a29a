#include "vrrp/kernel/announcer.h"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"

namespace sluice::vrrp {
namespace {

/// Whether the host forwards IPv6 on the interface.
bool is_router(const std::string& interface) {
  const base::Fd fd(
      ::open(("/proc/sys/net/ipv6/conf/" + interface + "/forwarding").c_str(), O_RDONLY | O_CLOEXEC));
  char first = '0';
  return fd && ::read(fd.get(), &first, 1) == 1 && first != '0';
}

}  // namespace

void Announcer::announce(const Item& item) {
  if (item.repeat == 0) return;
  auto& waiting = queues_[item.index].waiting;
  const auto same = std::ranges::find_if(waiting, [&](const Item& other) {
    return other.instance == item.instance && other.address == item.address;
  });
  if (same == waiting.end()) {
    waiting.push_back(item);
  } else {
    same->repeat = std::max(same->repeat, item.repeat);
  }
}

void Announcer::step(Time now, std::optional<Time>& next) {
  for (auto at = queues_.begin(); at != queues_.end();) {
    Queue& queue = at->second;
    while (!queue.waiting.empty() && queue.not_before <= now) {
      Item item = queue.waiting.front();
      queue.waiting.pop_front();
      if (!interfaces_.has(item.index, item.address)) continue;
      send(item);
      if (item.pause.count() > 0) queue.not_before = now + item.pause;
      if (--item.repeat > 0) queue.waiting.push_back(item);
    }
    if (queue.waiting.empty() && queue.not_before <= now) {
      at = queues_.erase(at);
      continue;
    }
    sooner(next, queue.not_before);
    ++at;
  }
}

void Announcer::send(const Item& item) {
  const Interface* const interface = interfaces_.by_index(item.index);
  if (interface == nullptr || interface->mac.is_zero()) return;  // loopback and tunnels have no neighbours
  const bool router = !item.address.is_v4() && is_router(interface->name);
  const Announcement frame = announcement_of(item.address, interface->mac, router);
  told_(item.instance, item.address, *interface, socket_.send(item.index, frame.frame()));
}

}  // namespace sluice::vrrp
