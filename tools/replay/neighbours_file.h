#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace sluice::replay {

/// A line of the neighbours file that says how one address is reached.
struct NamedNeighbour {
  enum class State : std::uint8_t { reachable, incomplete, failed };
  base::IpAddress address;
  State state = State::reachable;
  base::Mac mac;                    ///< of a reachable one
  std::string port;                 ///< name in the configuration
  std::vector<std::uint16_t> tags;  ///< VLAN ids, outermost first; at most two
  std::uint16_t mtu = 0;            ///< bytes; 0: the replay's
};

/// A line that says by which neighbour a network is reached.
struct NamedRoute {
  base::Prefix destination;
  base::IpAddress gateway;  ///< one of the file's neighbours
};

struct NeighboursFile {
  std::vector<NamedNeighbour> neighbours;
  std::vector<NamedRoute> routes;
};

/// Reads the text of a neighbours file:
///
///     # by which port and MAC address an address is reached
///     192.0.2.11   52:54:00:00:00:0b  lan
///     192.0.2.1    52:54:00:00:00:01  wan  vlan 7  mtu 9000
///     192.0.2.12   incomplete         lan
///     # by which of them a network is reached; "default": both families' own
///     198.51.100.0/24  via 192.0.2.1
///     default          via 192.0.2.1
///
/// Error: names the line of `path`, and what is wrong with it. Thread: any.
base::Result<NeighboursFile> parse_neighbours(std::string_view text, const std::string& path);

}  // namespace sluice::replay
