#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/vrrp.h"
#include "vrrp/kernel/interfaces.h"
#include "vrrp/messages.h"

namespace sluice::vrrp {

/// Sees to it that the kernel has the addresses of the instances that hold theirs, and those alone. What is
/// missing is added, whoever took it away: at once, and then at most once a second. Of several instances with
/// the same address on the same interface any may hold it. The kernel is given each for a while only, and it
/// is renewed: should all of sluice be killed, two hosts must not have them for longer. Thread: the kernel
/// side's.
class AddressKeeper {
 public:
  static constexpr std::chrono::seconds kLifetime{15};  ///< unless renewed
  using Log = std::function<void(base::log::Level level, std::string line)>;
  struct Added {
    InstanceId instance{};
    base::IpAddress address;
    std::uint32_t index = 0;  ///< of the interface
    bool repaired = false;    ///< it was there, and someone took it away
  };

  AddressKeeper(Interfaces& interfaces, Log log, std::chrono::seconds lifetime = kLifetime)
      : interfaces_(interfaces),
        log_(std::move(log)),
        lifetime_(lifetime),
        renewal_(std::chrono::milliseconds(lifetime) / 3) {}

  /// `addresses` of the instance from now on; its others are taken away. Of an `owner` (priority 255) they
  /// may be the host's own: those given_by_others() are never taken away.
  void set(InstanceId instance, const std::string& name, const std::vector<config::VrrpAddress>& addresses,
           bool owner = false);
  /// All of it is taken away.
  void forget(InstanceId instance);
  void hold(InstanceId instance, bool held);
  /// Nothing is added for it. When the host's own address goes, and its VIPs of the same subnet with it, a
  /// VIP that was put back first would become the subnet's primary address, and take the own one along when
  /// it goes.
  void withhold(InstanceId instance, bool withheld) { holders_[instance].withheld = withheld; }
  /// The kernel said that it has lost an address.
  void lost(const std::string& interface, const base::IpAddress& address);

  /// Takes away, then adds, what is to be. `next`: when it wants to be called again, whatever happens.
  std::vector<Added> settle(Time now, std::optional<Time>& next);

  /// Some instance lists it, on whatever interface.
  [[nodiscard]] bool knows(const base::IpAddress& address) const noexcept;
  /// The interface has it, and the kernel keeps it for longer than we ask: it is not to go when sluice does.
  [[nodiscard]] bool given_by_others(std::uint32_t index, const base::IpAddress& address) const;
  /// Why the kernel does not take an address of the instance, after several attempts in a row: someone else
  /// had better hold them. For a while, then longer and longer; in between it is worth one more attempt.
  [[nodiscard]] std::optional<std::string> refused(InstanceId instance, Time now) const;
  /// What a holder does not have: "192.0.2.10/24 dev lan".
  [[nodiscard]] std::vector<std::string> missing(InstanceId instance) const;
  [[nodiscard]] std::uint64_t repaired(InstanceId instance) const;
  /// Nothing is there that is not to be.
  [[nodiscard]] bool settled() const;

 private:
  using Key = std::pair<std::string, base::IpAddress>;  ///< interface, address
  struct Place {
    std::uint8_t prefix_length = 0;
    std::optional<std::uint8_t> outdated_length{};  ///< before a reload; the kernel may have it still
    std::set<InstanceId> listed;                    ///< instances
    bool owned = false;                             ///< an owner lists it, or was the last to do so
    std::uint32_t index = 0;              ///< of the interface that was given it, or had it; 0: none
    bool lost = false;                    ///< taken away by others
    bool leaving = false;                 ///< being taken away by us
    Time not_before{};                    ///< of the next attempt to add it
    Time remove_not_before{};             ///< of the next attempt to take it away
    Time renew_at{};                      ///< the next time that its lifetime begins anew
    std::string failure;                  ///< of the last attempt
    unsigned refusals = 0;                ///< attempts to add it that failed, in a row
    std::chrono::seconds refused_for{0};  ///< the last time
    Time refused_until{};
  };
  struct Holder {
    std::string name;
    bool decided = false, held = false, withheld = false;
    std::uint64_t repaired = 0;
  };
  [[nodiscard]] std::optional<InstanceId> holder_of(const Place& place) const;
  [[nodiscard]] bool undecided(const Place& place) const;
  [[nodiscard]] bool outdated(const Key& key, const Place& place) const;
  void fail(Place& place, const base::Error& error);
  void refuse(Place& place, const base::Error& error, Time now);
  [[nodiscard]] bool is_hosts_own(const Interface& interface, const Key& key, const Place& place) const;
  void leave_renamed(const Key& key, Place& place);
  void remove_unwanted(Time now, std::optional<Time>& next);
  void renew(const Key& key, Place& place, Time now, std::optional<Time>& next);

  Interfaces& interfaces_;
  Log log_;
  std::chrono::seconds lifetime_;
  std::chrono::milliseconds renewal_;  ///< after this much of it
  std::map<Key, Place> places_;
  std::map<InstanceId, Holder> holders_;
};

}  // namespace sluice::vrrp
