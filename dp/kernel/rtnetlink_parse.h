#pragma once

#include <cstdint>
#include <optional>

#include "dp/kernel/kernel_tables.h"

struct nlmsghdr;

/// rtnetlink messages as values (rtnetlink(7)). Each function takes a message of its own type and answers
/// nothing when the message is malformed or of no concern to the mirror (other tables, bridge entries, cached
/// routes).
namespace sluice::dp {

/// RTM_NEWLINK, RTM_DELLINK. A deletion may carry no more than the ifindex.
std::optional<Link> parse_link(const nlmsghdr* message);

/// RTM_NEWADDR, RTM_DELADDR.
std::optional<InterfaceAddress> parse_address(const nlmsghdr* message);

struct RouteMessage {
  RouteKey key;
  Route route;
};
/// RTM_NEWROUTE, RTM_DELROUTE of the main and local tables, type of service 0.
std::optional<RouteMessage> parse_route(const nlmsghdr* message);

struct NeighbourMessage {
  NeighbourKey key;
  Neighbour neighbour;
};
/// RTM_NEWNEIGH, RTM_DELNEIGH.
std::optional<NeighbourMessage> parse_neighbour(const nlmsghdr* message);

}  // namespace sluice::dp
