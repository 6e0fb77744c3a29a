#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "config/model.h"
#include "dp/kernel/adjacency_table.h"
#include "dp/kernel/virtual_macs.h"
#include "dp/worker_state.h"
#include "tools/replay/capture_reader.h"
#include "tools/replay/neighbours_file.h"

/// Theory of operation. A running sluice asks the kernel for next hops, and its NICs for their MAC addresses.
/// A replay has neither; it takes them from what it is told and from the capture itself, so that the same
/// capture and the same words always make the same network:
///
///   port of a frame   the one that --port-of gives its destination MAC; else the one that is called as the
///                     capture's interface is, or whose device that is; else the only one there is
///   MAC of a port     --port-of; else all to which frames for a served address are sent, the first of them
///                     being its own; else one that is made up
///   next hop          a line of the neighbours file, the longest prefix first; else the port, MAC and tags
///                     that frames from that address come with; else the last port, and a MAC made of the
///                     address
namespace sluice::replay {

/// `--port-of MAC=NAME`.
struct PortOf {
  base::Mac mac;
  std::string port;
};

class Network {
 public:
  struct Options {
    std::vector<PortOf> port_of;
    NeighboursFile neighbours;
    std::uint16_t mtu = 1500;  ///< of next hops that say nothing else
  };
  /// Goes through the whole capture. Errors: it cannot be read, an interface or a name that is no port, too
  /// many next hops.
  static base::Result<Network> explore(const config::Config& config, std::span<const std::byte> capture,
                                       const Options& options);

  /// Why a frame of the capture does not come in.
  enum class Absent : std::uint8_t {
    none,
    sent,         ///< a port of ours sent it
    no_port,      ///< --port-of says nothing of its destination
    no_ethernet,  ///< its interface is no Ethernet
  };
  struct Arrival {
    Absent absent = Absent::none;
    std::uint16_t port = 0;
  };
  [[nodiscard]] Arrival arrival(const CapturedFrame& frame) const;

  [[nodiscard]] const std::vector<std::string>& port_names() const noexcept { return names_; }
  [[nodiscard]] const std::vector<dp::PortView>& ports() const noexcept { return ports_; }
  [[nodiscard]] const std::vector<dp::VirtualMac>& virtual_macs() const noexcept { return virtual_macs_; }
  [[nodiscard]] const std::shared_ptr<const dp::AdjacencyTable>& next_hops() const noexcept {
    return next_hops_;
  }

 private:
  struct Hop {
    std::uint16_t port = 0;
    base::Mac mac;
    std::vector<std::uint16_t> tags;  ///< outermost first
    std::uint16_t mtu = 0;
    dp::AdjacencyState state = dp::AdjacencyState::reachable;
    friend auto operator<=>(const Hop&, const Hop&) = default;
  };
  struct Seen {
    base::IpAddress source, destination;
    base::Mac from, to;
    std::vector<std::uint16_t> tags;
  };

  explicit Network(const config::Config& config);
  static std::optional<Seen> look_at(const CapturedFrame& frame);
  base::Result<std::uint16_t> find_port(const std::string& name) const;
  base::Result<void> take_port_of(const std::vector<PortOf>& port_of);
  /// Ports of the capture's interfaces from the first that has none yet.
  base::Result<void> assign_interfaces(const config::Config& config,
                                       const std::vector<CaptureInterface>& interfaces);
  [[nodiscard]] bool is_own(const base::Mac& mac) const;
  base::Result<void> learn_mac(std::uint16_t port, const Seen& seen);
  base::Result<void> make_next_hops(const config::Config& config, const Options& options);
  [[nodiscard]] dp::Adjacency adjacency(const Hop& hop) const;

  std::vector<std::string> names_;
  std::vector<dp::PortView> ports_;
  std::vector<dp::VirtualMac> virtual_macs_;
  std::map<base::Mac, std::uint16_t> port_of_;  ///< as --port-of has it
  struct Interface {
    bool is_ethernet = false;
    std::optional<std::uint16_t> port{};  ///< none: --port-of decides
  };
  std::vector<Interface> interfaces_;
  std::set<base::IpAddress> served_;
  std::map<base::IpAddress, Hop> seen_;  ///< how frames from an address come
  std::shared_ptr<const dp::AdjacencyTable> next_hops_;
};

}  // namespace sluice::replay
