#pragma once

#include <string>
#include <vector>

#include "config/forwarding.h"
#include "config/model.h"

/// What differs between two configurations, for the log and for who reloads. Objects are the same when their
/// names are. Pure.
namespace sluice::config {

enum class ChangeKind : std::uint8_t { added, removed, changed };

struct Change {
  ChangeKind kind;
  std::string object;  ///< e.g. `service "web"`, `server "web/s1"`, "dataplane"
  std::string detail;  ///< what it is, or what of it was and is: "weight 100 -> 50, check.interval 2s -> 1s"
  friend bool operator==(const Change&, const Change&) = default;
};

/// `service "web" added: 192.0.2.10:80/tcp, 3 servers`.
[[nodiscard]] std::string to_string(const Change& change);

/// Global settings first, then dataplane, then ports, then services with their servers, then VRRP instances,
/// in the order of the newer configuration; what was removed comes last of its kind. Of a service that came
/// or went, its servers are not listed one by one.
[[nodiscard]] std::vector<Change> diff(const Config& from, const Config& to);

/// The same for what dp runs; generations are not compared.
[[nodiscard]] std::vector<Change> diff(const ForwardingState& from, const ForwardingState& to);

/// What of diff() takes effect only when dp is started anew: its ports, its dataplane settings, and how many
/// clients a service keeps count of, once it does.
[[nodiscard]] std::vector<Change> restart_changes(const Config& from, const Config& to);
/// Whether there is any of that.
[[nodiscard]] bool needs_restart(const Config& from, const Config& to);

}  // namespace sluice::config
