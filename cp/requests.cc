#include "cp/requests.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "cp/explain.h"
#include "cp/known_names.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
/// Counters come at once; a list of many flows takes a while to write.
constexpr auto kReportAnswer = 2s;
constexpr auto kFlowsAnswer = 20s;
/// Within this the data plane does what an operator wants; a working one needs some milliseconds.
constexpr auto kTakenUp = 2s;
/// Everybody may look, but nobody is to keep the control plane busy with lists of millions.
constexpr std::uint32_t kFlowsForAll = 10'000;

/// Pre: the picture has a report where the view needs one.
std::string view_json(const config::ShowRequest& request, const Picture& picture,
                      const ProcessView& process) {
  const Controller& controller = *picture.controller;
  const config::DataplaneReport* report = picture.report ? &*picture.report : nullptr;
  const TimePoint now = std::chrono::steady_clock::now();
  switch (request.what) {
    case config::ShowWhat::services: return services_json(controller, *report, request.filter);
    case config::ShowWhat::servers: return servers_json(controller, *report, request.filter, now);
    case config::ShowWhat::queue: return queue_json(controller, *report, request.filter);
    case config::ShowWhat::ports: return config::to_json(report->ports);
    case config::ShowWhat::drops: return config::to_json(report->drops);
    case config::ShowWhat::workers: return config::to_json(report->workers);
    case config::ShowWhat::health: return health_json(controller, request.filter, now);
    case config::ShowWhat::info: return info_json(controller, process, report);
    case config::ShowWhat::metrics: return metrics_json(controller, process, report, now);
    case config::ShowWhat::flows:
    case config::ShowWhat::names: break;  // answered elsewhere
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

/// Whether the data plane knows what `filter` names: a reload has removed it, and its connections live on.
bool lives_on(const config::FlowFilter& filter, const config::DataplaneReport& report) {
  return std::ranges::any_of(report.services, [&](const config::ServiceReport& service) {
    if (filter.service && *filter.service != service.name) return false;
    if (!filter.server) return true;
    return std::ranges::find(service.servers, *filter.server, &config::ServerReport::name) !=
           service.servers.end();
  });
}

/// `server "web/s1": DRAIN, weight 0 (configured: 100)`.
std::string outcome_text(const config::ServerRequest& request, const ServerState& server) {
  std::string text =
      fmt::format("server \"{}/{}\": {}", request.service, server.config().name, server.status());
  if (request.action == config::ServerAction::weight) {
    text += fmt::format(", weight {} (configured: {})", server.user_weight(), server.config().weight);
    if (server.throttle()) text += fmt::format(", {} % of it for now: slow start", *server.throttle());
  }
  if (request.action == config::ServerAction::maxconn)
    text += fmt::format(", maxconn {} (configured: {})", server.user_maxconn(), server.config().maxconn);
  return text;
}

std::string wish_text(const config::ServerRequest& request) {
  std::string text =
      fmt::format("{}/{}: {}", request.service, request.server, config::name_of(request.action));
  if (request.action == config::ServerAction::weight || request.action == config::ServerAction::maxconn)
    text += fmt::format(" {}{}", request.value, request.percent ? "%" : "");
  return text;
}

}  // namespace

Requests::Requests(Controller& controller, DpLink& link, Reload& reload, StateKeeper& keeper,
                   Reports& reports, SideThread& views, const Lateness& lateness, ProcessView process)
    : controller_(controller),
      link_(link),
      reload_(reload),
      keeper_(keeper),
      reports_(reports),
      views_(views),
      lateness_(lateness),
      process_(std::move(process)),
      started_(std::chrono::steady_clock::now()) {}

asio::awaitable<std::string> Requests::answer(config::CpRequest request, Access access, std::string asker) {
  if (auto* what = std::get_if<config::ShowRequest>(&request)) {
    if (access == Access::read_only) what->filter.limit = std::min(what->filter.limit, kFlowsForAll);
    co_return co_await show(std::move(*what), access);
  }
  if (const auto* packet = std::get_if<config::ExplainRequest>(&request)) co_return co_await explain(*packet);
  if (access == Access::read_only) {
    co_return config::encode_error_reply(
        "this socket is for looking only (\"show\", \"explain\", \"wait\"); changes are asked for on "
        "cp.sock");
  }
  if (auto* wish = std::get_if<config::ServerRequest>(&request))
    co_return co_await change(std::move(*wish), std::move(asker));
  if (auto* which = std::get_if<config::KillRequest>(&request))
    co_return co_await kill(std::move(*which), std::move(asker));
  if (std::holds_alternative<config::ReloadRequest>(request)) co_return co_await reload(std::move(asker));
  assert(false);
  co_return config::encode_error_reply("this is not answered here");
}

asio::awaitable<std::string> Requests::show(config::ShowRequest request, Access access) const {
  using config::ShowWhat;
  if (request.what == ShowWhat::names) {
    const auto known = names_are_known(request.filter, controller_.config());
    co_return known ? config::encode_show_reply(request.what, names_json(controller_.config()))
                    : config::encode_error_reply(known.error().message);
  }
  Reports::PicturePtr picture;
  if (access == Access::admin) {
    picture = co_await reports_.fresh(request.what != ShowWhat::health);
  } else {
    picture = co_await reports_.recent();
  }
  const config::DataplaneReport* report = picture->report ? &*picture->report : nullptr;
  const auto known = names_are_known(request.filter, picture->controller->config());
  const bool needs_report =
      request.what != ShowWhat::health && request.what != ShowWhat::info && request.what != ShowWhat::metrics;
  if (!known && !(needs_report && report != nullptr && lives_on(request.filter, *report)))
    co_return config::encode_error_reply(known.error().message);
  if (needs_report && report == nullptr)
    co_return config::encode_error_reply(picture->report.error().message);
  if (request.what == ShowWhat::flows) {
    const auto flows = co_await link_.flows(request.filter, kFlowsAnswer);
    if (!flows) co_return config::encode_error_reply(flows.error().message);
    auto list = [flows, what = request.what] {
      return config::encode_show_reply(what, config::to_json(*flows));
    };
    co_return co_await views_.run(std::move(list));
  }
  // Answered without a data plane, too: it is asked when something is wrong.
  ProcessView process = process_;
  const TimePoint now = std::chrono::steady_clock::now();
  const auto uptime = now - started_;
  process.uptime_ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<config::Milliseconds>(uptime).count());
  process.checks = lateness_.summary(now);
  process.data_plane_connected = link_.connected();
  process.data_plane_trouble = report != nullptr ? link_.trouble() : picture->report.error().message;
  auto view = [picture = std::move(picture), request = std::move(request), process = std::move(process)] {
    return config::encode_show_reply(request.what, view_json(request, *picture, process));
  };
  co_return co_await views_.run(std::move(view));
}

asio::awaitable<std::string> Requests::explain(config::ExplainRequest request) const {
  auto explanation = co_await link_.explain(request.tuple, kReportAnswer);
  if (!explanation) {
    std::string sentence = explanation.error().message;
    if (config::is_unknown_request(explanation.error()))
      sentence =
          "the data plane (sluice-dp) that runs is older than `sluice explain`; restart it to have packets "
          "explained";
    co_return config::encode_error_reply(sentence);
  }
  add_knowledge(*explanation, controller_);
  co_return config::encode_explain_reply(*explanation);
}

asio::awaitable<std::string> Requests::change(config::ServerRequest request, std::string asker) {
  const auto service = find_service(controller_.config(), request.service);
  if (!service) co_return config::encode_error_reply(service.error().message);
  const auto servers = find_servers(**service, request.server);
  if (!servers) co_return config::encode_error_reply(servers.error().message);
  base::log::info("cp.sock: {}: {}", asker, wish_text(request));
  std::string done, refused;
  for (const config::Server* server : *servers) {
    config::ServerRequest single = request;
    single.server = server->name;
    const auto outcome = controller_.command(single, std::chrono::steady_clock::now());
    std::string& text = outcome ? done : refused;
    if (!text.empty()) text += '\n';
    if (!outcome) {
      text += outcome.error().message;
      continue;
    }
    text += outcome_text(single, *controller_.find(*controller_.find(single.service, single.server)));
  }
  co_await keeper_.save();
  if (!refused.empty())
    co_return config::encode_error_reply(done.empty() ? refused : fmt::format("{}\n{}", done, refused));
  const bool taken_up = co_await link_.caught_up(kTakenUp);
  if (!taken_up && link_.connected()) {
    done += fmt::format("\nThe data plane does not do it yet{}{}; it is told until it does.",
                        link_.trouble().empty() ? "" : ": ", link_.trouble());
  } else if (!taken_up) {
    done += "\nThe data plane is not there; it is told as soon as it is back.";
  }
  co_return config::encode_done_reply(done);
}

asio::awaitable<std::string> Requests::kill(config::KillRequest request, std::string asker) const {
  const config::FlowFilter& filter = request.filter;
  if (!filter.service && !filter.server && !filter.client && !filter.state) {
    co_return config::encode_error_reply(
        "kill: the filter matches all flows; name a client, a service, a server or a state");
  }
  const auto known = names_are_known(filter, controller_.config());
  if (!known) {
    const auto report = co_await link_.report(DpLink::For::view, kReportAnswer);
    if (!report || !lives_on(filter, *report)) co_return config::encode_error_reply(known.error().message);
  }
  const auto killed = co_await link_.kill(filter, kFlowsAnswer);
  if (!killed) co_return config::encode_error_reply(killed.error().message);
  base::log::info("cp.sock: {}: ended {} flows that match {}", asker, *killed, config::to_json(filter));
  co_return config::encode_kill_reply(*killed);
}

asio::awaitable<std::string> Requests::reload(std::string asker) {
  base::log::info("cp.sock: {}: reload", asker);
  const auto report = co_await reload_.run();
  if (!report) co_return config::encode_error_reply(report.error().message);
  co_return config::encode_reload_reply(*report);
}

}  // namespace sluice::cp
