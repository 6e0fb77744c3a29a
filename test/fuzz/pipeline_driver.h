#pragma once

#include <cstdint>
#include <vector>

#include "test/fuzz/choices.h"
#include "test/fuzz/crowd.h"
#include "test/fuzz/soundness.h"
#include "test/packet/world.h"

/// What the fuzz tests of the packet path have in common, whether dice or an input decides.
namespace sluice::test {

/// A TCP and a UDP service of each family, and one more that shares servers, with few of everything, so that
/// all that can run out does.
[[nodiscard]] std::vector<config::ForwardingService> few_services();
/// Tables that are soon full.
[[nodiscard]] Balancer::Options cramped_options(unsigned workers);

/// Any sequence of frames, of time that passes, and of changes to the configuration and the network, by a
/// balancer of which all that expect_sound() and the fixture say must hold after each step.
class PipelineDriver {
 public:
  /// `choices` must outlive it.
  PipelineDriver(unsigned workers, Choices& choices);

  /// A frame, mostly; or whatever else may happen.
  void step();
  /// What has been begun comes to its end.
  void finish();

  struct Totals {
    std::uint64_t frames = 0, handed_over = 0, cookies_returned = 0;
  };
  [[nodiscard]] Totals totals();

 private:
  void check();
  void add_frame();
  void send_burst();
  void pass_time(std::uint64_t ms);
  void reconfigure();
  void disturb_network();
  void end_flows();

  Choices& choices_;
  Balancer balancer_;
  Crowd<Family::v4> v4_;
  Crowd<Family::v6> v6_;
  std::vector<Bytes> burst_;    ///< that is yet to come in
  std::size_t burst_size_ = 1;  ///< frames with which it does
  std::uint64_t frames_ = 0;
  std::size_t slots_ = 0;        ///< of servers, that there have ever been
  std::uint64_t own_syns_ = 0;   ///< that went to a server once more
  std::uint64_t own_bytes_ = 0;  ///< of these, without their link headers
};

}  // namespace sluice::test
