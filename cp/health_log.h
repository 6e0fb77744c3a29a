#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cp/server_state.h"

/// The log lines of state changes, word for word as HAProxy has them: monitoring greps them.
namespace sluice::cp {

/// How loud; HAProxy's ALERT, NOTICE and EMERG.
enum class Urgency : std::uint8_t { notice, alert, emergency };

/// The servers of a service that get new connections.
struct Usable {
  std::size_t active = 0;
  std::size_t backup = 0;
  friend bool operator==(const Usable&, const Usable&) = default;
};

/// What only the data plane knows at the moment of a change.
struct Load {
  std::uint64_t sessions = 0;  ///< the server's open connections
  std::uint64_t requeued = 0;  ///< connections that waited for it and go elsewhere now
  std::uint64_t queued = 0;    ///< connections that still wait for it
};

/// A line, up to what Load has to say.
struct LogLine {
  enum class Ending : std::uint8_t { none, left, online };
  Urgency urgency = Urgency::notice;
  std::string service, server;  ///< whose Load it is; server is empty in the line of a service
  std::uint64_t before = 0;     ///< the desired generation until then: the change is in a later one
  std::string text;
  Ending ending = Ending::none;

  /// The whole line. Without `load` (no data plane answers) that part is left out.
  [[nodiscard]] std::string complete(const std::optional<Load>& load) const;
};

/// The line for what happened to `server` of `service`. `usable`: after it happened.
LogLine line_of(const StateChange& change, std::string_view service, const config::Server& server,
                Usable usable);
/// The line for a service whose last usable server went away.
LogLine no_server_line(std::string_view service);

}  // namespace sluice::cp
