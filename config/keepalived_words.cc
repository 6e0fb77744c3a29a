#include "config/keepalived_words.h"

#include <algorithm>

#include "config/suggest.h"

namespace sluice::config {
namespace {

/// A key of its vrrp_instance, or one of its global_defs about them, and ours.
struct Word {
  std::string_view theirs;
  std::string_view ours;  ///< empty: none
};

constexpr Word kWords[]{
    {"virtual_ipaddress", "addresses"},
    {"virtual_ipaddress_excluded", "addresses_excluded"},
    {"authentication", "auth_pass"},
    {"auth_type", "auth_pass"},
    {"preempt", "nopreempt"},
    {"virtual_routes", ""},
    {"virtual_rules", ""},
    {"track_file", ""},
    {"track_process", ""},
    {"track_bfd", ""},
    {"track_src_ip", ""},
    {"dont_track_primary", ""},
    {"lvs_sync_daemon_interface", ""},
    {"smtp_alert", ""},
    {"linkbeat_use_polling", ""},
    {"strict_mode", ""},
    {"native_ipv6", ""},
    {"accept", ""},
    {"no_accept", ""},
    {"promote_secondaries", ""},
    {"skip_check_adv_addr", ""},
    {"use_ipvlan", ""},
    {"debug", ""},
};
constexpr std::string_view kGlobal = "vrrp_";  ///< begins those that its global_defs have for all instances

}  // namespace

std::string keepalived_hint(std::string_view word, std::span<const std::string_view> known) {
  const auto has = [known](std::string_view key) { return std::ranges::find(known, key) != known.end(); };
  if (!has("virtual_router_id")) return {};
  std::string_view inner = word;
  if (inner.starts_with(kGlobal)) inner.remove_prefix(kGlobal.size());
  const auto* const found = std::ranges::find(kWords, inner, &Word::theirs);
  const std::string_view ours = found != std::end(kWords) ? found->ours : has(inner) ? inner : "";
  if (!ours.empty()) return did_you_mean(ours, std::span(&ours, 1));
  if (found == std::end(kWords)) return {};
  return ": sluice does not have this of keepalived's";
}

}  // namespace sluice::config
