#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/event_loop.h"
#include "base/netlink.h"
#include "base/result.h"

struct nlmsghdr;

namespace sluice::vrrp {

/// A network interface, as the kernel describes it.
struct Interface {
  std::uint32_t index = 0;
  std::string name;
  base::Mac mac;
  std::uint32_t mtu = 0;
  std::uint32_t parent = 0;  ///< index of the interface that it stands on (macvlan, VLAN); 0: none
  std::string kind;          ///< "macvlan", "tun", …; empty: a device
  bool up = false;           ///< by the administrator (IFF_UP)
  bool running = false;      ///< it has link (IFF_RUNNING)
  [[nodiscard]] bool usable() const noexcept { return up && running; }
  friend bool operator==(const Interface&, const Interface&) = default;
};

/// An interface with less has no IPv6 (RFC 8200 §5).
constexpr std::uint32_t kIpv6Mtu = 1280;

/// As the kernel counts lifetimes of addresses.
constexpr std::chrono::seconds kForever{0xffffffff};

/// An address of an interface.
struct InterfaceAddress {
  std::uint8_t prefix_length = 0;
  /// An IPv4 address may be there several times, each time with another prefix length.
  std::vector<std::uint8_t> other_lengths{};
  std::uint32_t flags = 0;                   ///< IFA_F_…
  std::uint64_t order = 0;                   ///< the kernel named those with lower numbers earlier
  std::chrono::seconds lifetime = kForever;  ///< as last told; then the kernel takes it away
  /// Not one whose uniqueness is still in doubt (IPv6).
  [[nodiscard]] bool usable() const noexcept;
  /// One that another of the same network goes before, or one that nothing new is to be sent from.
  [[nodiscard]] bool second_choice() const noexcept;
};

/// What has changed. Values, as they were then.
struct InterfaceEvent {
  enum class Kind : std::uint8_t { added, deleted, changed, address_added, address_removed };
  Kind kind = Kind::changed;
  Interface interface;   ///< after the change; of `deleted`: before it
  Interface before;      ///< of `changed`: as it was; else as `interface`
  base::Prefix address;  ///< of the address_… kinds
};

/// Interfaces and addresses of the network namespace, mirrored by netlink, and changed by it. Every change,
/// whoever made it, comes as an event. Thread: the loop's. Blocks for as long as the kernel's RTNL lock is
/// held by others.
class Interfaces {
 public:
  using Addresses = std::map<base::IpAddress, InterfaceAddress>;
  using EventCallback = std::function<void(const InterfaceEvent&)>;

  /// Errors: no netlink. The first picture comes without events.
  static base::Result<std::unique_ptr<Interfaces>> start(base::EventLoop& loop, EventCallback on_event);
  Interfaces(const Interfaces&) = delete;
  Interfaces& operator=(const Interfaces&) = delete;
  ~Interfaces();

  /// Null: there is none. Valid until the next event.
  [[nodiscard]] const Interface* by_name(std::string_view name) const noexcept;
  [[nodiscard]] const Interface* by_index(std::uint32_t index) const noexcept;
  /// In numeric order; empty for an unknown interface.
  [[nodiscard]] const Addresses& addresses(std::uint32_t index) const noexcept;
  [[nodiscard]] bool has(std::uint32_t index, const base::IpAddress& address) const noexcept;
  /// Some interface has it.
  [[nodiscard]] bool has(const base::IpAddress& address) const noexcept;
  /// The interface with an address, of those that `counts` says yes to, in whose network `address` lies; of
  /// several the one with the longest prefix. Null: none. Valid until the next event.
  [[nodiscard]] const Interface* on_network_of(
      const base::IpAddress& address, const std::function<bool(const base::IpAddress&)>& counts) const;

  /// Gives an interface an address, usable at once (no duplicate address detection), and, if IPv6, never
  /// chosen by the kernel as source while there is another. After `lifetime` the kernel takes it away. One
  /// that is there already is no error; its lifetime begins anew.
  base::Result<void> add_address(const Interface& interface, const base::Prefix& address,
                                 std::chrono::seconds lifetime = kForever);
  /// Takes it away, whatever its prefix lengths. One that is gone already is no error.
  base::Result<void> remove_address(const Interface& interface, const base::IpAddress& address);
  /// Makes a macvlan with `mac` on `parent`; it is down, and has joined no multicast group.
  base::Result<void> add_macvlan(const std::string& name, const Interface& parent, base::Mac mac);
  /// In VEPA mode the kernel gives frames from the network with the macvlan's own MAC address, as another
  /// router's have, to the parent and to all other macvlans; in private mode to that macvlan alone.
  base::Result<void> set_vepa(const Interface& macvlan);
  base::Result<void> set_up(const Interface& interface);
  base::Result<void> remove_link(const Interface& interface);

  /// Takes in what the kernel has said so far, events and all: after a change of ours the mirror is true.
  void drain();
  /// The kernel dropped notifications so often, and everything was read anew.
  [[nodiscard]] std::uint64_t resyncs() const noexcept { return resyncs_; }

 private:
  struct Table {
    std::map<std::uint32_t, Interface> links;
    std::map<std::uint32_t, Addresses> addresses;
  };
  Interfaces(base::EventLoop& loop, base::NetlinkSocket requests, EventCallback on_event);
  base::Result<void> set_mtu(const Interface& interface, std::uint32_t mtu);
  base::Result<void> set_flag(const Interface& interface, unsigned flag, bool on);
  [[nodiscard]] bool route_outlives(std::uint32_t index, const base::Prefix& network,
                                    std::chrono::seconds lifetime);
  base::Result<Table> dump();
  void resync();
  void apply(const nlmsghdr& message);
  void apply_link(const nlmsghdr& message);
  void apply_address(const nlmsghdr& message);
  void forget_link(std::uint32_t index);
  void tell(InterfaceEvent::Kind kind, const Interface& interface, const base::Prefix& address = {}) const;

  base::EventLoop& loop_;
  base::NetlinkSocket requests_;
  EventCallback on_event_;
  std::unique_ptr<base::NetlinkMonitor> monitor_;
  Table table_;
  std::uint64_t named_ = 0;  ///< InterfaceAddress::order of the last
  std::uint64_t resyncs_ = 0;
  base::EventLoop::TimerId retry_ = base::EventLoop::TimerId::none;
};

}  // namespace sluice::vrrp
