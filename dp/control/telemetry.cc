#include "dp/control/telemetry.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <rte_telemetry.h>

namespace sluice::dp {
namespace {

using config::DataplaneReport;

void add(rte_tel_data* data, const char* name, std::uint64_t value) {
  ::rte_tel_data_add_dict_u64(data, name, value);
}
void add(rte_tel_data* data, const char* name, const std::string& value) {
  ::rte_tel_data_add_dict_string(data, name, value.c_str());
}

int info(const DataplaneReport& report, std::string_view, rte_tel_data* data) {
  ::rte_tel_data_start_dict(data);
  add(data, "version", report.version);
  add(data, "generation", report.generation);
  add(data, "uptime_ms", report.uptime_ms);
  add(data, "hugepages", std::uint64_t{report.hugepages});
  return 0;
}

int drops(const DataplaneReport& report, std::string_view, rte_tel_data* data) {
  ::rte_tel_data_start_dict(data);
  for (const auto& drop : report.drops) add(data, drop.reason.c_str(), drop.packets);
  return 0;
}

int workers(const DataplaneReport& report, std::string_view, rte_tel_data* data) {
  ::rte_tel_data_start_array(data, RTE_TEL_INT_VAL);
  for (const auto& worker : report.workers) ::rte_tel_data_add_array_int(data, worker.id);
  return 0;
}

int worker(const DataplaneReport& report, std::string_view which, rte_tel_data* data) {
  unsigned id = 0;
  const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), id);
  if (error != std::errc{} || end != which.data() + which.size() || id >= report.workers.size())
    return -EINVAL;
  const config::WorkerReport& w = report.workers[id];
  ::rte_tel_data_start_dict(data);
  add(data, "packets", w.packets);
  add(data, "handed_over", w.handed_over);
  add(data, "bursts", w.bursts);
  add(data, "empty_polls", w.empty_polls);
  add(data, "busy_cycles", w.busy_cycles);
  add(data, "total_cycles", w.total_cycles);
  add(data, "originated", w.originated);
  add(data, "timed_out", w.timed_out);
  add(data, "killed", w.killed);
  add(data, "cookies_returned", w.cookies_returned);
  add(data, "cookies_active", std::uint64_t{w.cookies_active});
  add(data, "flows", w.flows);
  add(data, "flows_max", w.flows_max);
  add(data, "half_open", w.half_open);
  add(data, "half_open_max", w.half_open_max);
  return 0;
}

int ports(const DataplaneReport& report, std::string_view, rte_tel_data* data) {
  ::rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
  for (const auto& port : report.ports) ::rte_tel_data_add_array_string(data, port.name.c_str());
  return 0;
}

int port(const DataplaneReport& report, std::string_view which, rte_tel_data* data) {
  for (const config::PortReport& p : report.ports) {
    if (p.name != which) continue;
    ::rte_tel_data_start_dict(data);
    add(data, "rx_packets", p.rx_packets);
    add(data, "rx_bytes", p.rx_bytes);
    add(data, "tx_packets", p.tx_packets);
    add(data, "tx_bytes", p.tx_bytes);
    add(data, "rx_missed", p.rx_missed);
    add(data, "rx_errors", p.rx_errors);
    add(data, "tx_errors", p.tx_errors);
    add(data, "rx_nombuf", p.rx_nombuf);
    add(data, "punted", p.punted);
    add(data, "from_twin", p.from_twin);
    return 0;
  }
  return -EINVAL;
}

int servers(const DataplaneReport& report, std::string_view, rte_tel_data* data) {
  ::rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
  for (const auto& service : report.services) {
    for (const auto& server : service.servers) {
      ::rte_tel_data_add_array_string(data, (service.name + "/" + server.name).c_str());
    }
  }
  return 0;
}

int server(const DataplaneReport& report, std::string_view which, rte_tel_data* data) {
  for (const auto& service : report.services) {
    for (const config::ServerReport& s : service.servers) {
      if (service.name + "/" + s.name != which) continue;
      ::rte_tel_data_start_dict(data);
      add(data, "endpoint", s.endpoint.to_string());
      add(data, "next_hop", s.next_hop);
      add(data, "weight", s.weight);
      add(data, "ports_free", s.ports_free);
      add(data, "ports_total", s.ports_total);
      add(data, "packets_in", s.counters.packets_in);
      add(data, "bytes_in", s.counters.bytes_in);
      add(data, "packets_out", s.counters.packets_out);
      add(data, "bytes_out", s.counters.bytes_out);
      add(data, "connections_new", s.counters.connections_new);
      add(data, "connections_current", s.counters.connections_current);
      add(data, "connections_failed", s.counters.connections_failed);
      add(data, "maxconn", s.maxconn);
      add(data, "failures_in_row", s.failures_in_row);
      add(data, "handshakes_answered", s.handshakes.answered);
      add(data, "handshakes_refused", s.handshakes.refused);
      add(data, "handshakes_unreachable", s.handshakes.unreachable);
      add(data, "handshakes_unanswered", s.handshakes.unanswered);
      add(data, "handshakes_retried", s.handshakes.retried);
      add(data, "handshakes_redispatched", s.handshakes.redispatched);
      add(data, "queue_waiting", s.queue.waiting);
      add(data, "queue_entered", s.queue.entered);
      add(data, "queue_timed_out", s.queue.timed_out);
      return 0;
    }
  }
  return -EINVAL;
}

struct Command {
  const char* path;
  int (*answer)(const DataplaneReport&, std::string_view, rte_tel_data*);
  const char* help;
};
constexpr std::array<Command, 8> kCommands{{
    {"/sluice/info", info, "Version, generation, uptime. No parameters"},
    {"/sluice/drops", drops, "Packets dropped, by reason. No parameters"},
    {"/sluice/workers", workers, "The workers' numbers. No parameters"},
    {"/sluice/worker", worker, "Counters of a worker. Parameters: int worker"},
    {"/sluice/ports", ports, "The ports' names. No parameters"},
    {"/sluice/port", port, "Counters of a port. Parameters: name"},
    {"/sluice/servers", servers, "All servers as SERVICE/SERVER. No parameters"},
    {"/sluice/server", server, "Counters of a server. Parameters: SERVICE/SERVER"},
}};

// DPDK 22.11 calls back with the command's text alone, and offers no place for a context: the one Telemetry
// object of the process is kept here, for the callbacks.
std::atomic<const Telemetry*> g_telemetry{nullptr};

int call(const char* path, const char* parameters, rte_tel_data* data) {
  const Telemetry* telemetry = g_telemetry.load(std::memory_order_acquire);
  if (telemetry == nullptr) return -EAGAIN;
  const auto report = telemetry->latest();
  if (report == nullptr) return -EAGAIN;
  for (const Command& command : kCommands) {
    if (std::strcmp(command.path, path) == 0) {
      return command.answer(*report, parameters == nullptr ? std::string_view{} : parameters, data);
    }
  }
  return -EINVAL;
}

}  // namespace

base::Result<std::unique_ptr<Telemetry>> Telemetry::start() {
  std::unique_ptr<Telemetry> telemetry(new Telemetry);
  g_telemetry.store(telemetry.get(), std::memory_order_release);
  for (const Command& command : kCommands) {
    const int error = ::rte_telemetry_register_cmd(command.path, call, command.help);
    if (error < 0)
      return base::system_error(std::string("telemetry: cannot register ") + command.path, -error);
  }
  return telemetry;
}

Telemetry::~Telemetry() {
  g_telemetry.store(nullptr, std::memory_order_release);
}

void Telemetry::update(config::DataplaneReport report) {
  auto next = std::make_shared<const DataplaneReport>(std::move(report));
  const std::lock_guard lock(mutex_);
  report_ = std::move(next);
}

std::shared_ptr<const config::DataplaneReport> Telemetry::latest() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

}  // namespace sluice::dp
