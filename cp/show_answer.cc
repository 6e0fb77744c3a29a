#include "cp/show_answer.h"

#include <chrono>
#include <utility>

#include "cp/known_names.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
/// Counters come at once; a list of many flows takes a while to write.
constexpr auto kReportAnswer = 2s;
constexpr auto kFlowsAnswer = 20s;

std::string from_report(const config::ShowRequest& request, const Controller& controller,
                        const config::DataplaneReport& report) {
  switch (request.what) {
    case config::ShowWhat::services: return services_json(controller, report, request.filter);
    case config::ShowWhat::servers:
      return servers_json(controller, report, request.filter, std::chrono::steady_clock::now());
    case config::ShowWhat::ports: return config::to_json(report.ports);
    case config::ShowWhat::drops: return config::to_json(report.drops);
    case config::ShowWhat::workers: return config::to_json(report.workers);
    case config::ShowWhat::queue: return queue_json(report, request.filter);
    case config::ShowWhat::flows:
    case config::ShowWhat::health:
    case config::ShowWhat::names:
    case config::ShowWhat::info: break;  // answered elsewhere
  }
  return "null";
}

/// Error: it names a service or a server that does not exist.
base::Result<void> names_are_known(const config::FlowFilter& filter, const config::Config& config) {
  if (!filter.service)
    return filter.server ? find_server_anywhere(config, *filter.server) : base::Result<void>{};
  const auto service = find_service(config, *filter.service);
  if (!service) return service.error();
  if (!filter.server) return {};
  const auto servers = find_servers(**service, *filter.server);
  return servers ? base::Result<void>{} : servers.error();
}

}  // namespace

asio::awaitable<std::string> answer(const config::ShowRequest& request, const Controller& controller,
                                    const DpLink& link, const ProcessView& fixed, TimePoint started) {
  const auto known = names_are_known(request.filter, controller.config());
  if (!known) co_return config::encode_error_reply(known.error().message);
  if (request.what == config::ShowWhat::names)
    co_return config::encode_show_reply(request.what, names_json(controller.config()));
  if (request.what == config::ShowWhat::health) {
    co_return config::encode_show_reply(
        request.what, health_json(controller, request.filter, std::chrono::steady_clock::now()));
  }
  if (request.what == config::ShowWhat::flows) {
    const auto flows = co_await link.flows(request.filter, kFlowsAnswer);
    if (!flows) co_return config::encode_error_reply(flows.error().message);
    co_return config::encode_show_reply(request.what, config::to_json(*flows));
  }
  const auto report = co_await link.report(kReportAnswer);
  if (request.what == config::ShowWhat::info) {
    // The one question that is answered without a data plane: it is asked when something is wrong.
    ProcessView process = fixed;
    const auto uptime = std::chrono::steady_clock::now() - started;
    process.uptime_ms =
        static_cast<std::uint64_t>(std::chrono::duration_cast<config::Milliseconds>(uptime).count());
    process.data_plane_connected = link.connected();
    process.data_plane_trouble = report ? link.trouble() : report.error().message;
    const config::DataplaneReport* there = report ? &*report : nullptr;
    co_return config::encode_show_reply(request.what, info_json(controller, process, there));
  }
  if (!report) co_return config::encode_error_reply(report.error().message);
  co_return config::encode_show_reply(request.what, from_report(request, controller, *report));
}

}  // namespace sluice::cp
