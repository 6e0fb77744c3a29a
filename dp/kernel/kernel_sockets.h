#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/netlink.h"
#include "base/result.h"
#include "config/model.h"

/// Which source ports are not for sluice to take, because the kernel's own sockets use them or may do so.
///
/// Two rules, applied to every local address, whether or not the host holds it at the moment (a VIP may
/// arrive):
///   - The kernel's ephemeral range (net.ipv4.ip_local_port_range, for both families) is left out altogether:
///   the
///     kernel may take any port of it at any time. Ports of it that net.ipv4.ip_local_reserved_ports reserves
///     are never taken by the kernel unasked, and so are not left out: that is how an administrator gives
///     them to sluice.
///   - A port that any TCP or UDP socket is bound to now, in whatever state (TIME_WAIT too), is left out on
///   the
///     socket's address; on every address of the family when it is bound to none. An IPv6 socket that also
///     takes IPv4 counts for both.
/// A TCP socket that is bound, but neither listens nor connects, is told by kernels from 6.8 on only.
namespace sluice::dp {

class KernelPorts {
 public:
  KernelPorts() = default;
  /// Without ephemeral ports: an empty range (first > last).
  KernelPorts(config::PortRange ephemeral, std::vector<config::PortRange> reserved);

  /// A socket is bound there. An unspecified address: on all of its family.
  void add(config::Protocol protocol, const base::IpAddress& address, std::uint16_t port);
  /// All that are left out on `address`, ascending, each once.
  [[nodiscard]] std::vector<std::uint16_t> excluded(config::Protocol protocol,
                                                    const base::IpAddress& address) const;
  /// In the ephemeral range, and not reserved.
  [[nodiscard]] bool is_ephemeral(std::uint16_t port) const noexcept { return ephemeral_.test(port); }
  friend bool operator==(const KernelPorts&, const KernelPorts&) = default;

 private:
  struct Place {
    config::Protocol protocol = config::Protocol::tcp;
    base::IpAddress address;
    friend constexpr auto operator<=>(const Place&, const Place&) noexcept = default;
  };
  using PortBits = std::bitset<65536>;
  PortBits ephemeral_;  // less the reserved ports
  std::map<Place, PortBits> bound_;
};

/// "32768\t60999\n" (proc(5)).
base::Result<config::PortRange> parse_local_port_range(std::string_view text);
/// "8080,9148-9200\n" or empty.
base::Result<std::vector<config::PortRange>> parse_reserved_ports(std::string_view text);

/// Reads KernelPorts from the kernel, anew each time: some tens of microseconds for a handful of sockets,
/// some tens of milliseconds for 100,000. Meant to be polled every second; compare with what came before to
/// see a change. Thread: one at a time.
class KernelSockets {
 public:
  /// For the network namespace of the calling thread.
  static base::Result<KernelSockets> open();
  /// To be called in the same namespace.
  base::Result<KernelPorts> read();

 private:
  explicit KernelSockets(base::NetlinkSocket socket) : socket_(std::move(socket)) {}
  base::Result<void> dump(config::Protocol protocol, base::Family family, KernelPorts& ports);
  base::NetlinkSocket socket_;
};

}  // namespace sluice::dp
