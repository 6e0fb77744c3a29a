#include "cp/metrics.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <prometheus/text_serializer.h>

#include "config/names.h"
#include "cp/server_reports.h"
#include "cp/server_view.h"

namespace sluice::cp {
namespace {

using config::ClientCounters;
using config::HandshakeCounters;
using config::PortReport;
using config::QueueCounters;
using config::ServerReport;
using config::TrafficCounters;
using config::WorkerReport;

/// What the data plane counts of a service and of a server alike.
struct Activity {
  TrafficCounters counters;
  HandshakeCounters handshakes;
  QueueCounters queue;
};

constexpr auto kActivity = std::to_array<MetricRow<Activity>>({
    {"packets_total", "Packets forwarded; in: from clients to servers.", kCounter,
     field<&Activity::counters, &TrafficCounters::packets_in>, "direction", "in"},
    {"packets_total", "", kCounter, field<&Activity::counters, &TrafficCounters::packets_out>, "direction",
     "out"},
    {"bytes_total", "Bytes of IP packets forwarded; in: from clients to servers.", kCounter,
     field<&Activity::counters, &TrafficCounters::bytes_in>, "direction", "in"},
    {"bytes_total", "", kCounter, field<&Activity::counters, &TrafficCounters::bytes_out>, "direction",
     "out"},
    {"connections_total", "Connections begun.", kCounter,
     field<&Activity::counters, &TrafficCounters::connections_new>},
    {"connections_failed_total", "Connections that the server refused or never answered.", kCounter,
     field<&Activity::counters, &TrafficCounters::connections_failed>},
    {"connections_current", "Connections open now.", kGauge,
     field<&Activity::counters, &TrafficCounters::connections_current>},
    {"handshakes_total", "Attempts to connect, by what became of them.", kCounter,
     field<&Activity::handshakes, &HandshakeCounters::answered>, "outcome", "answered"},
    {"handshakes_total", "", kCounter, field<&Activity::handshakes, &HandshakeCounters::refused>, "outcome",
     "refused"},
    {"handshakes_total", "", kCounter, field<&Activity::handshakes, &HandshakeCounters::unreachable>,
     "outcome", "unreachable"},
    {"handshakes_total", "", kCounter, field<&Activity::handshakes, &HandshakeCounters::unanswered>,
     "outcome", "unanswered"},
    {"retries_total", "Attempts to connect that were repeated at the same server.", kCounter,
     field<&Activity::handshakes, &HandshakeCounters::retried>},
    {"redispatches_total", "Attempts to connect that were given to another server.", kCounter,
     field<&Activity::handshakes, &HandshakeCounters::redispatched>},
    {"queue_connections", "Connections that wait for a place now.", kGauge,
     field<&Activity::queue, &QueueCounters::waiting>},
    {"queue_oldest_seconds", "How long the first of those that wait has waited.", kGauge,
     ms_field<&Activity::queue, &QueueCounters::oldest_ms>},
    {"queue_entered_total", "Connections that had to wait for a place.", kCounter,
     field<&Activity::queue, &QueueCounters::entered>},
    {"queue_timeouts_total", "Connections that waited for timeouts.queue in vain.", kCounter,
     field<&Activity::queue, &QueueCounters::timed_out>},
});

constexpr auto kClients = std::to_array<MetricRow<ClientCounters>>({
    {"clients_refused_total",
     "Attempts at new connections that the service's limits by client refused, by reason.", kCounter,
     field<&ClientCounters::denied>, "reason", "denied"},
    {"clients_refused_total", "", kCounter, field<&ClientCounters::over_rate>, "reason", "rate"},
    {"clients_refused_total", "", kCounter, field<&ClientCounters::over_maxconn>, "reason", "maxconn"},
    {"clients_untracked_total", "New connections let in uncounted: the table of clients had no place.",
     kCounter, field<&ClientCounters::untracked>},
});

/// What the control plane knows of a service.
struct ServiceView {
  const config::Service* service;
  Usable usable;
};

constexpr auto kService = std::to_array<MetricRow<ServiceView>>({
    {"servers", "Servers configured.", kGauge,
     [](const ServiceView& view) { return static_cast<double>(view.service->servers.size()); }},
    {"servers_active", "Servers that get new connections: backup servers only where no other does.", kGauge,
     [](const ServiceView& view) {
       return static_cast<double>(view.usable.active > 0 ? view.usable.active : view.usable.backup);
     }},
    {"maxconn", "Most connections open at once; 0: no limit.", kGauge,
     [](const ServiceView& view) { return static_cast<double>(view.service->maxconn); }},
});

/// What the control plane knows of a server.
struct ServerView {
  const ServerState* state;
  TimePoint now;
};

double seconds(std::chrono::duration<double> duration) {
  return duration.count();
}

constexpr auto kServer = std::to_array<MetricRow<ServerView>>({
    {"up", "Whether health check and agent find it up.", kGauge,
     [](const ServerView& view) { return view.state->is_up() ? 1.0 : 0.0; }},
    {"usable", "Whether it gets new connections; a backup server: where no other does.", kGauge,
     [](const ServerView& view) { return view.state->is_usable() ? 1.0 : 0.0; }},
    {"weight", "Its weight now.", kGauge,
     [](const ServerView& view) { return static_cast<double>(view.state->shown_weight()); }},
    {"maxconn", "Most connections open at once, as it is now; 0: no limit.", kGauge,
     [](const ServerView& view) { return static_cast<double>(view.state->effective_maxconn()); }},
    {"check_failures_total", "Health checks that failed, but for those of a server that was down already.",
     kCounter,
     [](const ServerView& view) { return static_cast<double>(view.state->check().failed_checks()); }},
    {"downs_total", "How often it went down.", kCounter,
     [](const ServerView& view) { return static_cast<double>(view.state->times_down()); }},
    {"downtime_seconds_total", "How long it was down, or in maintenance.", kCounter,
     [](const ServerView& view) { return seconds(downtime(*view.state, view.now)); }},
    {"state_seconds", "How long ago it went up, down, or into or out of maintenance or drain.", kGauge,
     [](const ServerView& view) { return seconds(time_in_state(*view.state, view.now)); }},
});

constexpr auto kServerReport = std::to_array<MetricRow<ServerReport>>({
    {"failures_in_row", "Attempts to connect that failed since the last one that was answered.", kGauge,
     field<&ServerReport::failures_in_row>},
    {"source_ports", "Source ports towards it.", kGauge, field<&ServerReport::ports_total>},
    {"source_ports_free", "Source ports towards it that no connection uses.", kGauge,
     field<&ServerReport::ports_free>},
});

constexpr auto kPort = std::to_array<MetricRow<PortReport>>({
    {"up", "Whether it has link.", kGauge, field<&PortReport::link_up>},
    {"rx_packets_total", "Frames received.", kCounter, field<&PortReport::rx_packets>},
    {"rx_bytes_total", "Bytes received.", kCounter, field<&PortReport::rx_bytes>},
    {"tx_packets_total", "Frames sent.", kCounter, field<&PortReport::tx_packets>},
    {"tx_bytes_total", "Bytes sent.", kCounter, field<&PortReport::tx_bytes>},
    {"rx_missed_total", "Frames that the device dropped because its queues were full.", kCounter,
     field<&PortReport::rx_missed>},
    {"rx_errors_total", "Frames received in error.", kCounter, field<&PortReport::rx_errors>},
    {"tx_errors_total", "Frames that the device could not send.", kCounter, field<&PortReport::tx_errors>},
    {"rx_no_buffer_total", "Receptions that failed for want of a buffer.", kCounter,
     field<&PortReport::rx_nombuf>},
    {"to_kernel_packets_total", "Frames handed to the kernel through the twin interface.", kCounter,
     field<&PortReport::punted>},
    {"from_kernel_packets_total", "Frames sent out for the kernel.", kCounter, field<&PortReport::from_twin>},
});

constexpr auto kDrop = std::to_array<MetricRow<config::DropReport>>({
    {"dropped_packets_total", "Packets dropped; `sluice show drops` says what the reasons mean.", kCounter,
     field<&config::DropReport::packets>},
});

constexpr auto kWorker = std::to_array<MetricRow<WorkerReport>>({
    {"packets_total", "Packets processed.", kCounter, field<&WorkerReport::packets>},
    {"handed_over_total", "Packets handed to the worker that owns the flow.", kCounter,
     field<&WorkerReport::handed_over>},
    {"bursts_total", "Bursts of packets processed.", kCounter, field<&WorkerReport::bursts>},
    {"empty_polls_total", "Rounds that found no packet.", kCounter, field<&WorkerReport::empty_polls>},
    {"busy_cycles_total", "Cycles of the time-stamp counter spent on packets.", kCounter,
     field<&WorkerReport::busy_cycles>},
    {"cycles_total", "Cycles of the time-stamp counter in all: busy_cycles by these is the load.", kCounter,
     field<&WorkerReport::total_cycles>},
    {"originated_total", "Frames sent of its own accord: resets that ended connections.", kCounter,
     field<&WorkerReport::originated>},
    {"timed_out_total", "Connections ended because they were idle for too long.", kCounter,
     field<&WorkerReport::timed_out>},
    {"killed_total", "Connections ended by an operator, with their server, or by hard_stop_after.", kCounter,
     field<&WorkerReport::killed>},
    {"syn_cookies_returned_total", "SYN cookies that clients have brought back.", kCounter,
     field<&WorkerReport::cookies_returned>},
    {"syn_cookies_active", "1 while services with syn_cookies \"auto\" answer by cookies.", kGauge,
     field<&WorkerReport::cookies_active>},
    {"flows", "Records of the flow table in use.", kGauge, field<&WorkerReport::flows>},
    {"flows_max", "Records of the flow table.", kGauge, field<&WorkerReport::flows_max>},
    {"half_open_flows", "Flows whose handshake has not ended.", kGauge, field<&WorkerReport::half_open>},
    {"half_open_flows_max", "Most flows whose handshake has not ended.", kGauge,
     field<&WorkerReport::half_open_max>},
    {"generation", "Generation of the forwarding state that it runs.", kGauge,
     field<&WorkerReport::generation>},
});

constexpr auto kControlPlane = std::to_array<MetricRow<ProcessView>>({
    {"uptime_seconds", "How long sluice-cp has run.", kGauge, ms_field<&ProcessView::uptime_ms>},
    {"check_lateness_median_seconds", "How much later than due health checks of the last minute began.",
     kGauge, [](const ProcessView& process) { return seconds(process.checks.median); }},
    {"check_lateness_p99_seconds", "The same: 99 % began earlier.", kGauge,
     [](const ProcessView& process) { return seconds(process.checks.p99); }},
    {"check_lateness_max_seconds", "The same: the latest.", kGauge,
     [](const ProcessView& process) { return seconds(process.checks.most); }},
});

constexpr auto kAdmin = std::to_array<std::string_view>({"ready", "drain", "maint"});

Activity activity(const config::ServiceReport& report) {
  return {report.counters, report.handshakes, report.queue};
}
Activity activity(const ServerReport& report) {
  return {report.counters, report.handshakes, report.queue};
}

void add_services(Families& families, const Controller& controller, const config::DataplaneReport* report) {
  std::vector<Sample<ServiceView>> views;
  std::vector<Sample<Activity>> activities;
  std::vector<Sample<ClientCounters>> clients;
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    const Labels labels{{"service", services[s].name}};
    views.push_back({labels, {&services[s], controller.usable(s)}});
    if (report == nullptr) continue;
    const config::ServiceReport* known = find_report(*report, services[s].name);
    activities.push_back({labels, known != nullptr ? activity(*known) : Activity{}});
    clients.push_back({labels, known != nullptr ? known->clients : ClientCounters{}});
  }
  add_rows(families, "sluice_service_", kService, views);
  add_rows(families, "sluice_service_", kActivity, activities);
  add_rows(families, "sluice_service_", kClients, clients);
}

/// What the last check found, a series of value 1 for each server that is checked.
void add_check_status(Families& families, const std::vector<Sample<ServerView>>& views) {
  for (const auto& [labels, view] : views) {
    const Health& check = view.state->check();
    if (!check.enabled()) continue;
    Labels with_status = labels;
    with_status.push_back({"status", std::string(code(check.last_result().status))});
    add_series(family(families, "sluice_server_check_status",
                      "1 for the result of the last health check, in HAProxy's words.", kGauge),
               std::move(with_status), 1);
  }
}

void add_servers(Families& families, const Controller& controller, const config::DataplaneReport* report,
                 TimePoint now) {
  std::vector<Sample<ServerView>> views;
  std::vector<Sample<ServerReport>> reports;
  std::vector<Sample<Activity>> activities;
  const auto& services = controller.config().services;
  for (std::size_t s = 0; s < services.size(); ++s) {
    const ServerReports known(report != nullptr ? find_report(*report, services[s].name) : nullptr);
    for (const ServerState& server : controller.servers(s)) {
      const Labels labels{{"service", services[s].name}, {"server", server.config().name}};
      views.push_back({labels, {&server, now}});
      if (report == nullptr) continue;
      reports.push_back({labels, known.of(server.config())});
      activities.push_back({labels, activity(reports.back().object)});
    }
  }
  add_rows(families, "sluice_server_", kServer, views);
  for (const auto& [labels, view] : views) {
    add_states(family(families, "sluice_server_admin", "1 for its administrative state.", kGauge), labels,
               admin_text(*view.state), kAdmin);
  }
  add_check_status(families, views);
  add_rows(families, "sluice_server_", kServerReport, reports);
  add_rows(families, "sluice_server_", kActivity, activities);
}

void add_dataplane(Families& families, const config::DataplaneReport& report) {
  add_gauge(families, "sluice_dp_uptime_seconds", "How long sluice-dp has run.",
            ms_field<&config::DataplaneReport::uptime_ms>(report));
  add_gauge(families, "sluice_dp_generation", "Generation of the forwarding state that was applied last.",
            static_cast<double>(report.generation));
  add_gauge(families, "sluice_dp_hugepages", "Whether it has hugepages.", report.hugepages ? 1 : 0);
}

template <typename T, typename Name>
std::vector<Sample<T>> labelled(const std::vector<T>& reports, const char* label, Name name) {
  std::vector<Sample<T>> samples;
  for (const T& report : reports) samples.push_back({{{label, name(report)}}, report});
  return samples;
}

}  // namespace

Families balancer_metrics(const Controller& controller, const ProcessView& process,
                          const config::DataplaneReport* report, TimePoint now) {
  Families families;
  add_rows(families, "sluice_cp_", kControlPlane, {{{}, process}});
  add_gauge(families, "sluice_cp_generation", "Generation of the forwarding state that is wanted.",
            static_cast<double>(controller.desired().generation));
  if (report != nullptr) add_dataplane(families, *report);
  add_services(families, controller, report);
  add_servers(families, controller, report, now);
  if (report == nullptr) return families;
  add_rows(families, "sluice_port_", kPort,
           labelled(report->ports, "port", [](const PortReport& port) { return port.name; }));
  add_rows(families, "sluice_worker_", kWorker,
           labelled(report->workers, "worker", [](const WorkerReport& w) { return std::to_string(w.id); }));
  add_rows(families, "sluice_", kDrop,
           labelled(report->drops, "reason", [](const config::DropReport& drop) { return drop.reason; }));
  return families;
}

prometheus::MetricFamily up_metric(const std::vector<std::pair<std::string, bool>>& processes) {
  prometheus::MetricFamily up{"sluice_up", "Whether the process answers.", kGauge, {}};
  for (const auto& [process, answers] : processes) add_series(up, {{"process", process}}, answers ? 1 : 0);
  return up;
}

std::string exposition(const Families& families) {
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace sluice::cp
