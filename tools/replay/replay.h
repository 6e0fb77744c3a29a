#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/model.h"
#include "dp/control/service_compiler.h"
#include "dp/offline/offline_path.h"
#include "tools/replay/capture_reader.h"
#include "tools/replay/network.h"

/// Theory of operation. A replay runs the frames of a capture through the data plane's own stages
/// (dp/offline/offline_path.h): the pipeline, flows, timers, queues and limits of sluice-dp, with the clock
/// of the capture. All servers are taken to be up, but for those that are `disabled`; nothing of the kernel
/// but what Network makes of it. Between two frames time passes in steps of kRound, each of which ends as a
/// worker's round does: timers that have come up, stored SYNs whose time has come, frames of sluice's own.
///
/// Which worker a frame comes in at is chosen as by a NIC's RSS: by its addresses and ports; fragments and
/// what is neither TCP nor UDP, by the addresses alone.
namespace sluice::replay {

/// Something that happened, in the order in which it did.
struct Event {
  enum class Kind : std::uint8_t {
    frame,   ///< a frame of the capture
    stored,  ///< the copy of a SYN was run: it had waited for a place at a server, or is tried once more
    kept,    ///< a fragment was run, or dropped, that had waited for its datagram's first
    own,     ///< sluice sent a frame of its own accord: a RST that ends a connection
  };
  Kind kind = Kind::frame;
  std::uint64_t number = 0;                        ///< frame of the capture that it is about; 0: none
  std::uint64_t time_ns = 0;                       ///< since 1970
  Network::Absent absent = Network::Absent::none;  ///< else: nothing below but the packet is set
  std::uint16_t port = 0;                          ///< by which it came in
  unsigned worker = 0;                             ///< that decided
  bool handed_over = false;                        ///< by the worker at which it came in
  dp::Verdict verdict = dp::Verdict::pending;
  /// Why it was dropped, answered, or not the kernel's where there is none.
  dp::DropReason reason = dp::DropReason::none;
  std::string service{}, server{};  ///< names; empty: none was found or chosen
  std::uint64_t flow = 0;           ///< from 1, in the order in which they began; 0: none
  std::string state{};              ///< of the flow, afterwards
  bool icmp_error = false;          ///< about a packet of the flow
  dp::Direction direction{};        ///< with a service
  std::span<const std::byte> in{};  ///< what came in; valid during the call
  std::uint32_t in_length = 0;      ///< of the whole frame, of which `in` may be but the beginning
  /// What leaves, valid during the call; empty: nothing does.
  std::span<const std::byte> out{};
  std::uint16_t out_port = 0;
  std::uint32_t out_length = 0;  ///< of the whole frame, of which `out` may be but the beginning
  /// The fragments behind `out`, the first one, of a packet too big for its next hop; valid during the call.
  std::span<const std::vector<std::byte>> further{};
};

class Replay {
 public:
  struct Options {
    unsigned workers = 1;
    std::uint64_t seed = 0;  ///< of all that is random in sluice: hashes, `random`, where orders begin
  };
  using Sink = std::function<void(const Event&)>;

  /// `network` must outlive it. Errors: what compiling the configuration or mapping memory comes to.
  static base::Result<std::unique_ptr<Replay>> create(const config::Config& config, const Network& network,
                                                      const Options& options, Sink sink);

  /// Lets time pass until the frame came, and runs it. A frame that is older than the one before counts as
  /// being of the same time.
  void run(const CapturedFrame& frame);

  /// Flows that are open or remembered now.
  [[nodiscard]] std::uint64_t flows() const noexcept;
  [[nodiscard]] std::uint64_t flows_begun() const noexcept { return flows_begun_; }

 private:
  /// Milliseconds of capture time between two looks at timers; more when next to nothing happens.
  static constexpr std::uint32_t kRound = 10;

  Replay(const Network& network, const Options& options, Sink sink);
  void pass_time(std::uint64_t until_ms);
  /// As a worker at the end of its round.
  void settle(std::uint64_t time_ns);
  bool run_stored(std::uint64_t time_ns);
  bool run_kept(std::uint64_t time_ns);
  bool send_own(std::uint64_t time_ns);
  [[nodiscard]] unsigned receiving_worker(const CapturedFrame& frame) const;
  /// Whether time will bring something of itself.
  [[nodiscard]] bool is_idle() const noexcept;
  void tell(Event event, const dp::OfflineFrame& frame, const dp::OfflinePath::Handled& handled);
  void name_flow(Event& event, const dp::OfflinePath::Handled& handled);
  /// The number of a flow, and of the frame that its stored SYN came in.
  template <base::Family F>
  std::uint64_t number_of(unsigned worker, std::uint32_t record, std::uint64_t frame);
  void note_held(const Event& event, const dp::Packet& packet);

  const Network& network_;
  Sink sink_;
  dp::FlowHash rss_;
  dp::ServiceCompiler compiler_;
  std::vector<std::unique_ptr<dp::AdjacencyUse>> hop_use_;
  std::unique_ptr<dp::OfflinePath> path_;
  std::optional<std::uint64_t> began_ns_;  ///< time of the first frame
  std::uint64_t now_ms_ = 0;               ///< since then
  base::Tick tick_{1};

  /// What tells a flow from another one that has had its record before.
  struct FlowMark {
    std::uint64_t number = 0;
    base::Tick created;
    std::uint32_t first = 0;  ///< the client's initial sequence number
    std::uint16_t client_port = 0, local_port = 0;
  };
  using Record = std::pair<unsigned, std::uint32_t>;  ///< worker, record
  std::map<Record, FlowMark> marks_[2];               ///< by family
  std::uint64_t flows_begun_ = 0;
  std::map<std::pair<unsigned, std::uint16_t>, std::uint64_t> stored_;  ///< worker, slot → frame's number
  std::map<std::pair<unsigned, std::uint16_t>, std::uint64_t> kept_;    ///< worker, place → likewise
};

}  // namespace sluice::replay
