#include "tools/sluice/show_vrrp.h"

#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "config/names.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"
#include "tools/sluice/table.h"
#include "tools/sluice/units.h"

namespace sluice::cli {
namespace {

using config::VrrpInstanceReport;
using config::VrrpReport;
using config::VrrpState;
using config::VrrpTrouble;

/// "100", and "80/100" where trackers have changed it.
std::string priority(const VrrpInstanceReport& instance) {
  if (instance.effective_priority == instance.priority) return std::to_string(instance.priority);
  return fmt::format("{}/{}", instance.effective_priority, instance.priority);
}

/// "MASTER", "BACKUP yielded".
std::string state(const VrrpInstanceReport& instance) {
  return std::string(config::name_of(instance.state)) + (instance.yielded ? " yielded" : "");
}

std::string master(const VrrpInstanceReport& instance) {
  if (instance.state == VrrpState::master) return "this host";
  return instance.master.empty() ? "-" : instance.master;
}

/// "2", and "1/2" while the kernel lacks some.
std::string addresses(const VrrpInstanceReport& instance) {
  const std::size_t all = instance.addresses.size();
  const std::size_t missing = instance.addresses_missing.size();
  return missing == 0 ? std::to_string(all) : fmt::format("{}/{}", all - missing, all);
}

/// How late a timer was served at most: "80us", "12ms".
std::string late(const VrrpInstanceReport& instance) {
  const std::uint64_t us = instance.timer_late_max_us;
  return us < 1'000 ? fmt::format("{}us", us) : duration_text(us / 1'000);
}

std::string table_of(const VrrpReport& report) {
  Table table({{"INSTANCE"},
               {"INTERFACE"},
               {"VRID", Align::right},
               {"STATE"},
               {"FOR", Align::right},
               {"PRIORITY", Align::right},
               {"MASTER"},
               {"ADDRESSES", Align::right},
               {"SENT", Align::right},
               {"RECEIVED", Align::right},
               {"LATE", Align::right},
               {"REASON"}});
  for (const VrrpInstanceReport& instance : report.instances) {
    table.add({instance.name, instance.interface, std::to_string(instance.virtual_router_id), state(instance),
               duration_text(instance.state_ms), priority(instance), master(instance), addresses(instance),
               count_text(instance.adverts_sent), count_text(instance.adverts_received), late(instance),
               instance.reason.empty() ? "-" : instance.reason});
  }
  return table.to_string();
}

std::string trouble_text(const VrrpTrouble& trouble) {
  if (trouble.weight == 0) return trouble.reason;
  return fmt::format("priority {:+}: {}", trouble.weight, trouble.reason);
}

/// What an operator should know of the instance, a sentence a line.
std::vector<std::string> remarks(const VrrpInstanceReport& instance) {
  std::vector<std::string> lines;
  for (const VrrpTrouble& trouble : instance.troubles) lines.push_back(trouble_text(trouble));
  if (instance.state == VrrpState::master) {
    for (const std::string& address : instance.addresses_missing)
      lines.push_back(fmt::format("{} is not on the interface", address));
  }
  if (instance.addresses_repaired > 0) {
    lines.push_back(fmt::format("addresses were taken away by others and put back {} times",
                                count_text(instance.addresses_repaired)));
  }
  if (instance.send_errors > 0)
    lines.push_back(fmt::format("{} adverts could not be sent", count_text(instance.send_errors)));
  if (instance.announce_errors > 0) {
    lines.push_back(
        fmt::format("{} announcements of addresses could not be sent", count_text(instance.announce_errors)));
  }
  for (const config::VrrpPeer& peer : instance.peers) {
    if (peer.other_addresses)
      lines.push_back(fmt::format("{} advertises other addresses than are configured here", peer.address));
  }
  for (const config::VrrpRefusal& refusal : instance.refusals) {
    if (refusal.packets == 0) continue;
    lines.push_back(fmt::format("{} adverts were refused ({}): {}", count_text(refusal.packets),
                                refusal.reason, refusal.description));
  }
  return lines;
}

base::Result<std::string> shown(const Invocation& invocation) {
  const auto line = ask_vrrp(config::ReportRequest{}, invocation.runtime_dir, kAnswer);
  if (!line) return line.error();
  const auto report = config::decode_vrrp_report_reply(*line);
  if (!report) return report.error();
  return invocation.json ? indented(config::to_json(*report)) : vrrp_text(*report);
}

}  // namespace

std::string vrrp_text(const VrrpReport& report) {
  std::string out = report.instances.empty() ? "No VRRP instances are configured.\n" : table_of(report);
  for (const VrrpInstanceReport& instance : report.instances) {
    for (const std::string& remark : remarks(instance)) out += fmt::format("{}: {}\n", instance.name, remark);
  }
  if (report.unknown_vrid > 0) {
    out += fmt::format("{} adverts were of virtual routers that are not configured here.\n",
                       count_text(report.unknown_vrid));
  }
  if (report.instances.empty()) return out;
  if (!report.realtime)
    out += "Timers run without real-time priority: on a busy host adverts may come late.\n";
  if (!report.memory_locked) out += "Memory is not locked: when the host swaps, adverts may come late.\n";
  return out;
}

void add_show_vrrp(CLI::App& parent, Invocation& invocation) {
  CLI::App* command = parent.add_subcommand("vrrp", "virtual routers: state, master, what is wrong");
  add_common_options(*command, invocation);
  command->callback([&invocation] { finish(invocation, shown(invocation)); });
}

}  // namespace sluice::cli
