#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "config/names.h"
#include "cp/metrics.h"

namespace sluice::cp {
namespace {

using config::VrrpInstanceReport;
using config::VrrpState;
using Instances = std::vector<Sample<VrrpInstanceReport>>;

constexpr auto kInstance = std::to_array<MetricRow<VrrpInstanceReport>>({
    {"state_seconds", "How long it has been in its state.", kGauge, ms_field<&VrrpInstanceReport::state_ms>},
    {"priority", "Priority.", kGauge, field<&VrrpInstanceReport::priority>, "kind", "configured"},
    {"priority", "", kGauge, field<&VrrpInstanceReport::effective_priority>, "kind", "effective"},
    {"yielded", "Whether an operator gave its addresses away.", kGauge, field<&VrrpInstanceReport::yielded>},
    {"addresses", "Addresses configured.", kGauge,
     [](const VrrpInstanceReport& report) { return static_cast<double>(report.addresses.size()); }},
    {"addresses_missing", "Of a master: addresses that the kernel does not have.", kGauge,
     [](const VrrpInstanceReport& report) { return static_cast<double>(report.addresses_missing.size()); }},
    {"transitions_total", "Changes of state, by the new one.", kCounter,
     field<&VrrpInstanceReport::became_master>, "state", "MASTER"},
    {"transitions_total", "", kCounter, field<&VrrpInstanceReport::became_backup>, "state", "BACKUP"},
    {"transitions_total", "", kCounter, field<&VrrpInstanceReport::became_fault>, "state", "FAULT"},
    {"adverts_sent_total", "Adverts sent.", kCounter, field<&VrrpInstanceReport::adverts_sent>},
    {"adverts_received_total", "Adverts received and accepted.", kCounter,
     field<&VrrpInstanceReport::adverts_received>},
    {"send_errors_total", "Adverts that could not be sent.", kCounter,
     field<&VrrpInstanceReport::send_errors>},
    {"priority_zero_sent_total", "Adverts of priority 0 sent: it gave the addresses up.", kCounter,
     field<&VrrpInstanceReport::priority_zero_sent>},
    {"priority_zero_received_total", "Adverts of priority 0 received: a master gave the addresses up.",
     kCounter, field<&VrrpInstanceReport::priority_zero_received>},
    {"addresses_repaired_total", "Addresses that someone else took away and that were put back.", kCounter,
     field<&VrrpInstanceReport::addresses_repaired>},
    {"announcements_total", "Gratuitous ARP and neighbour advertisements sent.", kCounter,
     field<&VrrpInstanceReport::announcements>},
    {"announce_errors_total", "Announcements that could not be sent.", kCounter,
     field<&VrrpInstanceReport::announce_errors>},
    {"advert_interval_seconds", "Interval of adverts, as configured.", kGauge,
     ms_field<&VrrpInstanceReport::advert_ms>},
    {"master_down_seconds", "Silence of the master after which a backup takes over.", kGauge,
     ms_field<&VrrpInstanceReport::master_down_ms>},
    {"timer_lateness_seconds", "How late the last timer was served.", kGauge,
     us_field<&VrrpInstanceReport::timer_late_us>},
    {"timer_lateness_max_seconds", "How late the latest timer since the start was served.", kGauge,
     us_field<&VrrpInstanceReport::timer_late_max_us>},
});

void add_state(Families& families, const Instances& instances) {
  std::array<std::string_view, config::kNames<VrrpState>.size()> names;
  std::ranges::transform(config::kNames<VrrpState>, names.begin(),
                         [](const auto& each) { return each.second; });
  for (const auto& [labels, instance] : instances) {
    add_states(family(families, "sluice_vrrp_state", "1 for the state that it is in.", kGauge), labels,
               config::name_of(instance.state), names);
  }
}

/// A series for each kind of trouble that there has been, so that it goes back to 0 in place of vanishing.
void add_troubles(Families& families, const Instances& instances) {
  for (const auto& [labels, instance] : instances) {
    std::map<std::string_view, bool> lasts;
    for (const config::VrrpTroubleCount& count : instance.trouble_counts) lasts[count.tracker] = false;
    for (const config::VrrpTrouble& trouble : instance.troubles) lasts[trouble.tracker] = true;
    for (const auto& [tracker, does] : lasts) {
      Labels with_tracker = labels;
      with_tracker.push_back({"tracker", std::string(tracker)});
      add_series(
          family(families, "sluice_vrrp_trouble",
                 "1 while something stands in its way or lowers its priority, by what watches it.", kGauge),
          std::move(with_tracker), does ? 1 : 0);
    }
  }
}

/// Counts by a word of their own: `counts`, the member with `word` and `number` each.
template <auto Counts, auto Word, auto Number>
void add_counts(Families& families, const Instances& instances, const char* name, const char* help,
                const char* label) {
  for (const auto& [labels, instance] : instances) {
    for (const auto& count : instance.*Counts) {
      Labels with_word = labels;
      with_word.push_back({label, count.*Word});
      add_series(family(families, name, help, kCounter), std::move(with_word), field<Number>(count));
    }
  }
}

}  // namespace

Families vrrp_metrics(const config::VrrpReport& report) {
  Instances instances;
  for (const VrrpInstanceReport& instance : report.instances) {
    instances.push_back({{{"instance", instance.name},
                          {"interface", instance.interface},
                          {"vrid", std::to_string(instance.virtual_router_id)}},
                         instance});
  }
  Families families;
  add_gauge(families, "sluice_vrrp_uptime_seconds", "How long sluice-vrrp has run.",
            ms_field<&config::VrrpReport::uptime_ms>(report));
  add_gauge(families, "sluice_vrrp_realtime", "Whether its timers run with real-time priority.",
            report.realtime ? 1 : 0);
  add_gauge(families, "sluice_vrrp_memory_locked", "Whether its memory is locked.",
            report.memory_locked ? 1 : 0);
  add_series(family(families, "sluice_vrrp_unknown_router_adverts_total",
                    "Adverts of virtual routers that are not configured here.", kCounter),
             {}, static_cast<double>(report.unknown_vrid));
  add_state(families, instances);
  add_rows(families, "sluice_vrrp_", kInstance, instances);
  add_troubles(families, instances);
  add_counts<&VrrpInstanceReport::trouble_counts, &config::VrrpTroubleCount::tracker,
             &config::VrrpTroubleCount::times>(families, instances, "sluice_vrrp_troubles_total",
                                               "How often such trouble has begun.", "tracker");
  add_counts<&VrrpInstanceReport::refusals, &config::VrrpRefusal::reason, &config::VrrpRefusal::packets>(
      families, instances, "sluice_vrrp_adverts_refused_total", "Adverts that were refused.", "reason");
  return families;
}

}  // namespace sluice::cp
