#include "cp/reload.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "config/diff.h"
#include "config/parse.h"
#include "config/wire_vrrp.h"
#include "cp/line_socket.h"
#include "cp/turn.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using Outcome = base::Result<config::ReloadReport>;

/// As a list for a sentence.
std::string list_of(const std::vector<config::Change>& changes) {
  std::string list;
  for (const config::Change& change : changes) {
    if (!list.empty()) list += "; ";
    list += config::to_string(change);
  }
  return list;
}

/// It answers at once, or hangs.
constexpr std::chrono::seconds kVrrpWithin{5};

void add_note(config::ReloadReport& report, const std::string& sentence) {
  if (sentence.empty()) return;
  report.note += (report.note.empty() ? "" : "; ") + sentence;
}

}  // namespace

asio::awaitable<Outcome> Reload::run() {
  if (under_way_) {
    co_return Outcome(base::Error{base::ErrorCode::exists, "a reload is under way already: try again"});
  }
  const Turn turn(under_way_);
  auto outcome = co_await attempt();
  if (outcome && vrrp_behind_) {
    const std::string told = co_await tell_vrrp();
    add_note(*outcome, told);
  }
  if (!outcome) base::log::error("the configuration was not reloaded: {}", outcome.error().message);
  co_return outcome;
}

// GCC 12 takes new and delete of a coroutine's frame for a pair that does not match (GCC bug 109224).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
asio::awaitable<Outcome> Reload::attempt() {
  const auto text = config::read_file(file_);
  if (!text) co_return Outcome(text.error());
  auto loaded = config::load_text(*text, file_);
  if (!loaded) co_return Outcome(loaded.error());

  config::ReloadReport report;
  report.changes = config::diff(controller_.config(), *loaded);
  if (config::needs_restart(controller_.config(), *loaded)) {
    co_return Outcome(base::Error{
        base::ErrorCode::invalid,
        fmt::format(
            "ports, data plane settings, clients.table and the clients' prefixes hold until sluice is "
            "restarted, and these differ: {}; restart it, or undo this",
            list_of(config::restart_changes(controller_.config(), *loaded)))});
  }
  auto checks = prepare_checks(*loaded);
  if (!checks) co_return Outcome(checks.error());
  const bool has_vrrp = !controller_.config().vrrp.empty() || !loaded->vrrp.empty();
  config::Config fresh = std::move(*loaded);
  const auto changed = co_await link_.change_config(std::move(fresh));
  if (!changed) co_return Outcome(changed.error());
  if (!*changed) report.note = "the data plane is not there; it gets the configuration when it comes";

  for (const config::Change& change : report.changes)
    base::log::info("reload: {}", config::to_string(change));
  base::log::info("the configuration was reloaded: {} changes", report.changes.size());
  adopted_(*std::move(checks));
  const auto written = base::write_file_atomically(runtime_dir_ / "accepted.json", *text, 0600);
  if (!written) {
    base::log::error("{}: a process that is restarted begins with the former configuration",
                     written.error().message);
    add_note(report, fmt::format("it could not be kept for restarts{}: {}",
                                 has_vrrp ? ", nor given to sluice-vrrp" : "", written.error().message));
  }
  vrrp_behind_ = (vrrp_behind_ || has_vrrp) && written;
  co_return Outcome(std::move(report));
}
#pragma GCC diagnostic pop

asio::awaitable<std::string> Reload::tell_vrrp() {
  std::string request = config::encode_vrrp_request(config::ReloadRequest{});
  const auto line = co_await ask(runtime_dir_ / "vrrp.sock", std::move(request), kVrrpWithin);
  const auto told = line ? config::decode_done_reply(*line) : base::Result<std::string>(line.error());
  if (told) {
    vrrp_behind_ = false;
    co_return *told;
  }
  std::string sentence;
  if (!line && line.error().code == base::ErrorCode::unavailable) {
    sentence =
        fmt::format("sluice-vrrp does not answer ({}); it has the configuration from its next start on",
                    line.error().message);
    base::log::warn("{}", sentence);
  } else {
    sentence = fmt::format("sluice-vrrp goes on with its former configuration: {}", told.error().message);
    base::log::error("{}", sentence);
  }
  co_return sentence;
}

}  // namespace sluice::cp
