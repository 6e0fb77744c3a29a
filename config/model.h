#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"

/// What the user wants, as values: the result of reading a configuration file. Defaults are filled in; every
/// value is checked. Thread: plain data. Keys and their meaning for users: config/sluice.schema.json.
namespace sluice::config {

using Milliseconds = std::chrono::milliseconds;

enum class Protocol : std::uint8_t { tcp, udp };
enum class Mode : std::uint8_t { fullnat };
enum class Balance : std::uint8_t { roundrobin, leastconn, source, hash, random, first };
/// What `hash` balances on.
enum class HashKey : std::uint8_t { source, source_port, five_tuple };
enum class DeviceKind : std::uint8_t { af_xdp, af_packet, memif, pci, vdev };

/// Inclusive range of transport ports, host order.
struct PortRange {
  std::uint16_t first = 1024;
  std::uint16_t last = 65535;
  [[nodiscard]] constexpr bool contains(std::uint16_t port) const noexcept {
    return port >= first && port <= last;
  }
  [[nodiscard]] constexpr std::uint32_t size() const noexcept { return std::uint32_t{last} - first + 1; }
  friend constexpr bool operator==(const PortRange&, const PortRange&) noexcept = default;
};

/// A DPDK port. `device` in the file is "kind:argument".
struct Port {
  std::string name;
  DeviceKind kind = DeviceKind::af_xdp;
  /// af_xdp, af_packet: interface name; pci: address[,devargs]; memif: devargs; vdev: any DPDK device string.
  std::string argument;
  /// The kernel interface that stands beside the port (every kind but af_xdp, whose interface is the NIC
  /// itself).
  bool twin = true;
  std::string twin_name;     ///< interface name of the twin; default: the port's name
  std::uint16_t queues = 0;  ///< receive queues; 0: one per worker, as far as the device has them
  friend bool operator==(const Port&, const Port&) = default;
};

enum class Hugepages : std::uint8_t { automatic, off };
enum class IdlePolicy : std::uint8_t { sleep, poll };
/// What a new connection meets when the half-open class is full.
enum class SynOverflow : std::uint8_t { evict_oldest, drop };

/// Settings of the data plane that hold for its life: a change takes effect at the next start of dp.
struct Dataplane {
  std::uint16_t workers = 1;
  std::string cpus;  ///< CPU list the workers run on, e.g. "2-5,8"; empty: any the process may use
  Hugepages hugepages = Hugepages::automatic;
  std::uint32_t memory_mb = 0;                  ///< packet memory; 0: by ports and workers
  std::uint32_t flows_per_worker = 262'144;     ///< per family
  std::uint32_t half_open_per_worker = 65'536;  ///< at most this many of them before the handshake is done
  SynOverflow syn_overflow = SynOverflow::evict_oldest;
  std::uint32_t rst_per_second = 10'000;  ///< limit per worker for RSTs that sluice originates
  std::uint32_t icmp_per_second = 1'000;  ///< limit per worker for ICMP errors that sluice originates
  IdlePolicy idle = IdlePolicy::sleep;
  friend bool operator==(const Dataplane&, const Dataplane&) = default;
};

struct Timeouts {
  Milliseconds connect{5'000};
  Milliseconds client{3'600'000};
  Milliseconds server{3'600'000};
  Milliseconds udp{60'000};
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

enum class CheckType : std::uint8_t { none, tcp };
/// Active health check; names and semantics follow HAProxy.
struct Check {
  CheckType type = CheckType::none;
  Milliseconds interval{2'000};
  std::optional<Milliseconds> down_interval;  ///< default: interval
  std::optional<Milliseconds> fast_interval;  ///< default: interval
  std::optional<Milliseconds> timeout;        ///< default: interval
  std::uint16_t rise = 2;
  std::uint16_t fall = 3;
  friend bool operator==(const Check&, const Check&) = default;
};

struct Server {
  std::string name;
  base::Endpoint endpoint;
  std::uint16_t weight = 100;  ///< 0..256; 0: drain
  Check check;
  friend bool operator==(const Server&, const Server&) = default;
};

struct Service {
  std::string name;
  base::Endpoint vip;
  Protocol protocol = Protocol::tcp;
  Mode mode = Mode::fullnat;
  Balance balance = Balance::roundrobin;
  HashKey hash_key = HashKey::source;
  Timeouts timeouts;
  /// Source addresses towards the servers, of the VIP's family; default: the VIP itself.
  std::vector<base::IpAddress> local_addresses;
  PortRange source_ports;
  std::vector<Server> servers;
  friend bool operator==(const Service&, const Service&) = default;
};

struct Config {
  Dataplane dataplane;
  std::vector<Port> ports;
  std::vector<Service> services;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace sluice::config
