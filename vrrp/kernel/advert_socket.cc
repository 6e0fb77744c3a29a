#include "vrrp/kernel/advert_socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string>
#include <sys/uio.h>

#include "base/headers.h"

namespace sluice::vrrp {
namespace {

using base::Error;
using base::Family;
using base::Fd;
using base::Result;

constexpr int kProtocol = 112;  ///< IANA: VRRP
constexpr int kInternetworkControl = 0xc0;
constexpr int kListenerBuffer = 1 << 20;

/// Sets an option, or says which could not be set.
class Options {
 public:
  Options(int fd, std::string what) : fd_(fd), what_(std::move(what)) {}

  template <typename T>
  Options& set(int level, int name, const T& value, const char* text) {
    if (outcome_ && ::setsockopt(fd_, level, name, &value, sizeof value) != 0)
      outcome_ = base::system_error(what_ + ": " + text, errno);
    return *this;
  }
  Options& bind_to(const Interface& interface) {
    if (outcome_ && ::setsockopt(fd_, SOL_SOCKET, SO_BINDTODEVICE, interface.name.c_str(),
                                 static_cast<socklen_t>(interface.name.size())) != 0) {
      outcome_ = base::system_error(what_ + ": SO_BINDTODEVICE", errno);
    }
    return *this;
  }
  [[nodiscard]] Result<void> outcome() && { return std::move(outcome_); }

 private:
  int fd_;
  std::string what_;
  Result<void> outcome_;
};

Result<Fd> raw_socket(Family family) {
  const int domain = family == Family::v4 ? AF_INET : AF_INET6;
  Fd fd(::socket(domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, kProtocol));
  if (!fd) return base::system_error("raw socket for VRRP", errno);
  return fd;
}

void change_membership(Options& options, const Interface& interface, Family family, bool join) {
  const base::IpAddress the_group = vrrp_group(family);
  const std::string_view address = the_group.wire();
  if (family == Family::v4) {
    ip_mreqn group{};
    std::memcpy(&group.imr_multiaddr, address.data(), sizeof group.imr_multiaddr);
    group.imr_ifindex = static_cast<int>(interface.index);
    options.set(IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, group, "cannot join 224.0.0.18");
  } else {
    ipv6_mreq group{};
    std::memcpy(&group.ipv6mr_multiaddr, address.data(), sizeof group.ipv6mr_multiaddr);
    group.ipv6mr_interface = interface.index;
    options.set(IPPROTO_IPV6, join ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP, group,
                "cannot join ff02::12");
  }
}

/// The kernel gives every raw socket of the protocol its own copy of each packet; this one wants none.
const std::array<sock_filter, 1> kNothing{{{BPF_RET | BPF_K, 0, 0, 0}}};

}  // namespace

base::IpAddress vrrp_group(Family family) noexcept {
  if (family == Family::v4) return base::Ipv4::from_host(0xe0000012);
  return base::Ipv6{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12}};
}

Result<Fd> open_listener(const Interface& interface, Family family) {
  auto fd = raw_socket(family);
  if (!fd) return fd;
  const std::string what = "adverts on " + interface.name;
  Options options(fd->get(), what);
  options.bind_to(interface).set(SOL_SOCKET, SO_RCVBUFFORCE, kListenerBuffer, "SO_RCVBUFFORCE");
  if (family == Family::v4) {
    options.set(IPPROTO_IP, IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL");
  } else {
    options.set(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, "IPV6_RECVHOPLIMIT")
        .set(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO")
        .set(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, "IPV6_MULTICAST_ALL");
  }
  change_membership(options, interface, family, true);
  if (auto set = std::move(options).outcome(); !set) return std::move(set).error();
  return fd;
}

Result<void> rejoin_group(int fd, const Interface& interface, Family family) {
  const std::string what = "adverts on " + interface.name;
  // Not a second socket: closed after the other had joined, it would take the new membership with it.
  Options leave(fd, what);
  change_membership(leave, interface, family, false);  // fails if the last attempt to join did
  Options join(fd, what);
  change_membership(join, interface, family, true);
  return std::move(join).outcome();
}

Result<Fd> open_sender(const Interface& interface, const base::IpAddress& source) {
  auto fd = raw_socket(source.family());
  if (!fd) return fd;
  const std::string what = "adverts from " + source.to_string() + " on " + interface.name;
  sock_fprog filter{static_cast<unsigned short>(kNothing.size()), const_cast<sock_filter*>(kNothing.data())};
  Options options(fd->get(), what);
  options.bind_to(interface).set(SOL_SOCKET, SO_ATTACH_FILTER, filter, "SO_ATTACH_FILTER");
  if (source.is_v4()) {
    ip_mreqn out{};
    out.imr_ifindex = static_cast<int>(interface.index);
    // The good-bye of a router that has lost its address goes out from that address all the same.
    options.set(SOL_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT")
        .set(IPPROTO_IP, IP_MULTICAST_IF, out, "IP_MULTICAST_IF")
        .set(IPPROTO_IP, IP_MULTICAST_TTL, int{kTtl}, "IP_MULTICAST_TTL")
        .set(IPPROTO_IP, IP_MULTICAST_LOOP, 0, "IP_MULTICAST_LOOP")
        .set(IPPROTO_IP, IP_TTL, int{kTtl}, "IP_TTL")
        .set(IPPROTO_IP, IP_TOS, kInternetworkControl, "IP_TOS")
        .set(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, "IP_MTU_DISCOVER");
  } else {
    options.set(SOL_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT")
        .set(IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(interface.index), "IPV6_MULTICAST_IF")
        .set(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, int{kTtl}, "IPV6_MULTICAST_HOPS")
        .set(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, "IPV6_MULTICAST_LOOP")
        .set(IPPROTO_IPV6, IPV6_UNICAST_HOPS, int{kTtl}, "IPV6_UNICAST_HOPS")
        .set(IPPROTO_IPV6, IPV6_TCLASS, kInternetworkControl, "IPV6_TCLASS");
  }
  options.set(SOL_SOCKET, SO_PRIORITY, 6, "SO_PRIORITY");  // IP_TOS has set another one
  if (auto set = std::move(options).outcome(); !set) return std::move(set).error();
  const SocketAddress from = socket_address(source, interface.index);
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&from.storage), from.length) != 0) {
    return base::system_error(what + ": bind", errno);
  }
  return fd;
}

SocketAddress socket_address(const base::IpAddress& address, std::uint32_t index) noexcept {
  SocketAddress out;
  const std::string_view wire = address.wire();
  if (address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, wire.data(), wire.size());
    out.length = sizeof in;
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(out.storage);
    in6.sin6_family = AF_INET6;
    std::memcpy(&in6.sin6_addr, wire.data(), wire.size());
    if (address.v6().is_link_local() || address.is_multicast()) in6.sin6_scope_id = index;
    out.length = sizeof in6;
  }
  return out;
}

int send_advert(int fd, const SocketAddress& to, std::span<const std::byte> advert) noexcept {
  const ssize_t sent = ::sendto(fd, advert.data(), advert.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&to.storage), to.length);
  return sent < 0 ? errno : 0;
}

namespace {

/// IPv4: the raw socket gives the IP header, too.
ReceivedPacket read_v4(std::span<const std::byte> bytes) noexcept {
  ReceivedPacket out;
  const auto* ip = base::at<base::Ipv4Hdr>(bytes, 0);
  if (ip == nullptr || ip->header_length() < sizeof(base::Ipv4Hdr) || ip->header_length() > bytes.size())
    return out;
  out.source = ip->src;
  out.destination = ip->dst;
  out.ttl = ip->ttl;
  out.payload = bytes.subspan(ip->header_length());
  return out;
}

/// IPv6: hop limit and destination come beside the payload (RFC 3542 §6).
ReceivedPacket read_v6(const sockaddr_in6& from, msghdr& message, std::span<const std::byte> bytes) noexcept {
  ReceivedPacket out;
  out.source = base::IpAddress::from_wire({reinterpret_cast<const char*>(&from.sin6_addr), 16});
  out.destination = base::Ipv6{};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != IPPROTO_IPV6) continue;
    if (c->cmsg_type == IPV6_HOPLIMIT) {
      int hops = 0;
      std::memcpy(&hops, CMSG_DATA(c), sizeof hops);
      out.ttl = static_cast<std::uint8_t>(hops);
    } else if (c->cmsg_type == IPV6_PKTINFO) {
      out.destination = base::IpAddress::from_wire({reinterpret_cast<const char*>(CMSG_DATA(c)), 16});
    }
  }
  out.payload = bytes;
  return out;
}

}  // namespace

std::optional<ReceivedPacket> receive_advert(int fd, Family family, std::span<std::byte> buffer) noexcept {
  sockaddr_in6 from{};
  alignas(cmsghdr) std::array<char, 128> control{};
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(fd, &message, MSG_DONTWAIT);
  if (length < 0) return std::nullopt;
  const std::span<const std::byte> bytes = buffer.first(static_cast<std::size_t>(length));
  return family == Family::v4 ? read_v4(bytes) : read_v6(from, message, bytes);
}

}  // namespace sluice::vrrp
