#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "config/model.h"
#include "config/names.h"
#include "config/report.h"

/// What the running balancer would do with a packet, and why: the question of `sluice explain`, and its
/// answer. dp tells all but what only cp knows of servers (ServerKnowledge).
namespace sluice::config {

/// The addresses and ports of a packet as it arrives: a client's, to a service; or a server's, to a local
/// address.
struct FiveTuple {
  Protocol protocol = Protocol::tcp;
  base::Endpoint source, destination;
  friend bool operator==(const FiveTuple&, const FiveTuple&) = default;
};

/// Whose a packet is.
enum class Claim : std::uint8_t {
  service,          ///< it came to the virtual IP and port of one
  reply,            ///< it came to a source port of ours, or to a client from a server in mode dnat
  sent,             ///< it comes from an address of ours: sluice or its host sends such packets
  foreign_address,  ///< the kernel's: the address is no service's, nor a local one
  foreign_port,     ///< the kernel's: no service has the port, nor is it one of the source ports
  kernel_port,      ///< the kernel's: a source port that a socket of the kernel has
};

/// As `sluice replay` has it.
enum class Fate : std::uint8_t {
  forward,
  answer,  ///< turned round: a RST or an ICMP error
  hold,    ///< a SYN that waits for a place
  park,    ///< until the next hop's address is known
  drop,
  kernel,
};

/// What stands between a new connection and all servers of its service.
enum class Obstacle : std::uint8_t {
  none,
  client_denied,     ///< a prefix of the service's, or that none of them holds the client
  client_rate,       ///< the client has begun as many connections as its rate allows
  client_maxconn,    ///< the client has as many connections as it may
  queue,             ///< others wait already
  instance_maxconn,  ///< global.maxconn is reached
  service_maxconn,   ///< the service's maxconn is reached
  no_usable_server,  ///< none has a weight
  servers_full,      ///< each that has a weight is full, or waited for
};

/// What became of one server in the choice.
enum class Standing : std::uint8_t {
  chosen,
  no_weight,       ///< takes no new connections
  full,            ///< maxconn is reached
  waited_for,      ///< others wait for this very server
  no_less_loaded,  ///< leastconn, random: the one chosen has fewer connections for its weight, or as few
  not_asked,       ///< the choice was made before its turn came
};

/// What a connection to a server comes from.
enum class SourceKind : std::uint8_t {
  local,             ///< a local address, and one of its source ports
  client,            ///< mode dnat: the client's own address and port
  shared_link,       ///< mode dnat, yet as `local`: the client is on the link to the server
  client_is_server,  ///< likewise: the client is one of the service's servers
  port_in_use,       ///< likewise: the client's port has a connection to the server through another service
};

/// The way that packets leave towards one end.
struct HopReport {
  /// "reachable", "incomplete" (the address is asked for), "failed", "unknown" (is asked for with the first
  /// packet), or why there is none: "no route", "blackhole", "unreachable", "local", "foreign".
  std::string state;
  std::string gateway;               ///< whose link address it is; empty: not known
  std::string mac;                   ///< destination of the frames; these that follow: when reachable
  std::string port;                  ///< by which they leave
  std::vector<std::uint16_t> vlans;  ///< outermost first
  std::uint16_t mtu = 0;             ///< bytes of L3
};

/// What the control plane knows of a server.
struct ServerKnowledge {
  std::string status;  ///< as `show servers` has it, "DOWN 1/2"
  std::string admin;   ///< "ready", "drain" or "maint"
  std::string check;   ///< what the last check said, as a few words; empty: none was made
  /// Why it gets no new connections, as a few words; empty: it does, or the data plane does not know yet that
  /// it is to.
  std::string why_no_weight;
  bool backup = false;
};

/// A server of the service, as the choice met it.
struct ExplainedServer {
  std::string name;
  base::Endpoint endpoint;
  Standing standing = Standing::not_asked;
  std::uint32_t weight = 0;  ///< as users write it; in what dp itself tells: sixteenths of that
  std::uint32_t connections = 0, maxconn = 0;  ///< open ones, of all workers; 0: no limit
  std::uint32_t waiting = 0, maxqueue = 0;     ///< for this very server; 0: no limit
  bool draining = false;                       ///< no longer configured
  std::optional<ServerKnowledge> known;
};

/// How the service's schedule came to where it begins.
struct ExplainedSchedule {
  Balance balance = Balance::roundrobin;
  HashKey hash_key = HashKey::source;  ///< of source and hash
  std::uint32_t slot = 0;          ///< from 0: in the order of roundrobin, or the table of source and hash
  std::uint32_t slots = 0;         ///< how many there are
  std::vector<std::string> drawn;  ///< random: the two that are compared
};

/// The client of a service that has limits by client, as a new connection of it would find it.
struct ExplainedClient {
  std::string prefix;    ///< the configured one that decides; empty: none holds the address
  bool denied = false;   ///< by that, or because none holds it
  bool tracked = false;  ///< it is in the service's table of clients
  std::uint32_t connections = 0, maxconn = 0;  ///< open or waiting, of all workers; 0: no limit
  std::uint32_t rate = 0, burst = 0;           ///< new connections in a second; 0: no limit
  bool untracked = false;  ///< it is in no table, for want of room: its connections are let in uncounted
};

/// What a packet that may begin a connection gets: a first SYN, or a datagram.
struct ExplainedStart {
  Fate fate = Fate::forward;
  std::string reason;  ///< why it is not forwarded, as in `show drops`; empty: it is, or waits
  Obstacle obstacle = Obstacle::none;
  std::uint32_t connections = 0, maxconn = 0;  ///< of the instance or service whose maxconn is the obstacle
  std::optional<ExplainedClient> client{};     ///< none: the service has no limits by client
  std::optional<ExplainedSchedule> schedule;
  std::vector<ExplainedServer> servers;
  std::string server;                    ///< the one that it goes to; hold: waits for; empty: any
  std::optional<base::Endpoint> source;  ///< of the connection to the server
  SourceKind source_kind = SourceKind::local;
  bool reuses_port = false;  ///< the server may hold the source in TIME_WAIT: it is numbered beyond it
  bool evicts = false;       ///< another, half-open or closed, must end for it first
  bool by_cookie = false;    ///< a SYN cookie answers it: all of this once the client has come back
  std::uint32_t queue_ms = 0, waiting = 0;  ///< hold: how long it may wait, how many wait there already
  HopReport towards_server;                 ///< with `server`, unless it waits
};

/// The flow that the packet belongs to.
struct ExplainedFlow {
  FlowReport flow;
  bool to_server = true;             ///< the way of the packet asked about
  std::uint64_t connecting = 0;      ///< syn_sent: the number of the attempt, from 1; else 0
  std::uint16_t retries = 0;         ///< further attempts that the service allows
  bool ending = false;               ///< was killed: waits for the next hop of its RST
  std::uint32_t sequence_delta = 0;  ///< added to the client's sequence numbers
  bool strips_timestamps = false;    ///< from the client's SYN
  /// TCP: bytes that each end has sent, modulo 2^32.
  std::optional<std::uint32_t> bytes_from_client, bytes_from_server;
  HopReport towards_server;
};

/// A SYN of this connection that waits, a copy held by dp.
struct HeldSyn {
  std::string wait_for;           ///< this server; empty: any
  bool between_attempts = false;  ///< it waits for the next attempt, not for a place
  std::uint32_t waited_ms = 0, timeout_ms = 0;
  std::uint32_t waiting = 0;  ///< that queue's, this one too, of all workers
  std::uint16_t attempts = 0;
};

/// What becomes of the packets that begin nothing.
struct ExplainedFate {
  Fate fate = Fate::drop;
  std::string reason;  ///< as in `show drops`
};

struct Explanation {
  FiveTuple tuple;
  std::uint64_t generation = 0;  ///< of the state by which it was found out
  Claim claim = Claim::foreign_address;
  std::string held_by;  ///< kernel interface that has the destination address; empty: none has
  std::string service;
  std::optional<base::Endpoint> vip{};
  std::optional<std::uint16_t> worker;  ///< that owns it
  std::optional<ExplainedFlow> flow;
  std::optional<HeldSyn> held;
  std::optional<ExplainedStart> start;      ///< none: such a packet begins nothing
  std::optional<ExplainedFate> others;      ///< TCP: what segments other than a first SYN get; UDP: none
  std::optional<HopReport> towards_client;  ///< with a flow, or `start`
};

template <>
inline constexpr auto kNames<Claim> = std::to_array<std::pair<Claim, std::string_view>>({
    {Claim::service, "service"},
    {Claim::reply, "reply"},
    {Claim::sent, "sent"},
    {Claim::foreign_address, "foreign_address"},
    {Claim::foreign_port, "foreign_port"},
    {Claim::kernel_port, "kernel_port"},
});
template <>
inline constexpr auto kNames<Fate> = std::to_array<std::pair<Fate, std::string_view>>({
    {Fate::forward, "forward"},
    {Fate::answer, "answer"},
    {Fate::hold, "hold"},
    {Fate::park, "park"},
    {Fate::drop, "drop"},
    {Fate::kernel, "kernel"},
});
template <>
inline constexpr auto kNames<Obstacle> = std::to_array<std::pair<Obstacle, std::string_view>>({
    {Obstacle::none, "none"},
    {Obstacle::client_denied, "client_denied"},
    {Obstacle::client_rate, "client_rate"},
    {Obstacle::client_maxconn, "client_maxconn"},
    {Obstacle::queue, "queue"},
    {Obstacle::instance_maxconn, "instance_maxconn"},
    {Obstacle::service_maxconn, "service_maxconn"},
    {Obstacle::no_usable_server, "no_usable_server"},
    {Obstacle::servers_full, "servers_full"},
});
template <>
inline constexpr auto kNames<Standing> = std::to_array<std::pair<Standing, std::string_view>>({
    {Standing::chosen, "chosen"},
    {Standing::no_weight, "no_weight"},
    {Standing::full, "full"},
    {Standing::waited_for, "waited_for"},
    {Standing::no_less_loaded, "no_less_loaded"},
    {Standing::not_asked, "not_asked"},
});
template <>
inline constexpr auto kNames<SourceKind> = std::to_array<std::pair<SourceKind, std::string_view>>({
    {SourceKind::local, "local"},
    {SourceKind::client, "client"},
    {SourceKind::shared_link, "shared_link"},
    {SourceKind::client_is_server, "client_is_server"},
    {SourceKind::port_in_use, "port_in_use"},
});

}  // namespace sluice::config
