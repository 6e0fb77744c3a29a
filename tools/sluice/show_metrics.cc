#include "tools/sluice/show_metrics.h"

#include <chrono>
#include <utility>
#include <vector>

#include "cp/metrics.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"

namespace sluice::cli {
namespace {

/// Whoever collects waits ten seconds, by Prometheus' default; the control plane waits two for the data
/// plane.
constexpr std::chrono::milliseconds kCollected{4'000};

base::Result<config::MetricsReport> of_control_plane(const std::string& runtime_dir) {
  constexpr auto kWhat = config::ShowWhat::metrics;
  const auto line = ask_control_plane(config::ShowRequest{kWhat, {}}, runtime_dir, kCollected);
  if (!line) return line.error();
  const auto content = config::decode_show_reply(kWhat, *line);
  if (!content) return content.error();
  return config::from_json<config::MetricsReport>(*content);
}

base::Result<config::VrrpReport> of_vrrp(const std::string& runtime_dir) {
  const auto line = ask_vrrp(config::ReportRequest{}, runtime_dir, kCollected);
  if (!line) return line.error();
  return config::decode_vrrp_report_reply(*line);
}

}  // namespace

base::Result<std::string> metrics_text(const base::Result<config::MetricsReport>& control_plane,
                                       const base::Result<config::VrrpReport>& vrrp) {
  if (!control_plane && !vrrp) return control_plane.error();
  std::vector<std::pair<std::string, bool>> processes{{"cp", bool{control_plane}}};
  if (control_plane) processes.emplace_back("dp", control_plane->data_plane);
  if (vrrp || control_plane->vrrp) processes.emplace_back("vrrp", bool{vrrp});
  std::string text = cp::exposition({cp::up_metric(processes)});
  if (control_plane) text += control_plane->text;
  if (vrrp) text += cp::exposition(cp::vrrp_metrics(*vrrp));
  return text;
}

void add_show_metrics(CLI::App& parent, Invocation& invocation) {
  CLI::App* command =
      parent.add_subcommand("metrics", "counters and states of all processes, for Prometheus (no --json)");
  add_runtime_dir(*command, invocation.runtime_dir);
  command->callback([&invocation] {
    finish(invocation,
           metrics_text(of_control_plane(invocation.runtime_dir), of_vrrp(invocation.runtime_dir)));
  });
}

}  // namespace sluice::cli
