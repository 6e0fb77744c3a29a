#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dp/xdp/filter_table.h"

/// The XDP program of an af_xdp port, seen from user space.
///
/// Theory of operation. net_af_xdp loads and attaches the program (filter.bpf.c, embedded in this library)
/// when the port's queues are set up, and puts its sockets into the program's xsks_map. The program stays on
/// the interface when the process is killed, with an empty xsks_map: it then drops what is ours. XdpFilter
/// finds the program's other maps through the program id that the interface tells, so that nothing needs to
/// be pinned, and keeps them equal to the rules. A program that a killed process left behind is read (its
/// rules are the best guess until the control plane speaks) and removed before the next one is attached.
namespace sluice::dp {

/// The compiled program, an ELF object.
[[nodiscard]] std::span<const unsigned char> xdp_filter_object() noexcept;

/// What is attached to an interface.
struct XdpProgram {
  std::uint32_t id = 0;
  std::string name;
  bool ours = false;    ///< it is our filter, by name and maps; of this process or another
  bool native = false;  ///< runs in the driver; false: in the generic path, on socket buffers
};

/// The program on `ifindex`; empty when there is none. Error: no permission, no such interface.
base::Result<std::optional<XdpProgram>> attached_xdp_program(int ifindex);

/// Takes our filter off `ifindex`. Does nothing when there is none. Pre: no other process uses it.
/// Error: a foreign program is attached.
base::Result<void> detach_xdp_filter(int ifindex);

struct FilterCounters {
  std::uint64_t passed = 0;      ///< left to the kernel
  std::uint64_t redirected = 0;  ///< given to sluice
  std::uint64_t unclaimed = 0;   ///< ours, but no socket on that queue: dropped
};

/// Keeps the maps of one attached program equal to the rules. Thread: one (the control thread).
class XdpFilter {
 public:
  /// The filter that is attached to `ifindex`, with the table that it has now.
  static base::Result<XdpFilter> open(int ifindex);

  /// Makes the program follow `table`, writing only what differs. A frame meets either the old or the new
  /// bitmap of an address, never a mixture. On error the program may follow a part of the changes; call
  /// again.
  base::Result<void> update(const FilterTable& table);
  base::Result<void> update(const FilterRules& rules) { return update(compile(rules)); }

  /// What the program follows now.
  [[nodiscard]] const FilterTable& table() const noexcept { return table_; }
  [[nodiscard]] base::Result<FilterCounters> counters() const;

  /// Makes `sockets[q]` the AF_XDP socket that frames of receive queue q go to.
  base::Result<void> serve(const std::vector<int>& sockets);

 private:
  XdpFilter(int ifindex, base::Fd owned, base::Fd counts, base::Fd sockets) noexcept
      : ifindex_(ifindex),
        owned_(std::move(owned)),
        counts_(std::move(counts)),
        sockets_(std::move(sockets)) {}
  base::Result<void> read_table();

  int ifindex_;
  base::Fd owned_;
  base::Fd counts_;
  base::Fd sockets_;
  FilterTable table_;
};

}  // namespace sluice::dp
