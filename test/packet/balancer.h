#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/forwarding.h"
#include "dp/control/service_compiler.h"
#include "dp/control/transitions.h"
#include "dp/kernel/kernel_sockets.h"
#include "dp/offline/offline_path.h"
#include "test/packet/seen.h"
#include "test/packet_builder.h"

namespace sluice::test {

/// What became of a packet.
struct Outcome {
  dp::Verdict verdict = dp::Verdict::pending;
  dp::DropReason reason = dp::DropReason::none;
  Bytes out;                  ///< of forward and reflect: the frame that leaves
  std::vector<Bytes> pieces;  ///< of forward: the fragments that leave, where `out` is the first of several
  std::uint16_t port = 0;     ///< by which it leaves
  unsigned worker = 0;        ///< that decided
  bool handed_over = false;

  /// Pre: there is a frame.
  [[nodiscard]] Seen seen() const { return see(out); }
  [[nodiscard]] bool forwarded() const { return verdict == dp::Verdict::forward; }
  [[nodiscard]] bool reflected() const { return verdict == dp::Verdict::reflect; }
  [[nodiscard]] bool dropped(dp::DropReason why) const {
    return verdict == dp::Verdict::drop && reason == why;
  }
};
/// For failure messages.
std::ostream& operator<<(std::ostream& out, const Outcome& outcome);

/// sluice's packet path without EAL: workers, tables and clock in the hands of the test.
///
///      clients ── gateway ──[ port 0 ]  balancer  [ port 1 ]── servers (on link)
///
/// Next hops are fixed: adjacency 0 leads to the gateway (default route), 16 + n to server n; addresses on
/// the servers' link that are no server's are unknown neighbours. Each frame that leaves is verified by
/// check() if the frame that came in was right, must be what the flow's record makes of that
/// (expect_translated()), and go where routes and neighbours lead; frames that do not leave must be
/// unchanged.
class Balancer {
 public:
  static constexpr dp::AdjacencyId kGateway = 0;
  static constexpr dp::AdjacencyId kFirstServer = 16;
  static constexpr unsigned kServers = 64;
  static constexpr std::uint16_t kHeadroom = dp::OfflineFrame::kHeadroom;

  struct Options {
    unsigned workers = 1;
    config::Dataplane limits = small();
    base::Tick start{1'000'000};
    dp::KernelPorts kernel_ports;
    [[nodiscard]] static config::Dataplane small();
  };
  Balancer() : Balancer(Options()) {}
  explicit Balancer(Options options);
  Balancer(const Balancer&) = delete;
  Balancer& operator=(const Balancer&) = delete;
  ~Balancer();

  /// Compiles and publishes; fails the test when that does not go.
  void configure(std::vector<config::ForwardingService> services);
  [[nodiscard]] base::Result<void> try_configure(std::vector<config::ForwardingService> services);
  /// Of the whole instance; 0: no limit.
  void set_maxconn(std::uint32_t maxconn);
  /// Tells the compiler which servers have flows, as the control thread does, and compiles anew.
  void settle();

  struct Arrival {
    unsigned worker;  ///< that the port's queue gives it to
    std::uint16_t port;
    std::size_t segment;  ///< bytes in the first segment; 0: all
  };
  Outcome send(const Bytes& frame, Arrival arrival);
  Outcome send(const Bytes& frame) { return send(frame, {}); }
  Outcome send(const PacketBuilder& packet, Arrival arrival) { return send(packet.bytes(), arrival); }
  Outcome send(const PacketBuilder& packet) { return send(packet.bytes(), {}); }
  /// All in one burst at one worker.
  std::vector<Outcome> burst(const std::vector<Bytes>& frames, Arrival arrival);

  /// The frames that workers have made of their own accord since this was last asked, in order. Each has been
  /// verified by check().
  std::vector<Outcome> take_own();
  /// What became of stored SYNs whose time has come since this was last asked, in order.
  std::vector<Outcome> take_stored() { return std::exchange(stored_, {}); }
  /// What became of fragments that were kept since this was last asked, in order.
  std::vector<Outcome> take_kept() { return std::exchange(kept_, {}); }
  /// Workers do not send what is in their outboxes as long as this holds.
  void hold_outboxes(bool hold);

  /// Lets time pass in steps, each ending with a look after flows whose timers have come up.
  void advance(std::uint64_t ms, std::uint32_t step_ms = 1000);
  [[nodiscard]] base::Tick now() const { return now_; }

  void set_virtual_macs(std::vector<dp::VirtualMac> macs) { path_->set_virtual_macs(std::move(macs)); }
  void set_state(dp::AdjacencyId hop, dp::AdjacencyState state);
  void set_mtu(dp::AdjacencyId hop, std::uint16_t mtu);
  void set_tags(dp::AdjacencyId hop, std::vector<std::uint16_t> tags);
  /// In the place of one to the same prefix. `gateway`: of kind `via`.
  void add_route(const base::Prefix& prefix, dp::RouteKind kind, dp::AdjacencyId gateway = dp::kNoAdjacency);
  /// Makes the address a neighbour on the servers' link, which it may have been by another adjacency.
  void learn(const base::IpAddress& address, dp::AdjacencyId hop);
  /// Gives a neighbour another adjacency, without moving the epoch.
  void rename_neighbour(const base::IpAddress& address, dp::AdjacencyId hop);

  [[nodiscard]] unsigned workers() const { return path_->workers(); }
  [[nodiscard]] dp::WorkerState& worker(unsigned id = 0) { return path_->worker(id); }
  [[nodiscard]] const dp::Snapshot& snapshot() const { return path_->snapshot(); }
  [[nodiscard]] dp::ServiceCompiler& compiler() { return compiler_; }
  [[nodiscard]] const dp::Transitions& transitions() const { return transitions_; }

  /// The flow that a client's key leads to, at whichever worker; nothing: there is none.
  template <base::Family F>
  [[nodiscard]] const dp::Flow<F>* flow(const dp::FlowKey<F>& key) const {
    for (unsigned id = 0; id < workers(); ++id) {
      const auto& flows = path_->worker(id).template flows<F>();
      if (const auto found = flows.find(key, flows.hash(key))) return &flows.flow(found.flow);
    }
    return nullptr;
  }
  [[nodiscard]] std::uint32_t flows() const;
  [[nodiscard]] std::uint32_t flows(dp::FlowClass c) const;
  /// Those that keep the client's address (mode dnat).
  [[nodiscard]] std::uint32_t flows_without_lease() const;
  /// Source ports on lease, all pools and workers.
  [[nodiscard]] std::uint64_t leased_ports() const;
  [[nodiscard]] std::uint64_t handed_over() const { return handed_over_; }
  /// Packets forwarded with their own addresses translated: all but ICMP errors.
  [[nodiscard]] std::uint64_t translated() const { return translated_; }
  /// Bytes of these, without their link headers.
  [[nodiscard]] std::uint64_t translated_bytes() const { return translated_bytes_; }
  /// ACKs that have turned out to bring a SYN cookie back.
  [[nodiscard]] std::uint64_t cookies_seen() const { return cookies_seen_; }
  /// Fragments that were kept are kept still, or have been let go.
  void expect_kept_add_up();
  /// No stored SYN is forgotten, and who waits is counted where all workers see it.
  void expect_stored_syns_add_up();
  /// Of a server by name, all workers.
  struct Counts {
    std::uint64_t fresh = 0, ended = 0, failed = 0, packets_in = 0, packets_out = 0, bytes_in = 0,
                  bytes_out = 0;
  };
  [[nodiscard]] Counts counts(const std::string& service, const std::string& server) const;
  [[nodiscard]] dp::Load& load() { return path_->load(); }
  /// Flows and stored SYNs of a service slot that have a place among their client's connections.
  [[nodiscard]] std::uint64_t client_places(std::uint16_t service) const;
  /// As the fixture does at its end: each table of clients holds just these.
  void expect_clients_add_up() const;
  /// Slot of a configured or draining server; kNoIndex: none.
  [[nodiscard]] std::uint16_t server_slot(const std::string& service, const std::string& server) const;

  static constexpr base::Mac kGatewayMac{{2, 0, 0, 0, 1, 1}};
  [[nodiscard]] static constexpr base::Mac port_mac(unsigned port) {
    return {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(port + 1)}};
  }
  [[nodiscard]] static constexpr base::Mac server_mac(unsigned n) {
    return {{2, 0, 0, 0, 2, static_cast<std::uint8_t>(n)}};
  }

 private:
  void publish();
  /// `alone`: nothing has been handled since that could have changed the flow's record.
  Outcome settle_outcome(const dp::OfflineFrame& frame, const dp::OfflinePath::Handled& handled, bool alone);
  void expect_right_hop(const Bytes& frame, std::uint16_t port) const;
  std::uint32_t empty_outboxes();
  std::uint32_t run_stored();
  std::uint32_t run_kept();

  std::vector<std::unique_ptr<dp::AdjacencyUse>> hop_use_;
  std::unique_ptr<dp::OfflinePath> path_;
  dp::ServiceCompiler compiler_;
  dp::Transitions transitions_;
  config::ForwardingState state_;
  std::uint32_t maxconn_ = 0;
  dp::KernelPorts kernel_ports_;
  std::shared_ptr<const dp::ServiceTables> tables_;
  std::vector<dp::Adjacency> adjacencies_;
  std::vector<dp::RouteTable<base::Family::v4>::Entry> routes_v4_;
  std::vector<dp::RouteTable<base::Family::v6>::Entry> routes_v6_;
  std::vector<dp::NeighbourIndex<base::Family::v4>::Entry> neighbours_v4_;
  std::vector<dp::NeighbourIndex<base::Family::v6>::Entry> neighbours_v6_;
  std::uint32_t epoch_ = 1;
  base::Tick now_;
  std::uint64_t handed_over_ = 0, translated_ = 0, translated_bytes_ = 0, cookies_seen_ = 0;
  std::uint64_t let_go_ = 0;  ///< fragments that had been kept
  std::uint64_t taken_in_ = 0;
  std::vector<Outcome> own_;
  std::vector<Outcome> stored_;
  std::vector<Outcome> kept_;
  bool outboxes_held_ = false;
  bool hops_renamed_ = false;  ///< without a new epoch, which flows go by
  bool own_outdated_ = false;  ///< next hops may have changed since the frames in outboxes were made
  std::array<std::uint64_t, 9> verdicts_{};  ///< final ones
};

/// Addresses of the fixture's network, by family and number.
template <base::Family F>
struct Net {
  static base::Address<F> make(unsigned subnet, unsigned n) {
    if constexpr (F == base::Family::v4) {
      return base::Ipv4::from_host(10U << 24 | subnet << 16 | n);
    } else {
      base::Ipv6 a{{0x20, 0x01, 0x0d, 0xb8}};
      a.bytes[5] = static_cast<std::uint8_t>(subnet);
      for (unsigned i = 0; i < 4; ++i) a.bytes[15 - i] = static_cast<std::uint8_t>(n >> (8 * i));
      return a;
    }
  }
  static base::Address<F> client(unsigned n = 0) { return make(9, n + 1); }  // beyond the gateway
  static base::Address<F> router(unsigned n = 0) { return make(8, n + 1); }  // beyond the gateway
  static base::Address<F> vip(unsigned n = 0) { return make(1, n + 1); }     // on the servers' link
  static base::Address<F> server(unsigned n = 0) { return make(1, n + 100); }
  static base::Address<F> stranger(unsigned n = 0) { return make(1, n + 4000); }  // on that link, not known
};

}  // namespace sluice::test
