#include "tools/replay/network.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/headers.h"
#include "config/suggest.h"
#include "dp/ip_header.h"
#include "tools/replay/parsed_frame.h"

namespace sluice::replay {
namespace {

using base::Family;

constexpr std::uint32_t kLink = 1;  ///< ifindex of the one link that all neighbours are on
constexpr std::uint64_t kIndexSeed = 0;

base::Error wrong(std::string sentence) {
  return {base::ErrorCode::invalid, std::move(sentence)};
}

/// 02:00 and the address's last four bytes: of IPv6 02:06 and those.
base::Mac mac_of(const base::IpAddress& address) {
  const std::string_view wire = address.wire();
  base::Mac mac{{0x02, static_cast<std::uint8_t>(address.is_v4() ? 0x00 : 0x06)}};
  for (std::size_t i = 0; i < 4; ++i) mac.bytes[2 + i] = static_cast<std::uint8_t>(wire[wire.size() - 4 + i]);
  return mac;
}

dp::AdjacencyState state_of(NamedNeighbour::State state) {
  switch (state) {
    case NamedNeighbour::State::reachable: return dp::AdjacencyState::reachable;
    case NamedNeighbour::State::incomplete: return dp::AdjacencyState::incomplete;
    case NamedNeighbour::State::failed: return dp::AdjacencyState::failed;
  }
  return dp::AdjacencyState::gone;
}

}  // namespace

Network::Network(const config::Config& config) {
  for (const config::Port& port : config.ports) {
    names_.push_back(port.name);
    ports_.emplace_back();
  }
  for (const config::Service& service : config.services) {
    served_.insert(service.vip.address);
    served_.insert(service.local_addresses.begin(), service.local_addresses.end());
  }
}

base::Result<std::uint16_t> Network::find_port(const std::string& name) const {
  const auto found = std::ranges::find(names_, name);
  if (found != names_.end()) return static_cast<std::uint16_t>(found - names_.begin());
  const std::vector<std::string_view> known(names_.begin(), names_.end());
  return wrong(fmt::format("port {}: the configuration has none of that name{}", config::in_quotes(name),
                           config::did_you_mean(name, known)));
}

base::Result<void> Network::take_port_of(const std::vector<PortOf>& port_of) {
  for (const PortOf& each : port_of) {
    const auto port = find_port(each.port);
    if (!port) return port.error();
    if (!port_of_.emplace(each.mac, *port).second)
      return wrong(fmt::format("--port-of {}: is given twice", each.mac.to_string()));
    if (ports_[*port].mac.is_zero()) {
      ports_[*port].mac = each.mac;
    } else {
      virtual_macs_.push_back({*port, each.mac});
    }
  }
  return {};
}

base::Result<void> Network::assign_interfaces(const config::Config& config,
                                              const std::vector<CaptureInterface>& interfaces) {
  while (interfaces_.size() < interfaces.size()) {
    const CaptureInterface& interface = interfaces[interfaces_.size()];
    Interface& assigned = interfaces_.emplace_back();
    assigned.is_ethernet = interface.link_type == kLinkEthernet;
    if (!port_of_.empty() || !assigned.is_ethernet) continue;
    const auto found = std::ranges::find_if(config.ports, [&](const config::Port& port) {
      return !interface.name.empty() && (port.name == interface.name || port.argument == interface.name);
    });
    if (found != config.ports.end()) {
      assigned.port = static_cast<std::uint16_t>(found - config.ports.begin());
    } else if (config.ports.size() == 1) {
      assigned.port = 0;
    } else {
      return wrong(fmt::format("interface {} of the capture is none of the ports {}: say --port-of MAC=NAME",
                               config::in_quotes(interface.name), fmt::join(names_, ", ")));
    }
  }
  return {};
}

Network::Arrival Network::arrival(const CapturedFrame& frame) const {
  const Interface& interface = interfaces_[frame.interface];
  if (!interface.is_ethernet) return {Absent::no_ethernet};
  const auto* eth = base::at<base::EthHdr>(frame.bytes, 0);
  if (eth != nullptr && is_own(eth->src)) return {Absent::sent};
  if (interface.port) return {Absent::none, *interface.port};
  const auto found = eth == nullptr ? port_of_.end() : port_of_.find(eth->dst);
  if (found == port_of_.end()) return {Absent::no_port};
  return {Absent::none, found->second};
}

bool Network::is_own(const base::Mac& mac) const {
  if (mac.is_zero()) return false;  // of a port that is not known yet
  return std::ranges::find(ports_, mac, &dp::PortView::mac) != ports_.end() ||
         std::ranges::find(virtual_macs_, mac, &dp::VirtualMac::mac) != virtual_macs_.end();
}

/// What an IP packet's frame tells of the network; nothing: it is none.
std::optional<Network::Seen> Network::look_at(const CapturedFrame& frame) {
  const ParsedFrame parsed(frame.bytes, frame.original_length);
  const dp::Meta& meta = parsed.meta();
  if (!meta.is_ip) return std::nullopt;
  std::optional<Seen> seen;
  dp::with_family(meta.family, [&]<Family F>() {
    const auto* ip = parsed.at<dp::IpHdr<F>>(meta.l3_offset);
    if (ip == nullptr) return;
    const auto* eth = parsed.at<base::EthHdr>(0);
    seen = Seen{ip->src, ip->dst, eth->src, eth->dst, {}};
    for (std::size_t at = sizeof(base::EthHdr); at < meta.l3_offset; at += sizeof(base::VlanHdr))
      seen->tags.push_back(parsed.at<base::VlanHdr>(at)->vid());
  });
  return seen;
}

base::Result<void> Network::learn_mac(std::uint16_t port, const Seen& seen) {
  if (seen.to.is_multicast() || !served_.contains(seen.destination) || is_own(seen.to)) return {};
  if (ports_[port].mac.is_zero()) {
    ports_[port].mac = seen.to;
    return {};
  }
  // Each is looked for with each frame; a port has its own, and one for each virtual router on it.
  constexpr std::size_t kMost = 256;
  if (virtual_macs_.size() == kMost) {
    return wrong(
        fmt::format("frames for served addresses go to more than {} MAC addresses: say by --port-of "
                    "MAC=NAME which of them are sluice's",
                    kMost));
  }
  virtual_macs_.push_back({port, seen.to});
  return {};
}

base::Result<Network> Network::explore(const config::Config& config, std::span<const std::byte> capture,
                                       const Options& options) {
  Network network(config);
  if (auto taken = network.take_port_of(options.port_of); !taken) return std::move(taken).error();
  // Twice: who sends is a neighbour only if it is none of our own addresses, which are known at the end.
  for (const bool macs_are_known : {false, true}) {
    auto reader = CaptureReader::open(capture);
    if (!reader) return std::move(reader).error();
    while (true) {
      const auto frame = reader->next();
      if (!frame) return frame.error();
      if (auto assigned = network.assign_interfaces(config, reader->interfaces()); !assigned)
        return std::move(assigned).error();
      if (!*frame) break;
      const Arrival arrival = network.arrival(**frame);
      if (arrival.absent != Absent::none) continue;
      const auto seen = look_at(**frame);
      if (!seen) continue;
      if (!macs_are_known) {
        if (!network.port_of_.empty()) continue;
        if (auto learned = network.learn_mac(arrival.port, *seen); !learned)
          return std::move(learned).error();
      } else if (!network.served_.contains(seen->source)) {
        network.seen_.try_emplace(seen->source, Hop{arrival.port, seen->from, seen->tags, options.mtu});
      }
    }
    for (std::size_t i = 0; i < network.ports_.size(); ++i) {
      if (network.ports_[i].mac.is_zero())
        network.ports_[i].mac = {{0x02, 0x73, 0x6c, 0x00, 0x00, static_cast<std::uint8_t>(i + 1)}};
    }
  }
  if (auto made = network.make_next_hops(config, options); !made) return std::move(made).error();
  return network;
}

dp::Adjacency Network::adjacency(const Hop& hop) const {
  dp::Adjacency out;
  const base::EthHdr eth{hop.mac, ports_[hop.port].mac, {}};
  std::memcpy(out.header.data(), &eth, 2 * sizeof(base::Mac));
  std::size_t at = 2 * sizeof(base::Mac);
  const auto put = [&](std::uint16_t word) {
    const base::Be16 wire(word);
    std::memcpy(out.header.data() + at, &wire, sizeof(wire));
    at += sizeof(wire);
  };
  for (std::size_t i = 0; i < hop.tags.size(); ++i) {
    const bool outer = hop.tags.size() == 2 && i == 0;
    put(static_cast<std::uint16_t>(outer ? base::EtherType::qinq : base::EtherType::vlan));
    put(hop.tags[i]);
  }
  put(static_cast<std::uint16_t>(base::EtherType::ipv4));
  out.header_length = static_cast<std::uint8_t>(at);
  out.state = hop.state;
  out.port = hop.port;
  out.mtu = hop.mtu;
  out.ifindex = kLink;
  return out;
}

base::Result<void> Network::make_next_hops(const config::Config& config, const Options& options) {
  std::map<Hop, dp::AdjacencyId> ids;
  std::vector<dp::Adjacency> adjacencies;
  const auto id_of = [&](const Hop& hop) -> base::Result<dp::AdjacencyId> {
    const auto [known, fresh] = ids.try_emplace(hop, static_cast<dp::AdjacencyId>(adjacencies.size()));
    if (!fresh) return known->second;
    if (adjacencies.size() == dp::kMaxAdjacencies) {
      return base::Error{
          base::ErrorCode::exhausted,
          fmt::format("the capture has more than {} neighbours: replay it in parts", dp::kMaxAdjacencies)};
    }
    adjacencies.push_back(adjacency(hop));
    return known->second;
  };

  std::vector<dp::RouteTable<Family::v4>::Entry> routes_v4;
  std::vector<dp::RouteTable<Family::v6>::Entry> routes_v6;
  const auto add_route = [&](const base::Prefix& to, const dp::RouteValue& value) {
    if (to.address.is_v4()) {
      routes_v4.push_back({to.address.v4(), to.length, value});
    } else {
      routes_v6.push_back({to.address.v6(), to.length, value});
    }
  };
  std::map<base::IpAddress, dp::AdjacencyId> named;
  for (const NamedNeighbour& neighbour : options.neighbours.neighbours) {
    const auto port = find_port(neighbour.port);
    if (!port) return port.error();
    const std::uint16_t mtu = neighbour.mtu == 0 ? options.mtu : neighbour.mtu;
    const auto id = id_of({*port, neighbour.mac, neighbour.tags, mtu, state_of(neighbour.state)});
    if (!id) return id.error();
    named.emplace(neighbour.address, *id);
    add_route({neighbour.address, static_cast<std::uint8_t>(neighbour.address.is_v4() ? 32 : 128)},
              {kLink, *id, 0, dp::RouteKind::via});
  }
  for (const NamedRoute& route : options.neighbours.routes)
    add_route(route.destination, {kLink, named.at(route.gateway), 0, dp::RouteKind::via});
  // Of two to the same prefix the first counts: these hold where the file says nothing.
  for (const base::IpAddress& any : {base::IpAddress(base::Ipv4{}), base::IpAddress(base::Ipv6{})})
    add_route({any, 0}, {kLink, dp::kNoAdjacency, 0, dp::RouteKind::on_link});

  for (const config::Service& service : config.services) {
    for (const config::Server& server : service.servers) {
      const base::IpAddress& address = server.endpoint.address;
      const auto last = static_cast<std::uint16_t>(ports_.size() - 1);
      seen_.try_emplace(address, Hop{last, mac_of(address), {}, options.mtu});
    }
  }
  std::vector<dp::NeighbourIndex<Family::v4>::Entry> neighbours_v4;
  std::vector<dp::NeighbourIndex<Family::v6>::Entry> neighbours_v6;
  for (const auto& [address, hop] : seen_) {
    const auto id = id_of(hop);
    if (!id) return id.error();
    if (address.is_v4()) {
      neighbours_v4.push_back({kLink, 0, *id, address.v4()});
    } else {
      neighbours_v6.push_back({kLink, 0, *id, address.v6()});
    }
  }
  dp::AdjacencyTable::Routing<Family::v4> v4;
  v4.routes = std::make_shared<dp::RouteTable<Family::v4>>(routes_v4);
  v4.neighbours = std::make_shared<dp::NeighbourIndex<Family::v4>>(neighbours_v4, kIndexSeed);
  dp::AdjacencyTable::Routing<Family::v6> v6;
  v6.routes = std::make_shared<dp::RouteTable<Family::v6>>(routes_v6);
  v6.neighbours = std::make_shared<dp::NeighbourIndex<Family::v6>>(neighbours_v6, kIndexSeed);
  constexpr std::uint32_t kEpoch = 1;
  next_hops_ = std::make_shared<dp::AdjacencyTable>(std::move(adjacencies), v4, v6, kEpoch);
  return {};
}

}  // namespace sluice::replay
