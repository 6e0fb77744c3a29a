#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cp/server_state.h"

namespace sluice::cp {

/// What the control plane knows and no configuration says, for the time when it is restarted.
struct SavedServer {
  std::string service, server;
  base::Endpoint endpoint;
  ServerMemory memory;
};
struct SavedState {
  std::int64_t saved_at = 0;  ///< WallMs
  std::vector<SavedServer> servers;
};

/// As the text of a state file, and back. Error: what of it is not so; any bytes are harmless.
[[nodiscard]] std::string encode_state(const SavedState& state);
[[nodiscard]] base::Result<SavedState> decode_state(std::string_view text);

}  // namespace sluice::cp
