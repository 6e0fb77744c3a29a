#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "config/wire.h"
#include "config/wire_vrrp.h"

namespace sluice::cli {

/// Sends `request` to the control plane that runs on `runtime_dir` and returns its reply line, which may say
/// no. What only looks ("show", "explain", "wait") goes to cp-read.sock where cp.sock may not be opened.
/// Blocks for at most `limit`. Error: a sentence that says what to do.
[[nodiscard]] base::Result<std::string> ask_control_plane(const config::CpRequest& request,
                                                          const std::filesystem::path& runtime_dir,
                                                          std::chrono::milliseconds limit);

/// The same of sluice-vrrp: vrrp.sock, and vrrp-read.sock for who only looks ("report").
[[nodiscard]] base::Result<std::string> ask_vrrp(const config::VrrpRequest& request,
                                                 const std::filesystem::path& runtime_dir,
                                                 std::chrono::milliseconds limit);

/// How long a reply may take that needs nothing of other hosts: longer than the control plane waits for the
/// data plane, since its sentence says more than our time-out would.
inline constexpr std::chrono::milliseconds kAnswer{15'000};

}  // namespace sluice::cli
