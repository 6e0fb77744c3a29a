#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/mss.h"
#include "config/vrrp.h"

/// What the user wants, as values: the result of reading a configuration file. Defaults are filled in; every
/// value is checked. Thread: plain data. Keys and their meaning for users: config/sluice.schema.json.
namespace sluice::config {

using Milliseconds = std::chrono::milliseconds;

enum class Protocol : std::uint8_t { tcp, udp };
/// How packets to a server are rewritten: source and destination, or only the destination, so that the server
/// sees the client's address and answers to it, by way of sluice.
enum class Mode : std::uint8_t { fullnat, dnat };
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
  std::uint32_t syn_backlog = 1'024;      ///< unfinished handshakes of a worker beyond which cookies begin
  std::uint32_t rst_per_second = 10'000;  ///< limit per worker for RSTs that sluice originates
  std::uint32_t icmp_per_second = 1'000;  ///< limit per worker for ICMP errors that sluice originates
  IdlePolicy idle = IdlePolicy::sleep;
  friend bool operator==(const Dataplane&, const Dataplane&) = default;
};

/// Inactivity after which a connection is ended, by RST to both sides; names and meaning follow HAProxy.
struct Timeouts {
  Milliseconds connect{5'000};        ///< one attempt to reach a server
  std::optional<Milliseconds> queue;  ///< wait for a free place; default: connect
  Milliseconds client{3'600'000};     ///< silence of an established connection: the less of client and server
  Milliseconds server{3'600'000};
  std::optional<Milliseconds> tunnel;      ///< replaces client and server where it is given
  std::optional<Milliseconds> client_fin;  ///< the server has closed, the client not; default: as before that
  std::optional<Milliseconds> server_fin;  ///< the client has closed, the server not; default: as before that
  Milliseconds udp{120'000};  ///< the least of RFC 4787 REQ-5: a flow holds a source port for so long
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

/// Which segments count as activity: any (keepalives, too), or only such with data, SYN or FIN, as in
/// HAProxy.
enum class IdleRefresh : std::uint8_t { any, data };

/// Whether SYNs are answered by a cookie before a server sees them: never, while too many handshakes are
/// unfinished (Dataplane::syn_backlog), or always.
enum class SynCookies : std::uint8_t { off, automatic, always };

enum class CheckType : std::uint8_t { none, tcp, tcp_check, http, https, tls, dns, udp, external };

/// What an answer must hold, or, with `negate`, must not.
struct Expect {
  enum class Match : std::uint8_t { string, regex, binary };
  Match match = Match::string;
  std::string pattern;  ///< bytes; of regex: POSIX extended
  bool negate = false;
  friend bool operator==(const Expect&, const Expect&) = default;
};

/// One step of a tcp-check script.
struct CheckStep {
  enum class Kind : std::uint8_t { connect, send, expect };
  Kind kind = Kind::connect;
  std::uint16_t port = 0;  ///< connect: 0: the check's own
  bool tls = false;        ///< connect
  bool linger = false;     ///< connect: close with FIN, not RST
  std::string data;        ///< send: bytes
  Expect expect;
  std::uint32_t min_recv = 0;  ///< expect: bytes to wait for before judging
  std::string comment;         ///< stands in log lines
  friend bool operator==(const CheckStep&, const CheckStep&) = default;
};

/// Inclusive range of HTTP status codes.
struct StatusRange {
  std::uint16_t first = 200;
  std::uint16_t last = 399;
  friend bool operator==(const StatusRange&, const StatusRange&) = default;
};

struct CheckHttp {
  std::string method = "GET";
  std::string path = "/";
  std::string host;  ///< Host header; empty: the checked address and port
  std::vector<StatusRange> status{{200, 399}};
  std::optional<Expect> body;
  friend bool operator==(const CheckHttp&, const CheckHttp&) = default;
};

/// Of https, tls and tcp-check steps with tls.
struct CheckTls {
  bool verify = true;
  std::string ca_file;                     ///< empty: the system's
  std::string certificate_file, key_file;  ///< of the client; empty: none
  std::string sni;                         ///< empty: http.host where it is given, else none
  friend bool operator==(const CheckTls&, const CheckTls&) = default;
};

/// Active health check; names and semantics follow HAProxy.
struct Check {
  CheckType type = CheckType::none;
  std::optional<base::IpAddress> address;  ///< default: the server's
  std::uint16_t port = 0;                  ///< 0: the server's
  Milliseconds interval{2'000};
  std::optional<Milliseconds> down_interval;  ///< default: interval
  std::optional<Milliseconds> fast_interval;  ///< default: interval
  std::optional<Milliseconds> timeout;        ///< default: interval
  std::uint16_t rise = 2;
  std::uint16_t fall = 3;
  bool linger = false;           ///< tcp: close with FIN, not RST
  std::vector<CheckStep> steps;  ///< tcp-check; none: connect only
  CheckHttp http;                ///< http, https
  CheckTls tls;                  ///< https, tls, tcp-check
  std::string query;             ///< dns: name to ask for
  std::string query_type = "A";  ///< dns: A, AAAA, NS, SOA, TXT or MX
  std::string send;              ///< udp: bytes
  std::optional<Expect> expect;  ///< udp: none: any answer is right
  std::string command;           ///< external: absolute path
  friend bool operator==(const Check&, const Check&) = default;
};

/// A program on the server that says how it feels; as HAProxy's agent-check.
struct Agent {
  std::uint16_t port = 0;                  ///< 0: no agent
  std::optional<base::IpAddress> address;  ///< default: the server's
  Milliseconds interval{2'000};
  std::string send;  ///< bytes sent first
  friend bool operator==(const Agent&, const Agent&) = default;
};

/// Whether real connections count for health.
enum class Observe : std::uint8_t { none, layer4 };
/// What error_limit failed connections in a row do.
enum class OnError : std::uint8_t { fastinter, fail_check, sudden_death, mark_down };
/// What becomes of a server's connections when it goes DOWN.
enum class OnMarkedDown : std::uint8_t { none, shutdown_sessions };
/// What becomes of the backup servers' connections when it comes UP.
enum class OnMarkedUp : std::uint8_t { none, shutdown_backup_sessions };

struct Server {
  std::string name;
  base::Endpoint endpoint;
  std::uint16_t weight = 100;  ///< 0..256; 0: drain
  std::uint32_t maxconn = 0;   ///< connections at one time; 0: no limit
  std::uint32_t maxqueue = 0;  ///< connections that wait for this very server; 0: no limit
  Milliseconds slowstart{0};   ///< 0: full weight at once
  bool backup = false;
  bool disabled = false;  ///< starts in maintenance
  Observe observe = Observe::none;
  std::uint32_t error_limit = 10;
  OnError on_error = OnError::fail_check;
  OnMarkedDown on_marked_down = OnMarkedDown::none;
  OnMarkedUp on_marked_up = OnMarkedUp::none;
  Check check;
  Agent agent;
  friend bool operator==(const Server&, const Server&) = default;
};

/// What a new connection meets when no server is usable: a RST (UDP: ICMP port unreachable), silence, or the
/// servers all the same, as if all were up.
enum class NoServer : std::uint8_t { reset, drop, fail_open };

/// What a client that may not begin a connection meets: a RST (UDP: ICMP administratively prohibited), or
/// silence.
enum class ClientRefusal : std::uint8_t { reset, drop };

/// Who may begin connections to a service, and how many of them.
struct Clients {
  /// Of the VIP's family. The longest prefix that holds a client's address decides; of one that none holds:
  /// it is let in if `allow` is empty.
  std::vector<base::Prefix> allow, deny;
  std::uint32_t rate = 0;        ///< new connections of one client in a second; 0: no limit
  std::uint32_t burst = 0;       ///< so many of them at once after a pause; 0 without a rate
  std::uint32_t maxconn = 0;     ///< connections of one client at one time; 0: no limit
  std::uint32_t table = 65'536;  ///< clients that are known at one time; holds for the life of dp
  ClientRefusal refuse = ClientRefusal::reset;
  /// The first bits of an address of the VIP's family that tell one client from another; as many as an
  /// address has, or more: all of it.
  std::uint8_t prefix = 128;

  /// Whether clients are counted one by one.
  [[nodiscard]] constexpr bool counts() const noexcept { return rate != 0 || maxconn != 0; }
  friend bool operator==(const Clients&, const Clients&) = default;
};

struct Service {
  std::string name;
  base::Endpoint vip;
  Protocol protocol = Protocol::tcp;
  Mode mode = Mode::fullnat;
  Balance balance = Balance::roundrobin;
  HashKey hash_key = HashKey::source;
  Timeouts timeouts;
  IdleRefresh idle_refresh = IdleRefresh::any;
  SynCookies syn_cookies = SynCookies::automatic;
  NoServer no_server = NoServer::reset;
  Clients clients;
  std::uint32_t maxconn = 0;  ///< connections at one time; 0: no limit
  std::uint16_t retries = 3;  ///< further attempts when a server refuses or does not answer
  bool redispatch = true;     ///< further attempts go to other servers
  Mss mss;
  bool allbackups = false;  ///< all backup servers stand in, not only the first
  /// Source addresses towards the servers, of the VIP's family; default: the VIP itself.
  std::vector<base::IpAddress> local_addresses;
  PortRange source_ports;
  std::vector<Server> servers;
  friend bool operator==(const Service&, const Service&) = default;
};

/// What holds for the whole instance.
struct Global {
  std::uint32_t maxconn = 0;  ///< connections at one time; 0: no limit
  /// How long the connections of a removed server may live on; none: as long as they like.
  std::optional<Milliseconds> hard_stop_after;
  std::uint16_t spread_checks = 0;  ///< checks come early or late by up to so many per cent, 0..50
  friend bool operator==(const Global&, const Global&) = default;
};

struct Config {
  Global global;
  Dataplane dataplane;
  std::vector<Port> ports;
  std::vector<Service> services;
  std::vector<VrrpInstance> vrrp;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace sluice::config
