#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/model.h"

/// What dp tells of itself, as values: sent to cp as JSON, shown by the CLI, exported as metrics.
namespace sluice::config {

struct TrafficCounters {
  std::uint64_t packets_in = 0, bytes_in = 0;    ///< client to server, L3 bytes
  std::uint64_t packets_out = 0, bytes_out = 0;  ///< server to client, L3 bytes
  std::uint64_t connections_new = 0;
  std::uint64_t connections_failed = 0;  ///< refused by the server, or never answered
  std::uint64_t connections_current = 0;
  friend bool operator==(const TrafficCounters&, const TrafficCounters&) = default;
};

/// How servers answered attempts to connect: what `observe` goes by.
struct HandshakeCounters {
  std::uint64_t answered = 0;      ///< SYN-ACK
  std::uint64_t refused = 0;       ///< RST
  std::uint64_t unreachable = 0;   ///< ICMP
  std::uint64_t unanswered = 0;    ///< nothing within timeouts.connect
  std::uint64_t retried = 0;       ///< attempts that were repeated at the same server
  std::uint64_t redispatched = 0;  ///< attempts that were given to another server
  friend bool operator==(const HandshakeCounters&, const HandshakeCounters&) = default;
};

/// Connections that wait for a place, their SYN held by dp.
struct QueueCounters {
  std::uint64_t waiting = 0;    ///< now
  std::uint64_t oldest_ms = 0;  ///< how long the first of them has waited
  std::uint64_t entered = 0;
  std::uint64_t timed_out = 0;  ///< answered with a RST after timeouts.queue
  friend bool operator==(const QueueCounters&, const QueueCounters&) = default;
};

/// New connections that a service's limits by client (Clients) concerned. Who is refused and tries again
/// counts again.
struct ClientCounters {
  std::uint64_t denied = 0;        ///< refused: by the prefixes allow and deny
  std::uint64_t over_rate = 0;     ///< refused: more of one client in a second than `rate`
  std::uint64_t over_maxconn = 0;  ///< refused: more of one client at one time than `maxconn`
  std::uint64_t untracked = 0;     ///< let in uncounted: the table of clients had no place
  [[nodiscard]] std::uint64_t refused() const noexcept { return denied + over_rate + over_maxconn; }
  friend bool operator==(const ClientCounters&, const ClientCounters&) = default;
};

/// What stood at a server when it last began or ceased to get new connections.
struct Transition {
  std::uint64_t generation = 0;  ///< of the forwarding state that said so; 0: it has not happened
  std::uint64_t sessions = 0;    ///< open connections
  /// Connections that waited and went elsewhere for it: from the server's queue into its service's, or from
  /// that to the server, as far as there was room.
  std::uint64_t requeued = 0;
  friend bool operator==(const Transition&, const Transition&) = default;
};

struct ServerReport {
  std::string name;
  base::Endpoint endpoint;
  std::uint32_t weight = 0;
  std::uint32_t maxconn = 0;  ///< as dp enforces it now
  bool draining = false;      ///< removed from the configuration; lives on for its open flows
  std::string next_hop;       ///< "incomplete", "failed", "no route", or "MAC via PORT"
  std::uint32_t ports_free = 0, ports_total = 0;  ///< source ports towards this server, all workers
  std::uint32_t failures_in_row = 0;  ///< attempts that failed since the last one that was answered
  TrafficCounters counters;
  HandshakeCounters handshakes{};
  QueueCounters queue{};  ///< of connections that wait for this very server
  Transition transition{};
};

struct ServiceReport {
  std::string name;
  base::Endpoint vip;
  Protocol protocol = Protocol::tcp;
  Balance balance = Balance::roundrobin;
  TrafficCounters counters;
  HandshakeCounters handshakes{};
  QueueCounters queue{};  ///< all that wait, those for one server too
  ClientCounters clients{};
  std::vector<ServerReport> servers;
};

struct PortReport {
  std::string name;
  std::string device;     ///< as configured
  std::string interface;  ///< kernel interface (the NIC under af_xdp, else the twin); empty: none
  std::string mac;
  std::string driver;  ///< DPDK's name, e.g. "net_af_xdp"
  bool link_up = false;
  std::uint16_t queues = 0;
  std::uint16_t mtu = 0;
  std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
  std::uint64_t rx_missed = 0, rx_errors = 0, tx_errors = 0, rx_nombuf = 0;
  std::uint64_t punted = 0;     ///< handed to the kernel through the twin
  std::uint64_t from_twin = 0;  ///< sent out for the kernel
};

struct DropReport {
  std::string reason;       ///< stable name, e.g. "no_server"
  std::string description;  ///< one sentence
  std::uint64_t packets = 0;
};

struct WorkerReport {
  std::uint16_t id = 0;
  std::uint16_t cpu = 0;
  std::uint64_t packets = 0;
  std::uint64_t handed_over = 0;  ///< packets that another worker owned
  std::uint64_t bursts = 0, empty_polls = 0;
  std::uint64_t busy_cycles = 0, total_cycles = 0;
  std::uint64_t originated = 0;  ///< frames sent of its own accord: RSTs that ended connections
  std::uint64_t timed_out = 0;   ///< connections ended because they were idle for too long
  std::uint64_t killed = 0;      ///< flows ended by an operator, with their server, or by hard_stop_after
  std::uint64_t cookies_returned = 0;  ///< SYN cookies that clients have brought back
  bool cookies_active = false;         ///< services with syn_cookies "auto" answer by cookies now
  std::uint32_t flows = 0, flows_max = 0, half_open = 0, half_open_max = 0;  ///< both families
  std::uint64_t generation = 0;                                              ///< of the snapshot it runs
};

struct DataplaneReport {
  std::string version;
  std::uint64_t generation = 0;
  std::uint64_t uptime_ms = 0;
  std::uint64_t pid = 0;
  bool hugepages = false;
  std::vector<ServiceReport> services;
  std::vector<PortReport> ports;
  std::vector<DropReport> drops;
  std::vector<WorkerReport> workers;
};

/// One flow; `state` in lower case, e.g. "established".
struct FlowReport {
  std::string service, server;
  Protocol protocol = Protocol::tcp;
  base::Endpoint client, vip, local, real;  ///< real: the server's endpoint
  std::string state;
  std::uint16_t worker = 0;
  std::uint64_t age_ms = 0, idle_ms = 0, expires_ms = 0;
};

/// A server that has failed real connections, and has not answered one since.
struct FailureReport {
  std::string service, server;
  base::Endpoint endpoint;
  std::uint32_t in_row = 0;
  std::string last;  ///< how the last one failed: "refused", "unreachable" or "unanswered"
};

/// A worker's rounds since it began: as long as they grow, it forwards.
struct WorkerLife {
  std::uint16_t id = 0;
  std::uint64_t rounds = 0;
};
struct PortLife {
  std::string name;
  bool link_up = false;
};
/// How many servers of a service are given new connections.
struct ServiceLife {
  std::string name;
  std::uint32_t usable = 0;
};
/// Signs of life, cheap enough to be asked for several times a second.
struct AliveReport {
  std::uint64_t generation = 0;
  std::vector<WorkerLife> workers;
  std::vector<PortLife> ports;
  std::vector<ServiceLife> services;  ///< those asked for, as far as they exist
};

/// Which flows to list, or to end; unset members match all.
struct FlowFilter {
  std::optional<std::string> service, server;
  std::optional<base::IpAddress> client;
  std::optional<std::uint16_t> client_port{};
  std::optional<std::string> state{};  ///< as FlowReport::state has it
  std::uint32_t limit = 1000;
};

}  // namespace sluice::config
