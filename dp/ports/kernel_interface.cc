#include "dp/ports/kernel_interface.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <memory>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "base/netlink.h"

namespace sluice::dp {

namespace {

struct NameIndexDeleter {
  void operator()(struct if_nameindex* list) const noexcept { ::if_freenameindex(list); }
};
struct IfaddrsDeleter {
  void operator()(ifaddrs* list) const noexcept { ::freeifaddrs(list); }
};

/// One interface request on a throw-away socket. Returns 0 or an errno.
int request(const std::string& name, unsigned long what, ifreq& req) noexcept {
  const base::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno;
  const std::size_t length = std::min(name.size(), sizeof(req.ifr_name) - 1);
  std::memcpy(req.ifr_name, name.data(), length);
  req.ifr_name[length] = '\0';
  return ::ioctl(socket.get(), what, &req) == 0 ? 0 : errno;
}

/// An ethtool command; `value` begins with its number.
template <typename T>
int ethtool(const std::string& name, T& value) noexcept {
  ifreq req{};
  req.ifr_data = reinterpret_cast<char*>(&value);
  return request(name, SIOCETHTOOL, req);
}

std::string driver_of(const std::string& name) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  return ethtool(name, info) == 0 ? std::string(info.driver) : std::string();
}

void read_channels(KernelInterface& interface) noexcept {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (ethtool(interface.name, channels) != 0) return;
  interface.combined = channels.max_combined != 0;
  const std::uint32_t receiving = interface.combined ? channels.combined_count : channels.rx_count;
  interface.channels = static_cast<std::uint16_t>(std::max<std::uint32_t>(receiving, 1));
}

base::Error about(const std::string& name, const char* what, int error) {
  return base::system_error("interface " + name + ": " + what, error);
}

std::string ipv6_switch(const std::string& name) {
  return "/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6";
}

}  // namespace

std::vector<std::string> kernel_interface_names() {
  std::vector<std::string> names;
  const std::unique_ptr<struct if_nameindex, NameIndexDeleter> list(::if_nameindex());
  if (list == nullptr) return names;
  for (const struct if_nameindex* entry = list.get(); entry->if_index != 0; ++entry) {
    if (std::strcmp(entry->if_name, "lo") != 0) names.emplace_back(entry->if_name);
  }
  return names;
}

base::Result<KernelInterface> find_kernel_interface(std::string_view name) {
  KernelInterface found;
  found.name = name;
  ifreq req{};
  if (name.empty() || name.size() >= IFNAMSIZ || request(found.name, SIOCGIFINDEX, req) != 0) {
    std::string others;
    for (const std::string& other : kernel_interface_names()) others += (others.empty() ? "" : ", ") + other;
    return base::Error{base::ErrorCode::not_found, "interface \"" + found.name +
                                                       "\" does not exist; this host has " +
                                                       (others.empty() ? "none but the loopback" : others)};
  }
  found.index = req.ifr_ifindex;
  if (const int error = request(found.name, SIOCGIFHWADDR, req); error != 0) {
    return about(found.name, "its MAC address cannot be read", error);
  }
  if (req.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    return base::Error{base::ErrorCode::invalid,
                       "interface \"" + found.name + "\" is not an Ethernet interface"};
  }
  std::memcpy(found.mac.bytes.data(), req.ifr_hwaddr.sa_data, found.mac.bytes.size());
  if (const int error = request(found.name, SIOCGIFMTU, req); error != 0) {
    return about(found.name, "its MTU cannot be read", error);
  }
  found.mtu = static_cast<std::uint16_t>(std::min(req.ifr_mtu, 65'535));
  auto flags = interface_flags(found.name);
  if (!flags) return std::move(flags).error();
  found.up = (*flags & IFF_UP) != 0;
  found.running = (*flags & IFF_RUNNING) != 0;
  found.driver = driver_of(found.name);
  read_channels(found);
  return found;
}

base::Result<std::vector<std::string>> kernel_addresses(int index) {
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0) return base::system_error("the addresses of this host cannot be read", errno);
  const std::unique_ptr<ifaddrs, IfaddrsDeleter> list(raw);
  std::vector<std::string> addresses;
  for (const ifaddrs* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || static_cast<int>(::if_nametoindex(entry->ifa_name)) != index) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
      addresses.push_back(base::Ipv4{base::Be32::from_raw(address->sin_addr.s_addr)}.to_string());
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
      base::Ipv6 v6;
      std::memcpy(v6.bytes.data(), &address->sin6_addr, v6.bytes.size());
      if (!v6.is_link_local()) addresses.push_back(v6.to_string());
    }
  }
  return addresses;
}

base::Result<unsigned> interface_flags(const std::string& name) {
  ifreq req{};
  if (const int error = request(name, SIOCGIFFLAGS, req); error != 0) {
    return about(name, "its flags cannot be read", error);
  }
  return static_cast<unsigned>(static_cast<unsigned short>(req.ifr_flags));
}

base::Result<void> change_interface_flags(const std::string& name, unsigned set, unsigned clear) {
  auto flags = interface_flags(name);
  if (!flags) return std::move(flags).error();
  const unsigned wanted = (*flags | set) & ~clear;
  if (wanted == *flags) return {};
  ifreq req{};
  req.ifr_flags = static_cast<short>(wanted);
  if (const int error = request(name, SIOCSIFFLAGS, req); error != 0) {
    return about(name, "its flags (up, multicast) cannot be set", error);
  }
  return {};
}

base::Result<void> set_interface_mtu(const std::string& name, std::uint16_t mtu) {
  ifreq req{};
  req.ifr_mtu = mtu;
  if (const int error = request(name, SIOCSIFMTU, req); error != 0) {
    return about(name, ("its MTU cannot be set to " + std::to_string(mtu)).c_str(), error);
  }
  return {};
}

bool interface_running(const std::string& name) {
  const auto flags = interface_flags(name);
  return flags && (*flags & IFF_RUNNING) != 0;
}

std::string interface_name(int index) {
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(static_cast<unsigned>(index), name.data()) == nullptr ? "" : name.data();
}

base::Result<void> set_interface_carrier(int index, bool on) {
  auto socket = base::NetlinkSocket::open(NETLINK_ROUTE);
  if (!socket) return std::move(socket).error();
  auto message = base::make_message(RTM_SETLINK, 0);
  if (!message) return std::move(message).error();
  ifinfomsg link{};
  link.ifi_index = index;
  if (::nlmsg_append(message->get(), &link, sizeof link, NLMSG_ALIGNTO) < 0 ||
      ::nla_put_u8(message->get(), IFLA_CARRIER, on ? 1 : 0) < 0) {
    return base::Error{base::ErrorCode::exhausted, "carrier: the netlink message is full"};
  }
  return socket->request(**message, "interface " + interface_name(index) + ": its carrier cannot be changed");
}

base::Result<bool> receive_merging(const std::string& name) {
  ethtool_value value{.cmd = ETHTOOL_GGRO, .data = 0};
  if (const int error = ethtool(name, value); error != 0)
    return about(name, "its offloads cannot be read", error);
  return value.data != 0;
}

base::Result<void> set_receive_merging(const std::string& name, bool on) {
  ethtool_value value{.cmd = ETHTOOL_SGRO, .data = on ? 1U : 0U};
  if (const int error = ethtool(name, value); error != 0) {
    return about(name, "generic receive offload (gro) cannot be changed", error);
  }
  return {};
}

bool ipv6_enabled(const std::string& name) {
  const base::Fd file(::open(ipv6_switch(name).c_str(), O_RDONLY | O_CLOEXEC));
  char off = '1';
  return file && ::read(file.get(), &off, 1) == 1 && off == '0';
}

base::Result<void> set_ipv6_enabled(const std::string& name, bool on) {
  const base::Fd file(::open(ipv6_switch(name).c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), on ? "0" : "1", 1) != 1) {
    return about(name, "IPv6 cannot be switched on or off there", errno);
  }
  return {};
}

base::Result<base::Fd> claim_interface(const KernelInterface& interface) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "sluice-port-" + std::to_string(interface.index);
  std::memcpy(address.sun_path + 1, name.data(), name.size());  // a leading zero byte: abstract
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());

  base::Fd claim(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!claim) return base::system_error("interface " + interface.name + " cannot be claimed", errno);
  if (::bind(claim.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) {
    if (::listen(claim.get(), 1) != 0) return about(interface.name, "it cannot be claimed", errno);
    return claim;
  }
  if (errno != EADDRINUSE) return about(interface.name, "it cannot be claimed", errno);
  std::string owner;
  const base::Fd asking(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ucred peer{};
  socklen_t peer_size = sizeof(peer);
  if (asking && ::connect(asking.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
      ::getsockopt(asking.get(), SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0) {
    owner = " (pid " + std::to_string(peer.pid) + ")";
  }
  return base::Error{base::ErrorCode::exists,
                     "interface " + interface.name + " is in use by another sluice process" + owner};
}

}  // namespace sluice::dp
