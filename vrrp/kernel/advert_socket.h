#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <sys/socket.h>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "vrrp/advert.h"
#include "vrrp/kernel/interfaces.h"

/// Raw sockets of IP protocol 112. They are opened on the kernel side (joining a group takes the RTNL lock)
/// and used by the speaker (nothing in send_advert() and receive_advert() waits for anybody).
namespace sluice::vrrp {

/// 224.0.0.18, ff02::12 (RFC 9568 §5.1.1.2, §5.1.2.2).
[[nodiscard]] base::IpAddress vrrp_group(base::Family family) noexcept;

/// Hears the adverts of one family that arrive on `interface`, to the group or to the host.
base::Result<base::Fd> open_listener(const Interface& interface, base::Family family);

/// Has a listener of open_listener() leave its group and join it again: the kernel forgets memberships of
/// IPv6 with an MTU below 1280, and reports a membership to the switches when it begins.
base::Result<void> rejoin_group(int fd, const Interface& interface, base::Family family);

/// Sends adverts from `source` out of `interface`, with TTL 255 and precedence "internetwork control"; hears
/// nothing.
base::Result<base::Fd> open_sender(const Interface& interface, const base::IpAddress& source);

/// A destination as the kernel takes it. `index`: the interface, for link-local and group addresses.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};
[[nodiscard]] SocketAddress socket_address(const base::IpAddress& address, std::uint32_t index) noexcept;

/// Does not block. Returns 0 or errno.
[[nodiscard]] int send_advert(int fd, const SocketAddress& to, std::span<const std::byte> advert) noexcept;

/// One packet, or nothing when none waits. What is not a whole IP packet is passed over (its payload is
/// empty). `buffer` holds the payload.
[[nodiscard]] std::optional<ReceivedPacket> receive_advert(int fd, base::Family family,
                                                           std::span<std::byte> buffer) noexcept;

}  // namespace sluice::vrrp
