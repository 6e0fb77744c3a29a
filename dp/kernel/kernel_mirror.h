#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>

#include "base/fd.h"
#include "base/result.h"
#include "dp/kernel/kernel_tables.h"

struct nl_sock;
struct nlmsghdr;

namespace sluice::dp {

/// Which tables of the mirror differ from what was last reported.
struct KernelChanges {
  bool links = false;
  bool addresses = false;
  bool routes = false;
  bool neighbours = false;
  [[nodiscard]] bool any() const noexcept { return links || addresses || routes || neighbours; }
  friend constexpr bool operator==(const KernelChanges&, const KernelChanges&) noexcept = default;
};

/// Keeps KernelTables equal to the tables of the network namespace in which it was opened.
///
/// Theory of operation: one socket listens to rtnetlink's groups; another asks for dumps, one table after the
/// other. A dump and the notifications that arrive meanwhile are in no order to one another, so what a
/// notification has touched since the dump began is no longer taken from the dump; what neither has confirmed
/// by the dump's end is gone. Where notifications alone do not tell the whole (IPv4 routes vanish in silence
/// with their link or source address; one way of several is added or removed), the route tables are dumped
/// again. When the kernel had to drop notifications (ENOBUFS), everything is, once the notifications that
/// were kept are read.
///
/// Thread: the control thread alone. Nothing here blocks.
class KernelMirror {
 public:
  /// Changes are reported together, at most once in this time.
  static constexpr std::chrono::milliseconds kCoalesce{5};

  /// Opens the sockets and asks for the first dumps.
  static base::Result<std::unique_ptr<KernelMirror>> open();
  ~KernelMirror();
  KernelMirror(const KernelMirror&) = delete;
  KernelMirror& operator=(const KernelMirror&) = delete;

  /// Readable (level-triggered) whenever process() has something to do.
  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

  /// Takes in what the kernel has sent and answers what changed, if the time to report it has come; fd()
  /// becomes readable again when it has not. Reports nothing before the first full picture (synced()).
  KernelChanges process();

  /// The first dump of everything is complete.
  [[nodiscard]] bool synced() const noexcept { return synced_; }
  [[nodiscard]] const KernelTables& tables() const noexcept { return tables_; }

  /// Asks the kernel to find out, or confirm, the link address of a neighbour, as if it had a packet to send
  /// (RTM_NEWNEIGH with NTF_USE). The answer shows in tables(). A refusal by the kernel (no such interface
  /// any more) is counted, for the same news arrives as a change of links.
  void solicit(const NeighbourKey& neighbour);

  struct Counters {
    std::uint64_t dumps = 0;     ///< tables dumped
    std::uint64_t overruns = 0;  ///< times that the kernel dropped notifications
    std::uint64_t refusals = 0;  ///< requests that the kernel answered with an error
  };
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Table : std::uint8_t { links, addresses, routes, neighbours };
  static constexpr std::size_t kTables = 4;
  struct SocketDeleter {
    void operator()(nl_sock* socket) const noexcept;
  };
  using Socket = std::unique_ptr<nl_sock, SocketDeleter>;
  /// Who said it.
  enum class Voice : std::uint8_t { dump, notification };
  /// What notifications have touched since the running dump began.
  struct Touched {
    std::set<std::uint32_t> links;
    std::set<InterfaceAddress> addresses;
    std::set<RouteKey> routes;
    std::set<NeighbourKey> neighbours;
  };

  KernelMirror() = default;
  static base::Result<Socket> connect();
  base::Result<void> set_up();
  /// True when nothing is left to read.
  bool drain(nl_sock* socket);

  void on_message(const nlmsghdr* message, Voice voice);
  void on_link(const nlmsghdr* message, Voice voice);
  void on_address(const nlmsghdr* message, Voice voice);
  void on_route(const nlmsghdr* message, Voice voice);
  void on_neighbour(const nlmsghdr* message, Voice voice);
  void remove_route(const RouteKey& key, const Route& removed);
  void forget_interface(std::uint32_t ifindex);

  /// IPv4 routes may have vanished in silence.
  void suspect_routes();
  void want_dump(Table table) noexcept { dump_wanted_[static_cast<std::size_t>(table)] = true; }
  void start_next_dump(Clock::time_point now);
  bool request_dump(unsigned char family);
  void on_dump_end(bool complete);
  void adopt_dump();

  base::Fd epoll_;
  base::Fd timer_;
  Socket monitor_;
  Socket dump_;
  Socket requests_;

  KernelTables tables_;
  KernelTables dumped_;  // what the running dump has told so far
  Touched touched_;
  std::array<bool, kTables> dump_wanted_{};
  bool dump_running_ = false;
  bool dump_spoiled_ = false;   // interrupted by a change, or refused: to be asked for again
  bool routes6_asked_ = false;  // the second half of a dump of routes is under way
  Table dump_table_ = Table::links;
  bool synced_ = false;
  KernelChanges pending_;
  Clock::time_point last_report_{};
  Clock::time_point retry_at_{};
  Clock::time_point recheck_routes_at_ = Clock::time_point::max();
  Counters counters_;
};

}  // namespace sluice::dp
