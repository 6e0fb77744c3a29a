#include "dp/kernel/kernel_mirror.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utility>

#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "base/netlink.h"
#include "dp/kernel/rtnetlink_parse.h"

namespace sluice::dp {
namespace {

using base::Result;

/// Room for a burst of notifications: some 20,000 route changes.
constexpr int kMonitorBuffer = 8 * 1024 * 1024;
/// After a dump that the kernel refused (another one was under way).
constexpr std::chrono::milliseconds kDumpRetry{50};
/// The kernel tells of a link that goes down, or an address that is removed, before it flushes the routes
/// that hang on it, and of the flush itself it tells nothing: the routes are dumped at once and again after
/// this time.
constexpr std::chrono::milliseconds kRouteRecheck{100};
/// Datagrams taken from one socket in one process(), so that the caller's other work is not starved.
constexpr int kMaxDatagrams = 256;

/// A request of `type` with the fixed part `header`; null when out of memory.
template <typename Header>
base::NlMessage request(std::uint16_t type, int flags, const Header& header) {
  auto made = base::make_message(type, flags);
  if (!made) return nullptr;
  base::NlMessage message = std::move(*made);
  if (nlmsg_append(message.get(), const_cast<Header*>(&header), sizeof(header), NLMSG_ALIGNTO) < 0)
    return nullptr;
  return message;
}

/// Takes over what the dump told, except where notifications knew better. True: something changed.
template <typename Live, typename Keys, typename KeyOf>
bool adopt(Live& live, Live& dumped, const Keys& touched, KeyOf&& copy_over) {
  for (const auto& key : touched) {
    dumped.erase(key);
    if (const auto known = live.find(key); known != live.end()) copy_over(dumped, *known);
  }
  const bool changed = live != dumped;
  if (changed) live = std::move(dumped);
  dumped = {};
  return changed;
}

/// Sets live[key] to value; true when it was something else.
template <typename Map>
bool assign(Map& live, const typename Map::key_type& key, typename Map::mapped_type value) {
  const auto [at, fresh] = live.try_emplace(key, value);
  if (fresh) return true;
  if (at->second == value) return false;
  at->second = std::move(value);
  return true;
}

void add_hops(Route& route, const Route& more) {
  for (const RouteHop& hop : more.hops) {
    if (std::ranges::find(route.hops, hop) == route.hops.end()) route.hops.push_back(hop);
  }
}

}  // namespace

void KernelMirror::SocketDeleter::operator()(nl_sock* socket) const noexcept {
  nl_socket_free(socket);
}

KernelMirror::~KernelMirror() = default;

Result<std::unique_ptr<KernelMirror>> KernelMirror::open() {
  std::unique_ptr<KernelMirror> mirror(new KernelMirror);
  if (Result<void> done = mirror->set_up(); !done) return std::move(done).error();
  return mirror;
}

Result<KernelMirror::Socket> KernelMirror::connect() {
  Socket socket(nl_socket_alloc());
  if (socket == nullptr)
    return base::netlink_error("kernel mirror: cannot make a netlink socket", -NLE_NOMEM);
  nl_socket_disable_seq_check(socket.get());  // notifications carry none; dumps are asked for one at a time
  nl_socket_disable_auto_ack(socket.get());
  if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0) {
    return base::netlink_error("kernel mirror: cannot open a route netlink socket", code);
  }
  if (const int code = nl_socket_set_nonblocking(socket.get()); code < 0) {
    return base::netlink_error("kernel mirror: cannot set up a route netlink socket", code);
  }
  return socket;
}

Result<void> KernelMirror::set_up() {
  for (Socket* socket : {&monitor_, &dump_, &requests_}) {
    Result<Socket> connected = connect();
    if (!connected) return std::move(connected).error();
    *socket = std::move(*connected);
  }
  // Beyond net.core.rmem_max only with CAP_NET_ADMIN; without it more overruns, each of them made good by
  // dumps.
  if (setsockopt(nl_socket_get_fd(monitor_.get()), SOL_SOCKET, SO_RCVBUFFORCE, &kMonitorBuffer,
                 sizeof(kMonitorBuffer)) != 0) {
    (void)setsockopt(nl_socket_get_fd(monitor_.get()), SOL_SOCKET, SO_RCVBUF, &kMonitorBuffer,
                     sizeof(kMonitorBuffer));
  }
  for (const int group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                          RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH}) {
    if (const int code = nl_socket_add_membership(monitor_.get(), group); code < 0) {
      return base::netlink_error("kernel mirror: cannot listen to changes of routes", code);
    }
  }

  nl_socket_modify_cb(
      monitor_.get(), NL_CB_VALID, NL_CB_CUSTOM,
      [](nl_msg* message, void* self) -> int {
        static_cast<KernelMirror*>(self)->on_message(nlmsg_hdr(message), Voice::notification);
        return NL_OK;
      },
      this);
  nl_socket_modify_cb(
      dump_.get(), NL_CB_VALID, NL_CB_CUSTOM,
      [](nl_msg* message, void* self) -> int {
        static_cast<KernelMirror*>(self)->on_message(nlmsg_hdr(message), Voice::dump);
        return NL_OK;
      },
      this);
  nl_socket_modify_cb(
      dump_.get(), NL_CB_DUMP_INTR, NL_CB_CUSTOM,
      [](nl_msg*, void* self) -> int {
        static_cast<KernelMirror*>(self)->dump_spoiled_ = true;
        return NL_OK;
      },
      this);
  nl_socket_modify_cb(
      dump_.get(), NL_CB_FINISH, NL_CB_CUSTOM,
      [](nl_msg*, void* self) -> int {
        static_cast<KernelMirror*>(self)->on_dump_end(true);
        return NL_OK;
      },
      this);
  nl_socket_modify_err_cb(
      dump_.get(), NL_CB_CUSTOM,
      [](sockaddr_nl*, nlmsgerr*, void* self) -> int {
        ++static_cast<KernelMirror*>(self)->counters_.refusals;
        static_cast<KernelMirror*>(self)->on_dump_end(false);
        return NL_SKIP;
      },
      this);
  nl_socket_modify_err_cb(
      requests_.get(), NL_CB_CUSTOM,
      [](sockaddr_nl*, nlmsgerr*, void* self) -> int {
        ++static_cast<KernelMirror*>(self)->counters_.refusals;
        return NL_SKIP;
      },
      this);

  timer_ = base::Fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer_) return base::system_error("kernel mirror: cannot make a timer", errno);
  epoll_ = base::Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return base::system_error("kernel mirror: cannot make an epoll descriptor", errno);
  for (const int fd : {nl_socket_get_fd(monitor_.get()), nl_socket_get_fd(dump_.get()),
                       nl_socket_get_fd(requests_.get()), timer_.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return base::system_error("kernel mirror: cannot watch its sockets", errno);
    }
  }
  dump_wanted_.fill(true);
  start_next_dump(Clock::now());
  return {};
}

KernelChanges KernelMirror::process() {
  std::uint64_t expirations = 0;
  (void)!read(timer_.get(), &expirations, sizeof(expirations));  // only to make it unreadable
  const bool monitor_empty = drain(monitor_.get());
  (void)drain(dump_.get());
  (void)drain(requests_.get());

  const Clock::time_point now = Clock::now();
  if (now >= recheck_routes_at_) {
    recheck_routes_at_ = Clock::time_point::max();
    want_dump(Table::routes);
  }
  // After an overrun old news are still queued, whose revocation may be lost: they must not count as newer
  // than a dump.
  if (monitor_empty) start_next_dump(now);
  const bool none_wanted = std::ranges::none_of(dump_wanted_, [](bool wanted) { return wanted; });
  if (!synced_ && !dump_running_ && none_wanted) {
    synced_ = true;
    pending_ = {true, true, true, true};
  }

  KernelChanges report;
  if (synced_ && pending_.any() && now - last_report_ >= kCoalesce) {
    report = std::exchange(pending_, {});
    last_report_ = now;
  }

  Clock::time_point wake = recheck_routes_at_;
  if (synced_ && pending_.any()) wake = std::min(wake, last_report_ + kCoalesce);
  if (!dump_running_ && !none_wanted) wake = std::min(wake, retry_at_);
  itimerspec timer{};
  if (wake != Clock::time_point::max()) {
    const auto since_start = wake.time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_start);
    timer.it_value = {seconds.count(), std::chrono::nanoseconds(since_start - seconds).count()};
  }
  (void)timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &timer, nullptr);
  return report;
}

bool KernelMirror::drain(nl_sock* socket) {
  for (int i = 0; i < kMaxDatagrams; ++i) {
    const int code = nl_recvmsgs_default(socket);
    if (code == -NLE_NOMEM && socket == monitor_.get()) {  // ENOBUFS: notifications were lost
      ++counters_.overruns;
      dump_wanted_.fill(true);
      dump_spoiled_ = true;  // of the changes since it began, some are not known
      continue;
    }
    if (code < 0) return true;  // NLE_AGAIN
  }
  return false;
}

void KernelMirror::on_message(const nlmsghdr* message, Voice voice) {
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: return on_link(message, voice);
    case RTM_NEWADDR:
    case RTM_DELADDR: return on_address(message, voice);
    case RTM_NEWROUTE:
    case RTM_DELROUTE: return on_route(message, voice);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: return on_neighbour(message, voice);
    default: return;
  }
}

void KernelMirror::on_link(const nlmsghdr* message, Voice voice) {
  std::optional<Link> link = parse_link(message);
  if (!link) return;
  const std::uint32_t ifindex = link->ifindex;
  if (voice == Voice::dump) {
    dumped_.links.insert_or_assign(ifindex, std::move(*link));
    return;
  }
  touched_.links.insert(ifindex);
  if (message->nlmsg_type == RTM_DELLINK) {
    forget_interface(ifindex);
    return;
  }
  const Link* before = tables_.link(ifindex);
  if (before != nullptr && before->up && !link->up) suspect_routes();
  if (assign(tables_.links, ifindex, std::move(*link))) pending_.links = true;
}

void KernelMirror::forget_interface(std::uint32_t ifindex) {
  if (tables_.links.erase(ifindex) != 0) pending_.links = true;
  const auto on_interface = [ifindex](std::uint32_t index) { return index == ifindex; };
  std::erase_if(tables_.addresses, [&](const InterfaceAddress& address) {
    if (!on_interface(address.ifindex)) return false;
    touched_.addresses.insert(address);
    return pending_.addresses = true;
  });
  std::erase_if(tables_.neighbours, [&](const auto& item) {
    if (!on_interface(item.first.ifindex)) return false;
    touched_.neighbours.insert(item.first);
    return pending_.neighbours = true;
  });
  suspect_routes();
}

void KernelMirror::suspect_routes() {
  want_dump(Table::routes);
  recheck_routes_at_ = Clock::now() + kRouteRecheck;
}

void KernelMirror::on_address(const nlmsghdr* message, Voice voice) {
  const std::optional<InterfaceAddress> address = parse_address(message);
  if (!address) return;
  if (voice == Voice::dump) {
    dumped_.addresses.insert(*address);
    return;
  }
  touched_.addresses.insert(*address);
  if (message->nlmsg_type == RTM_NEWADDR) {
    if (tables_.addresses.insert(*address).second) pending_.addresses = true;
  } else {
    if (tables_.addresses.erase(*address) != 0) pending_.addresses = true;
    suspect_routes();
  }
}

void KernelMirror::on_route(const nlmsghdr* message, Voice voice) {
  std::optional<RouteMessage> route = parse_route(message);
  if (!route) return;
  if (voice == Voice::dump) {
    const auto [at, fresh] = dumped_.routes.try_emplace(route->key, route->route);
    if (!fresh) add_hops(at->second, route->route);  // IPv6 tells equal routes one by one
    return;
  }
  touched_.routes.insert(route->key);
  if (message->nlmsg_type == RTM_DELROUTE) {
    remove_route(route->key, route->route);
    return;
  }
  const auto known = tables_.routes.find(route->key);
  if ((message->nlmsg_flags & NLM_F_REPLACE) == 0 && known != tables_.routes.end()) {
    Route merged = known->second;  // another way beside those known: the dump will tell the order
    add_hops(merged, route->route);
    merged.mtu = route->route.mtu;
    want_dump(Table::routes);
    route->route.hops = std::move(merged.hops);
  }
  if (assign(tables_.routes, route->key, std::move(route->route))) pending_.routes = true;
}

void KernelMirror::remove_route(const RouteKey& key, const Route& removed) {
  const auto known = tables_.routes.find(key);
  if (known == tables_.routes.end()) return;
  pending_.routes = true;
  std::erase_if(known->second.hops, [&](const RouteHop& hop) {
    return std::ranges::any_of(removed.hops, [&](const RouteHop& gone) {
      return gone.ifindex == hop.ifindex && gone.gateway == hop.gateway;
    });
  });
  if (known->second.hops.empty()) {
    tables_.routes.erase(known);
  } else {
    want_dump(Table::routes);  // the other ways may have gone with it
  }
}

void KernelMirror::on_neighbour(const nlmsghdr* message, Voice voice) {
  const std::optional<NeighbourMessage> neighbour = parse_neighbour(message);
  if (!neighbour) return;
  if (voice == Voice::dump) {
    dumped_.neighbours.insert_or_assign(neighbour->key, neighbour->neighbour);
    return;
  }
  touched_.neighbours.insert(neighbour->key);
  if (message->nlmsg_type == RTM_NEWNEIGH) {
    if (assign(tables_.neighbours, neighbour->key, neighbour->neighbour)) pending_.neighbours = true;
  } else if (tables_.neighbours.erase(neighbour->key) != 0) {
    pending_.neighbours = true;
  }
}

void KernelMirror::start_next_dump(Clock::time_point now) {
  if (dump_running_ || now < retry_at_) return;
  const auto wanted = std::ranges::find(dump_wanted_, true);
  if (wanted == dump_wanted_.end()) return;
  *wanted = false;
  dump_table_ = static_cast<Table>(wanted - dump_wanted_.begin());
  dump_running_ = true;
  dump_spoiled_ = false;
  dumped_ = {};
  touched_ = {};
  ++counters_.dumps;
  if (!request_dump(dump_table_ == Table::routes ? AF_INET : AF_UNSPEC)) on_dump_end(false);
}

bool KernelMirror::request_dump(unsigned char family) {
  base::NlMessage message;
  switch (dump_table_) {
    case Table::links: message = request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{}); break;
    case Table::addresses: message = request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{}); break;
    case Table::neighbours: message = request(RTM_GETNEIGH, NLM_F_DUMP, ndmsg{}); break;
    case Table::routes: {
      rtmsg header{};
      header.rtm_family = family;
      message = request(RTM_GETROUTE, NLM_F_DUMP, header);
      break;
    }
  }
  return message != nullptr && nl_send_auto(dump_.get(), message.get()) >= 0;
}

void KernelMirror::on_dump_end(bool complete) {
  if (!dump_running_) return;
  // Routes take two dumps. The families are dumped one by one, for AF_UNSPEC would bring MPLS and multicast
  // too.
  const bool first_half = dump_table_ == Table::routes && !routes6_asked_;
  if (complete && !dump_spoiled_ && first_half) {
    routes6_asked_ = true;
    if (request_dump(AF_INET6)) return;
    complete = false;
  }
  routes6_asked_ = false;
  dump_running_ = false;
  if (!complete || dump_spoiled_) {
    want_dump(dump_table_);
    retry_at_ = Clock::now() + kDumpRetry;
    return;
  }
  adopt_dump();
}

void KernelMirror::adopt_dump() {
  const auto copy = [](auto& into, const auto& item) { into.insert(item); };
  switch (dump_table_) {
    case Table::links: pending_.links |= adopt(tables_.links, dumped_.links, touched_.links, copy); break;
    case Table::addresses:
      pending_.addresses |= adopt(tables_.addresses, dumped_.addresses, touched_.addresses, copy);
      break;
    case Table::routes:
      pending_.routes |= adopt(tables_.routes, dumped_.routes, touched_.routes, copy);
      break;
    case Table::neighbours:
      pending_.neighbours |= adopt(tables_.neighbours, dumped_.neighbours, touched_.neighbours, copy);
      break;
  }
}

void KernelMirror::solicit(const NeighbourKey& neighbour) {
  ndmsg header{};
  header.ndm_family = neighbour.address.is_v4() ? AF_INET : AF_INET6;
  header.ndm_ifindex = static_cast<int>(neighbour.ifindex);
  header.ndm_flags = NTF_USE;
  const base::NlMessage message = request(RTM_NEWNEIGH, NLM_F_CREATE, header);
  const std::string_view wire = neighbour.address.wire();
  if (message == nullptr || nla_put(message.get(), NDA_DST, static_cast<int>(wire.size()), wire.data()) < 0 ||
      nl_send_auto(requests_.get(), message.get()) < 0) {
    ++counters_.refusals;
  }
}

}  // namespace sluice::dp
