#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/address.h"
#include "vrrp/kernel/announcement.h"
#include "vrrp/kernel/interfaces.h"
#include "vrrp/messages.h"

namespace sluice::vrrp {

/// Sends the announcements of addresses in bursts, round after round over all of a burst's addresses, with a
/// pause between two frames of one interface where one is wanted. An address that has left its interface is
/// not announced any more. Thread: the kernel side's.
class Announcer {
 public:
  /// Called for each frame: it was sent, or errno says why not.
  using Told = std::function<void(InstanceId instance, const base::IpAddress& address,
                                  const Interface& interface, int error)>;

  Announcer(Interfaces& interfaces, FrameSocket socket, Told told)
      : interfaces_(interfaces), socket_(std::move(socket)), told_(std::move(told)) {}

  struct Item {
    InstanceId instance{};
    base::IpAddress address;
    std::uint32_t index = 0;  ///< of the interface
    std::uint16_t repeat = 1;
    std::chrono::milliseconds pause{0};
  };
  /// Puts an address into the queue of its interface; what stands there of it already is made up to `repeat`.
  void announce(const Item& item);
  /// Sends what is due. `next`: when it wants to be called again.
  void step(Time now, std::optional<Time>& next);

 private:
  struct Queue {
    std::deque<Item> waiting;  ///< repeat: frames that are left
    Time not_before{};
  };
  void send(const Item& item);

  Interfaces& interfaces_;
  FrameSocket socket_;
  Told told_;
  std::map<std::uint32_t, Queue> queues_;  ///< by interface
};

}  // namespace sluice::vrrp
