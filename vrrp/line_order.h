#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>

#include "vrrp/messages.h"

namespace sluice::vrrp {

/// Two threads tell main of one change, the speaker of the state, the kernel side of what it did about it,
/// and the kernel side is sometimes the quicker one. In the log the state comes first, as keepalived has it:
/// a kernel side's line about an order waits here until the speaker has told of a state that has such
/// orders. Thread: main.
class LineOrder {
 public:
  using Write = std::function<void(const KernelLine& line)>;
  explicit LineOrder(Write write) : write_(std::move(write)) {}

  /// Writes the line, or keeps it. Lines of one instance stay in their order.
  void take(KernelLine line);
  /// The speaker's lines about this state have been written.
  void entered(InstanceId instance, State state);
  /// Nothing more is waited for.
  void flush();
  [[nodiscard]] bool empty() const noexcept { return kept_.empty(); }

 private:
  void write_what_fits(InstanceId instance);

  Write write_;
  std::map<InstanceId, State> states_;
  std::map<InstanceId, std::deque<KernelLine>> kept_;  ///< none of them empty
};

}  // namespace sluice::vrrp
