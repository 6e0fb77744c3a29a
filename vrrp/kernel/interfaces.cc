#include "vrrp/kernel/interfaces.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <utility>

#include <fmt/format.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>

namespace sluice::vrrp {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kDumpAttempts = 20;
constexpr std::chrono::milliseconds kResyncRetry{100};

/// The attributes behind a T at the head of `message`.
template <typename Header, std::size_t kMax>
bool parse(const nlmsghdr& message, std::array<nlattr*, kMax>& attributes) noexcept {
  return nlmsg_parse(const_cast<nlmsghdr*>(&message), sizeof(Header), attributes.data(), int{kMax} - 1,
                     nullptr) == 0;
}

template <typename Header>
const Header* header_of(const nlmsghdr& message) noexcept {
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(Header))) return nullptr;
  return static_cast<const Header*>(nlmsg_data(&message));
}

std::string text_of(const nlattr* attribute) {
  const auto* bytes = static_cast<const char*>(nla_data(attribute));
  return {bytes, ::strnlen(bytes, static_cast<std::size_t>(nla_len(attribute)))};
}

std::optional<Interface> interface_of(const nlmsghdr& message) {
  const auto* header = header_of<ifinfomsg>(message);
  if (header == nullptr || header->ifi_family != AF_UNSPEC)
    return std::nullopt;  // AF_BRIDGE: a bridge's port
  std::array<nlattr*, IFLA_MAX + 1> attributes{};
  if (!parse<ifinfomsg>(message, attributes)) return std::nullopt;
  Interface out;
  out.index = static_cast<std::uint32_t>(header->ifi_index);
  out.up = (header->ifi_flags & IFF_UP) != 0;
  out.running = (header->ifi_flags & IFF_RUNNING) != 0;
  if (attributes[IFLA_IFNAME] != nullptr) out.name = text_of(attributes[IFLA_IFNAME]);
  if (const nlattr* mac = attributes[IFLA_ADDRESS]; mac != nullptr && nla_len(mac) == 6) {
    std::memcpy(out.mac.bytes.data(), nla_data(mac), 6);
  }
  if (attributes[IFLA_MTU] != nullptr) out.mtu = nla_get_u32(attributes[IFLA_MTU]);
  // A parent in another namespace has an index that means nothing here.
  if (attributes[IFLA_LINK] != nullptr && attributes[IFLA_LINK_NETNSID] == nullptr) {
    out.parent = nla_get_u32(attributes[IFLA_LINK]);
  }
  std::array<nlattr*, IFLA_INFO_MAX + 1> info{};
  if (attributes[IFLA_LINKINFO] != nullptr &&
      nla_parse_nested(info.data(), IFLA_INFO_MAX, attributes[IFLA_LINKINFO], nullptr) == 0 &&
      info[IFLA_INFO_KIND] != nullptr) {
    out.kind = text_of(info[IFLA_INFO_KIND]);
  }
  return out;
}

struct AddressMessage {
  std::uint32_t index = 0;
  base::IpAddress address;
  InterfaceAddress details;
};

std::optional<AddressMessage> address_of(const nlmsghdr& message) {
  const auto* header = header_of<ifaddrmsg>(message);
  if (header == nullptr || (header->ifa_family != AF_INET && header->ifa_family != AF_INET6))
    return std::nullopt;
  std::array<nlattr*, IFA_MAX + 1> attributes{};
  if (!parse<ifaddrmsg>(message, attributes)) return std::nullopt;
  // IFA_ADDRESS is the other end's on a point-to-point link.
  const nlattr* local = attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
  const int length = header->ifa_family == AF_INET ? 4 : 16;
  if (local == nullptr || nla_len(local) != length) return std::nullopt;
  AddressMessage out;
  out.index = header->ifa_index;
  out.address = base::IpAddress::from_wire(
      {static_cast<const char*>(nla_data(local)), static_cast<std::size_t>(length)});
  out.details.prefix_length = header->ifa_prefixlen;
  out.details.flags =
      attributes[IFA_FLAGS] != nullptr ? nla_get_u32(attributes[IFA_FLAGS]) : header->ifa_flags;
  if (const nlattr* told = attributes[IFA_CACHEINFO];
      told != nullptr && nla_len(told) >= static_cast<int>(sizeof(ifa_cacheinfo))) {
    ifa_cacheinfo lifetimes{};
    std::memcpy(&lifetimes, nla_data(told), sizeof lifetimes);
    out.details.lifetime = std::chrono::seconds(lifetimes.ifa_valid);
  }
  return out;
}

struct OnLinkRoute {
  std::uint32_t index = 0;
  base::Prefix network;
  std::optional<std::chrono::milliseconds> lifetime{};  ///< none: for ever
};

std::optional<OnLinkRoute> on_link_route_of(const nlmsghdr& message) {
  const auto* header = header_of<rtmsg>(message);
  if (header == nullptr || header->rtm_family != AF_INET6 || header->rtm_type != RTN_UNICAST)
    return std::nullopt;
  std::array<nlattr*, RTA_MAX + 1> attributes{};
  if (!parse<rtmsg>(message, attributes)) return std::nullopt;
  const nlattr* to = attributes[RTA_DST];
  if (attributes[RTA_GATEWAY] != nullptr || attributes[RTA_OIF] == nullptr) return std::nullopt;
  if (to == nullptr || nla_len(to) != 16) return std::nullopt;
  OnLinkRoute out;
  out.index = nla_get_u32(attributes[RTA_OIF]);
  out.network = {base::IpAddress::from_wire({static_cast<const char*>(nla_data(to)), 16}),
                 header->rtm_dst_len};
  if (const nlattr* told = attributes[RTA_CACHEINFO];
      told != nullptr && nla_len(told) >= static_cast<int>(sizeof(rta_cacheinfo))) {
    rta_cacheinfo times{};
    std::memcpy(&times, nla_data(told), sizeof times);
    if (times.rta_expires != 0) out.lifetime = std::chrono::milliseconds(10) * times.rta_expires;  // USER_HZ
  }
  return out;
}

template <typename Header>
Result<base::NlMessage> message_of(std::uint16_t type, int flags, Header header) {
  auto message = base::make_message(type, flags);
  if (message && nlmsg_append(message->get(), &header, sizeof header, NLMSG_ALIGNTO) < 0) {
    return Error{ErrorCode::exhausted, "netlink message: no room"};
  }
  return message;
}

Error no_room(const std::string& what) {
  return {ErrorCode::exhausted, what + ": the netlink message is full"};
}

/// The kernel has, or still has, the address with this length, too.
void take_length(InterfaceAddress& held, std::uint8_t length) {
  if (held.prefix_length != length &&
      std::ranges::find(held.other_lengths, length) == held.other_lengths.end())
    held.other_lengths.push_back(length);
}

/// It has it with this length no longer. False: that was the last.
bool drop_length(InterfaceAddress& held, std::uint8_t length) {
  std::erase(held.other_lengths, length);
  if (held.prefix_length != length) return true;
  if (held.other_lengths.empty()) return false;
  held.prefix_length = held.other_lengths.back();
  held.other_lengths.pop_back();
  return true;
}

ifaddrmsg address_header(const Interface& interface, const base::IpAddress& address, std::uint8_t length) {
  ifaddrmsg header{};
  header.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = length;
  header.ifa_scope = !address.is_v4() && address.v6().is_link_local() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header.ifa_index = interface.index;
  return header;
}

}  // namespace

bool InterfaceAddress::usable() const noexcept {
  return (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0;
}

bool InterfaceAddress::second_choice() const noexcept {
  return (flags & (IFA_F_SECONDARY | IFA_F_DEPRECATED)) != 0;
}

Interfaces::Interfaces(base::EventLoop& loop, base::NetlinkSocket requests, EventCallback on_event)
    : loop_(loop), requests_(std::move(requests)), on_event_(std::move(on_event)) {}

Interfaces::~Interfaces() {
  loop_.cancel(retry_);
}

Result<std::unique_ptr<Interfaces>> Interfaces::start(base::EventLoop& loop, EventCallback on_event) {
  auto socket = base::NetlinkSocket::open(NETLINK_ROUTE);
  if (!socket) return std::move(socket).error();
  // Of an interface's routes the kernel then tells no others. Before Linux 4.20 it tells all.
  const int strict = 1;
  (void)::setsockopt(nl_socket_get_fd(socket->get()), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict,
                     sizeof strict);
  std::unique_ptr<Interfaces> self(new Interfaces(loop, *std::move(socket), std::move(on_event)));
  auto monitor = base::NetlinkMonitor::start(
      loop, NETLINK_ROUTE, {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR},
      {.message = [raw = self.get()](const nlmsghdr& message) { raw->apply(message); },
       .resync = [raw = self.get()] { raw->resync(); }});
  if (!monitor) return std::move(monitor).error();
  self->monitor_ = *std::move(monitor);
  auto table = self->dump();
  if (!table) return std::move(table).error();
  self->table_ = *std::move(table);
  return self;
}

Result<Interfaces::Table> Interfaces::dump() {
  for (int attempt = 1;; ++attempt) {
    Table table;
    auto links = message_of(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
    auto addresses = message_of(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
    if (!links) return std::move(links).error();
    if (!addresses) return std::move(addresses).error();
    auto done = requests_.dump(**links, "interfaces", [&](const nlmsghdr& answer) {
      if (auto link = interface_of(answer)) table.links[link->index] = *std::move(link);
    });
    if (done) {
      done = requests_.dump(**addresses, "addresses", [&](const nlmsghdr& answer) {
        const auto found = address_of(answer);
        if (!found) return;
        const auto [at, fresh] = table.addresses[found->index].try_emplace(found->address, found->details);
        if (fresh) at->second.order = ++named_;
        take_length(at->second, found->details.prefix_length);
      });
    }
    if (done) return table;
    if (done.error().code != ErrorCode::unavailable || attempt == kDumpAttempts)
      return std::move(done).error();
  }
}

void Interfaces::resync() {
  ++resyncs_;
  auto fresh = dump();
  if (!fresh) {
    // What is known stays; it is asked again until the kernel answers.
    loop_.cancel(retry_);
    retry_ = loop_.after(kResyncRetry, [this] { resync(); });
    return;
  }
  const Table before = std::exchange(table_, *std::move(fresh));
  for (const auto& [index, link] : before.links) {
    if (!table_.links.contains(index)) tell(InterfaceEvent::Kind::deleted, link);
  }
  for (const auto& [index, link] : table_.links) {
    const auto old = before.links.find(index);
    if (old == before.links.end()) {
      tell(InterfaceEvent::Kind::added, link);
    } else if (old->second != link) {
      on_event_({InterfaceEvent::Kind::changed, link, old->second, {}});
    }
    static const Addresses kNone;
    const auto held = before.addresses.find(index);
    const Addresses& earlier = held == before.addresses.end() ? kNone : held->second;
    const Addresses now = addresses(index);
    for (const auto& [address, details] : earlier) {
      if (!now.contains(address))
        tell(InterfaceEvent::Kind::address_removed, link, {address, details.prefix_length});
    }
    for (const auto& [address, details] : now) {
      const auto known = earlier.find(address);
      if (known == earlier.end() || (!known->second.usable() && details.usable()))
        tell(InterfaceEvent::Kind::address_added, link, {address, details.prefix_length});
    }
  }
}

void Interfaces::apply(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: apply_link(message); break;
    case RTM_NEWADDR:
    case RTM_DELADDR: apply_address(message); break;
    default: break;
  }
}

void Interfaces::apply_link(const nlmsghdr& message) {
  const auto link = interface_of(message);
  if (!link) return;
  if (message.nlmsg_type == RTM_DELLINK) {
    forget_link(link->index);
    return;
  }
  const auto [at, fresh] = table_.links.try_emplace(link->index, *link);
  if (fresh) {
    tell(InterfaceEvent::Kind::added, *link);
    return;
  }
  if (at->second == *link) return;
  const Interface before = std::exchange(at->second, *link);
  on_event_({InterfaceEvent::Kind::changed, *link, before, {}});
}

void Interfaces::forget_link(std::uint32_t index) {
  const auto found = table_.links.find(index);
  if (found == table_.links.end()) return;
  const Interface link = found->second;
  table_.links.erase(found);
  table_.addresses.erase(index);
  tell(InterfaceEvent::Kind::deleted, link);
}

void Interfaces::apply_address(const nlmsghdr& message) {
  const auto news = address_of(message);
  if (!news) return;
  const Interface* link = by_index(news->index);
  if (link == nullptr) return;  // it is gone already
  Addresses& held = table_.addresses[news->index];
  const base::Prefix prefix{news->address, news->details.prefix_length};
  if (message.nlmsg_type == RTM_DELADDR) {
    const auto known = held.find(news->address);
    if (known == held.end() || drop_length(known->second, news->details.prefix_length)) return;
    held.erase(known);
    tell(InterfaceEvent::Kind::address_removed, *link, prefix);
    return;
  }
  const auto [at, fresh] = held.try_emplace(news->address, news->details);
  const bool became_usable = !fresh && !at->second.usable() && news->details.usable();
  if (fresh) at->second.order = ++named_;
  at->second.flags = news->details.flags;
  at->second.lifetime = news->details.lifetime;
  take_length(at->second, news->details.prefix_length);
  if (fresh || became_usable) tell(InterfaceEvent::Kind::address_added, *link, prefix);
}

void Interfaces::tell(InterfaceEvent::Kind kind, const Interface& interface,
                      const base::Prefix& address) const {
  on_event_({kind, interface, interface, address});
}

const Interface* Interfaces::by_name(std::string_view name) const noexcept {
  for (const auto& [index, link] : table_.links) {
    if (link.name == name) return &link;
  }
  return nullptr;
}

const Interface* Interfaces::by_index(std::uint32_t index) const noexcept {
  const auto found = table_.links.find(index);
  return found == table_.links.end() ? nullptr : &found->second;
}

const Interfaces::Addresses& Interfaces::addresses(std::uint32_t index) const noexcept {
  static const Addresses kNone;
  const auto found = table_.addresses.find(index);
  return found == table_.addresses.end() ? kNone : found->second;
}

bool Interfaces::has(std::uint32_t index, const base::IpAddress& address) const noexcept {
  return addresses(index).contains(address);
}

bool Interfaces::has(const base::IpAddress& address) const noexcept {
  return std::ranges::any_of(table_.addresses,
                             [&](const auto& entry) { return entry.second.contains(address); });
}

const Interface* Interfaces::on_network_of(const base::IpAddress& address,
                                           const std::function<bool(const base::IpAddress&)>& counts) const {
  const Interface* best = nullptr;
  std::uint8_t longest = 0;
  for (const auto& [index, addresses] : table_.addresses) {
    for (const auto& [own, details] : addresses) {
      const std::uint8_t length = details.prefix_length;
      const bool is_network = length > longest && length < (own.is_v4() ? 32 : 128);
      if (!is_network || !base::Prefix{own, length}.contains(address) || !counts(own)) continue;
      best = by_index(index);
      longest = length;
    }
  }
  return best;
}

/// IPv6: whether the interface has a route to the network, as to one of its own, that stays for longer. The
/// kernel has but one, for all addresses and routers' advertisements that say so: with the lifetime of one
/// address, it would go away under the others. Asked as it is now: nobody is told of the routes of others.
bool Interfaces::route_outlives(std::uint32_t index, const base::Prefix& network,
                                std::chrono::seconds lifetime) {
  if (lifetime == kForever) return false;
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_type = RTN_UNICAST;
  auto message = message_of(RTM_GETROUTE, NLM_F_DUMP, header);
  if (!message || nla_put_u32(message->get(), RTA_OIF, index) < 0) return false;
  bool outlives = false;
  // One that changes meanwhile is asked for again with the next renewal.
  (void)requests_.dump(**message, "routes", [&](const nlmsghdr& answer) {
    const auto route = on_link_route_of(answer);
    if (!route || route->index != index || route->network.length != network.length) return;
    if (!network.contains(route->network.address)) return;
    outlives = outlives || !route->lifetime || *route->lifetime > lifetime;
  });
  return outlives;
}

Result<void> Interfaces::add_address(const Interface& interface, const base::Prefix& address,
                                     std::chrono::seconds lifetime) {
  const std::string what = fmt::format("address {} on {}", address.to_string(), interface.name);
  auto message = message_of(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE,
                            address_header(interface, address.address, address.length));
  if (!message) return std::move(message).error();
  const std::string_view wire = address.address.wire();
  const auto length = static_cast<int>(wire.size());
  bool full = nla_put(message->get(), IFA_LOCAL, length, wire.data()) < 0 ||
              nla_put(message->get(), IFA_ADDRESS, length, wire.data()) < 0;
  const bool preferred = address.address.is_v4() || address.address.v6().is_link_local();
  ifa_cacheinfo lifetimes{};
  lifetimes.ifa_valid = static_cast<std::uint32_t>(lifetime.count());
  lifetimes.ifa_prefered = preferred ? lifetimes.ifa_valid : 0;
  full = full || nla_put(message->get(), IFA_CACHEINFO, sizeof lifetimes, &lifetimes) < 0;
  if (!address.address.is_v4()) {
    std::uint32_t flags = IFA_F_NODAD;
    if (route_outlives(interface.index, address, lifetime)) flags |= IFA_F_NOPREFIXROUTE;
    full = full || nla_put_u32(message->get(), IFA_FLAGS, flags) < 0;
  }
  if (full) return no_room(what);
  const std::uint32_t index = interface.index;  // events may change the mirror, and `interface` with it
  if (auto added = requests_.request(**message, what); !added) return added;
  drain();
  // Of IPv6 addresses the kernel tells a little later, from a work queue; it has the address all the same.
  if (const Interface* const link = by_index(index); link != nullptr && !has(index, address.address)) {
    InterfaceAddress details{
        .prefix_length = address.length, .flags = IFA_F_TENTATIVE, .order = ++named_, .lifetime = lifetime};
    if (!preferred) details.flags |= IFA_F_DEPRECATED;
    table_.addresses[index].emplace(address.address, std::move(details));
    tell(InterfaceEvent::Kind::address_added, Interface(*link), address);
  }
  return {};
}

Result<void> Interfaces::remove_address(const Interface& interface, const base::IpAddress& address) {
  const std::uint32_t index = interface.index;  // as above
  const auto& held = addresses(index);
  const auto found = held.find(address);
  if (found == held.end()) return {};
  std::vector<std::uint8_t> lengths = found->second.other_lengths;
  lengths.push_back(found->second.prefix_length);
  Result<void> outcome;
  for (const std::uint8_t length : lengths) {
    const std::string what = fmt::format("address {}/{} on {}", address.to_string(), length, interface.name);
    auto message = message_of(RTM_DELADDR, 0, address_header(interface, address, length));
    if (!message) return std::move(message).error();
    const std::string_view wire = address.wire();
    if (nla_put(message->get(), IFA_LOCAL, static_cast<int>(wire.size()), wire.data()) < 0)
      return no_room(what);
    if (auto removed = requests_.request(**message, what); !removed) outcome = std::move(removed);
  }
  // EADDRNOTAVAIL: someone else was faster. The mirror tells.
  if (!outcome) {
    drain();
    if (!has(index, address)) return {};
  }
  return outcome;
}

Result<void> Interfaces::add_macvlan(const std::string& name, const Interface& parent, base::Mac mac) {
  const std::string what = fmt::format("interface {} on {}", name, parent.name);
  auto message = message_of(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  if (!message) return std::move(message).error();
  nl_msg* const m = message->get();
  // Too small for IPv6 at first. A host that forwards joins the routers' groups on each interface that has
  // IPv6 and takes multicast, and reports it to the switches, with the virtual router's MAC address.
  if (nla_put_string(m, IFLA_IFNAME, name.c_str()) < 0 || nla_put_u32(m, IFLA_LINK, parent.index) < 0 ||
      nla_put_u32(m, IFLA_MTU, std::min(parent.mtu, kIpv6Mtu - 1)) < 0 ||
      nla_put(m, IFLA_ADDRESS, static_cast<int>(mac.bytes.size()), mac.bytes.data()) < 0) {
    return no_room(what);
  }
  nlattr* const info = nla_nest_start(m, IFLA_LINKINFO);
  if (info == nullptr || nla_put_string(m, IFLA_INFO_KIND, "macvlan") < 0) return no_room(what);
  nla_nest_end(m, info);
  if (auto made = requests_.request(*m, what); !made) return made;
  drain();
  const Interface* const fresh = by_name(name);
  if (fresh == nullptr) return Error{ErrorCode::not_found, what + ": was removed at once"};
  const Interface macvlan = *fresh;
  if (auto set = set_flag(macvlan, IFF_MULTICAST, false); !set) return set;
  return set_mtu(macvlan, parent.mtu);
}

Result<void> Interfaces::set_vepa(const Interface& macvlan) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(macvlan.index);
  const std::string what = fmt::format("interface {}: mode", macvlan.name);
  auto message = message_of(RTM_NEWLINK, 0, header);
  if (!message) return std::move(message).error();
  nl_msg* const m = message->get();
  nlattr* const info = nla_nest_start(m, IFLA_LINKINFO);
  if (info == nullptr || nla_put_string(m, IFLA_INFO_KIND, "macvlan") < 0) return no_room(what);
  nlattr* const data = nla_nest_start(m, IFLA_INFO_DATA);
  if (data == nullptr || nla_put_u32(m, IFLA_MACVLAN_MODE, MACVLAN_MODE_VEPA) < 0) return no_room(what);
  nla_nest_end(m, data);
  nla_nest_end(m, info);
  return requests_.request(*m, what);
}

Result<void> Interfaces::set_mtu(const Interface& interface, std::uint32_t mtu) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(interface.index);
  const std::string what = fmt::format("interface {}: mtu {}", interface.name, mtu);
  auto message = message_of(RTM_NEWLINK, 0, header);
  if (!message) return std::move(message).error();
  if (nla_put_u32(message->get(), IFLA_MTU, mtu) < 0) return no_room(what);
  return requests_.request(**message, what);
}

Result<void> Interfaces::set_flag(const Interface& interface, unsigned flag, bool on) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(interface.index);
  header.ifi_flags = on ? flag : 0;
  header.ifi_change = flag;
  auto message = message_of(RTM_NEWLINK, 0, header);
  if (!message) return std::move(message).error();
  return requests_.request(**message, fmt::format("interface {}", interface.name));
}

Result<void> Interfaces::set_up(const Interface& interface) {
  return set_flag(interface, IFF_UP, true);
}

Result<void> Interfaces::remove_link(const Interface& interface) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(interface.index);
  auto message = message_of(RTM_DELLINK, 0, header);
  if (!message) return std::move(message).error();
  return requests_.request(**message, fmt::format("interface {}", interface.name));
}

void Interfaces::drain() {
  monitor_->drain();
}

}  // namespace sluice::vrrp
