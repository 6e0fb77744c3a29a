#pragma once

#include "config/vrrp_report.h"
#include "vrrp/messages.h"
#include "vrrp/roster.h"
#include "vrrp/speaker_instance.h"

namespace sluice::vrrp {

/// Puts together what the speaker, the kernel side and the trackers know of an instance. `now`: as the
/// speaker's clock counts. Pure.
[[nodiscard]] config::VrrpInstanceReport report_of(const Member& member, const InstanceStatus& speaker,
                                                   const KernelInstanceStatus& kernel, Time now);

/// All that stands in the way of an instance, or lowers its priority.
[[nodiscard]] std::vector<config::VrrpTrouble> troubles_of(const Member& member);

/// The sentence that says what is wrong with an instance in FAULT; empty: nothing is.
[[nodiscard]] std::string fault_text(const Member& member);

}  // namespace sluice::vrrp
