#include "dp/kernel/rtnetlink_parse.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string_view>
#include <sys/socket.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

namespace sluice::dp {
namespace {

using base::Family;
using base::IpAddress;

/// Attributes of a message or of a nest, by type; null where absent.
template <int Max>
class Attributes {
 public:
  /// Those after a message's fixed part T.
  template <typename T>
  static std::optional<Attributes> after(const nlmsghdr* message) {
    Attributes attributes;
    if (nlmsg_parse(const_cast<nlmsghdr*>(message), sizeof(T), attributes.table_.data(), Max, nullptr) < 0) {
      return std::nullopt;
    }
    return attributes;
  }
  static std::optional<Attributes> within(const nlattr* nest) {
    Attributes attributes;
    if (nla_parse_nested(attributes.table_.data(), Max, const_cast<nlattr*>(nest), nullptr) < 0) {
      return std::nullopt;
    }
    return attributes;
  }
  static std::optional<Attributes> of(const void* first, int length) {
    Attributes attributes;
    if (nla_parse(attributes.table_.data(), Max, static_cast<nlattr*>(const_cast<void*>(first)), length,
                  nullptr) < 0) {
      return std::nullopt;
    }
    return attributes;
  }

  [[nodiscard]] const nlattr* operator[](int type) const { return table_[static_cast<std::size_t>(type)]; }

  /// The bytes of an attribute; empty when absent.
  [[nodiscard]] std::string_view bytes(int type) const {
    const nlattr* attribute = (*this)[type];
    if (attribute == nullptr) return {};
    return {static_cast<const char*>(nla_data(attribute)), static_cast<std::size_t>(nla_len(attribute))};
  }
  template <typename T>
  [[nodiscard]] std::optional<T> number(int type) const {
    const std::string_view data = bytes(type);
    if (data.size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, data.data(), sizeof(T));
    return value;
  }
  [[nodiscard]] std::optional<IpAddress> address(int type, Family family) const {
    const std::string_view data = bytes(type);
    if (data.size() != (family == Family::v4 ? 4U : 16U)) return std::nullopt;
    return IpAddress::from_wire(data);
  }

 private:
  std::array<nlattr*, static_cast<std::size_t>(Max) + 1> table_{};
};

template <typename T>
const T* fixed_part(const nlmsghdr* message) {
  return nlmsg_valid_hdr(message, sizeof(T)) != 0 ? static_cast<const T*>(nlmsg_data(message)) : nullptr;
}

std::optional<Family> family_of(unsigned char family) {
  if (family == AF_INET) return Family::v4;
  if (family == AF_INET6) return Family::v6;
  return std::nullopt;
}

base::Mac mac_of(std::string_view bytes) {
  base::Mac mac;
  if (bytes.size() == mac.bytes.size()) std::memcpy(mac.bytes.data(), bytes.data(), bytes.size());
  return mac;
}

/// A C string attribute without its terminator.
std::string_view text(std::string_view bytes) {
  return bytes.substr(0, bytes.find('\0'));
}

bool is_macvlan(const nlattr* link_info) {
  const auto info = Attributes<IFLA_INFO_MAX>::within(link_info);
  return info && text(info->bytes(IFLA_INFO_KIND)) == "macvlan";
}

std::optional<VlanTag> vlan_of(const nlattr* link_info) {
  const auto info = Attributes<IFLA_INFO_MAX>::within(link_info);
  if (!info || text(info->bytes(IFLA_INFO_KIND)) != "vlan" || (*info)[IFLA_INFO_DATA] == nullptr) {
    return std::nullopt;
  }
  const auto data = Attributes<IFLA_VLAN_MAX>::within((*info)[IFLA_INFO_DATA]);
  if (!data) return std::nullopt;
  const auto id = data->number<std::uint16_t>(IFLA_VLAN_ID);
  if (!id) return std::nullopt;
  const auto protocol = data->number<base::Be16>(IFLA_VLAN_PROTOCOL);
  return VlanTag{protocol ? static_cast<base::EtherType>(protocol->host()) : base::EtherType::vlan, *id};
}

/// The gateway in `attributes`: of the route's family, or of any (RTA_VIA).
template <int Max>
std::optional<IpAddress> gateway_of(const Attributes<Max>& attributes, Family family) {
  if (const auto gateway = attributes.address(RTA_GATEWAY, family)) return gateway;
  const std::string_view via = attributes.bytes(RTA_VIA);  // struct rtvia: family, then the address
  if (via.size() == sizeof(rtvia) + 16 || via.size() == sizeof(rtvia) + 4) {
    return IpAddress::from_wire(via.substr(sizeof(rtvia)));
  }
  return std::nullopt;
}

std::vector<RouteHop> multipath_of(std::string_view bytes, Family family) {
  std::vector<RouteHop> hops;
  while (bytes.size() >= sizeof(rtnexthop)) {
    rtnexthop hop;
    std::memcpy(&hop, bytes.data(), sizeof(hop));
    if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > bytes.size()) break;
    const auto attributes =
        Attributes<RTA_MAX>::of(bytes.data() + sizeof(hop), hop.rtnh_len - int{sizeof(hop)});
    hops.push_back({static_cast<std::uint32_t>(hop.rtnh_ifindex),
                    attributes ? gateway_of(*attributes, family) : std::nullopt,
                    (hop.rtnh_flags & RTNH_F_DEAD) != 0});
    bytes.remove_prefix(std::min<std::size_t>(bytes.size(), RTNH_ALIGN(hop.rtnh_len)));
  }
  return hops;
}

std::optional<RouteType> type_of(unsigned char type) {
  switch (type) {
    case RTN_UNICAST: return RouteType::unicast;
    case RTN_LOCAL:
    case RTN_BROADCAST:
    case RTN_ANYCAST:
    case RTN_MULTICAST: return RouteType::local;
    case RTN_BLACKHOLE: return RouteType::blackhole;
    case RTN_UNREACHABLE:
    case RTN_PROHIBIT: return RouteType::unreachable;
    default:
      return std::nullopt;  // throw: as if the table had no such route; nat, xresolve: no longer in use
  }
}

NeighbourState state_of(std::uint16_t state) {
  if ((state & (NUD_REACHABLE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)) != 0) {
    return NeighbourState::usable;
  }
  if ((state & NUD_STALE) != 0) return NeighbourState::stale;
  if ((state & NUD_INCOMPLETE) != 0) return NeighbourState::incomplete;
  if ((state & NUD_FAILED) != 0) return NeighbourState::failed;
  return NeighbourState::none;
}

}  // namespace

std::optional<Link> parse_link(const nlmsghdr* message) {
  const auto* header = fixed_part<ifinfomsg>(message);
  if (header == nullptr || header->ifi_family != AF_UNSPEC)
    return std::nullopt;  // AF_BRIDGE: a bridge's ports
  const auto attributes = Attributes<IFLA_MAX>::after<ifinfomsg>(message);
  if (!attributes) return std::nullopt;
  Link link;
  link.ifindex = static_cast<std::uint32_t>(header->ifi_index);
  link.name = text(attributes->bytes(IFLA_IFNAME));
  link.mac = mac_of(attributes->bytes(IFLA_ADDRESS));
  link.mtu = attributes->number<std::uint32_t>(IFLA_MTU).value_or(0);
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.running = (header->ifi_flags & IFF_RUNNING) != 0;
  // IFLA_LINK also names the far end of a veth, and may name an interface of another namespace.
  if ((*attributes)[IFLA_LINKINFO] != nullptr && (*attributes)[IFLA_LINK_NETNSID] == nullptr) {
    link.vlan = vlan_of((*attributes)[IFLA_LINKINFO]);
    if (link.vlan || is_macvlan((*attributes)[IFLA_LINKINFO]))
      link.parent = attributes->number<std::uint32_t>(IFLA_LINK).value_or(0);
  }
  return link;
}

std::optional<InterfaceAddress> parse_address(const nlmsghdr* message) {
  const auto* header = fixed_part<ifaddrmsg>(message);
  if (header == nullptr) return std::nullopt;
  const auto family = family_of(header->ifa_family);
  const auto attributes = Attributes<IFA_MAX>::after<ifaddrmsg>(message);
  if (!family || !attributes) return std::nullopt;
  // On a point-to-point interface IFA_ADDRESS is the peer's and IFA_LOCAL ours.
  auto address = attributes->address(IFA_LOCAL, *family);
  if (!address) address = attributes->address(IFA_ADDRESS, *family);
  if (!address) return std::nullopt;
  return InterfaceAddress{header->ifa_index, {*address, header->ifa_prefixlen}};
}

std::optional<RouteMessage> parse_route(const nlmsghdr* message) {
  const auto* header = fixed_part<rtmsg>(message);
  if (header == nullptr || (header->rtm_flags & RTM_F_CLONED) != 0 || header->rtm_tos != 0)
    return std::nullopt;
  const auto family = family_of(header->rtm_family);
  const auto type = type_of(header->rtm_type);
  const auto attributes = Attributes<RTA_MAX>::after<rtmsg>(message);
  if (!family || !type || !attributes) return std::nullopt;

  const std::uint32_t table = attributes->number<std::uint32_t>(RTA_TABLE).value_or(header->rtm_table);
  if (table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL) return std::nullopt;
  if (header->rtm_src_len != 0) return std::nullopt;  // IPv6 source-specific routes (RFC 8678)

  RouteMessage result;
  const IpAddress any = *family == Family::v4 ? IpAddress{base::Ipv4{}} : IpAddress{base::Ipv6{}};
  result.key.destination = {attributes->address(RTA_DST, *family).value_or(any), header->rtm_dst_len};
  result.key.origin = table == RT_TABLE_LOCAL ? RouteOrigin::local_table : RouteOrigin::main_table;
  result.key.priority = attributes->number<std::uint32_t>(RTA_PRIORITY).value_or(0);
  result.route.type = *type;
  if ((*attributes)[RTA_METRICS] != nullptr) {
    if (const auto metrics = Attributes<RTAX_MAX>::within((*attributes)[RTA_METRICS])) {
      result.route.mtu = metrics->number<std::uint32_t>(RTAX_MTU).value_or(0);
    }
  }
  if (*type != RouteType::unicast) return result;
  if ((*attributes)[RTA_MULTIPATH] != nullptr) {
    result.route.hops = multipath_of(attributes->bytes(RTA_MULTIPATH), *family);
  } else if (const auto ifindex = attributes->number<std::uint32_t>(RTA_OIF)) {
    result.route.hops.push_back(
        {*ifindex, gateway_of(*attributes, *family), (header->rtm_flags & RTNH_F_DEAD) != 0});
  }
  return result;
}

std::optional<NeighbourMessage> parse_neighbour(const nlmsghdr* message) {
  const auto* header = fixed_part<ndmsg>(message);
  if (header == nullptr || (header->ndm_flags & NTF_PROXY) != 0) return std::nullopt;
  const auto family = family_of(header->ndm_family);
  const auto attributes = Attributes<NDA_MAX>::after<ndmsg>(message);
  if (!family || !attributes) return std::nullopt;
  const auto address = attributes->address(NDA_DST, *family);
  if (!address) return std::nullopt;
  NeighbourMessage result{{static_cast<std::uint32_t>(header->ndm_ifindex), *address},
                          {state_of(header->ndm_state), mac_of(attributes->bytes(NDA_LLADDR))}};
  const bool usable =
      result.neighbour.state == NeighbourState::usable || result.neighbour.state == NeighbourState::stale;
  if (!usable) result.neighbour.mac = {};
  return result;
}

}  // namespace sluice::dp
