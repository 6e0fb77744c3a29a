#include "config/wire.h"

#include <type_traits>
#include <utility>

#include <json/json.h>

#include "config/exchange_vrrp.h"
#include "config/wire_json.h"

namespace sluice::config {
namespace {

using base::Result;
using json::malformed;
using json::request;
using json::success;
using json::to_line;

}  // namespace

std::string encode_request(const DpRequest& message) {
  return std::visit(
      [](const auto& r) {
        using R = std::remove_cvref_t<decltype(r)>;
        if constexpr (std::same_as<R, ApplyRequest>) {
          Json::Value value = request("apply");
          value["state"] = json::write(r.state);
          return to_line(value);
        } else if constexpr (std::same_as<R, FlowsRequest>) {
          Json::Value value = request("flows");
          value["filter"] = json::write(r.filter);
          return to_line(value);
        } else if constexpr (std::same_as<R, KillRequest>) {
          Json::Value value = request("kill");
          value["filter"] = json::write(r.filter);
          return to_line(value);
        } else if constexpr (std::same_as<R, FailuresRequest>) {
          return to_line(request("failures"));
        } else if constexpr (std::same_as<R, ReportRequest>) {
          Json::Value value = request("report");
          if (r.only) value["only"] = json::write(*r.only);
          return to_line(value);
        } else if constexpr (std::same_as<R, AliveRequest>) {
          Json::Value value = json::write(r);
          value["op"] = "alive";
          return to_line(value);
        } else if constexpr (std::same_as<R, ExplainRequest>) {
          return to_line(json::with_members("explain", r));
        } else {
          return to_line(request("state"));
        }
      },
      message);
}

Result<DpRequest> decode_dp_request(std::string_view line) {
  const auto parsed = json::parse_request(line);
  if (!parsed) return parsed.error();
  const std::string& op = parsed->op;
  if (op == "report") {
    if (!parsed->body.isMember("only")) return DpRequest{ReportRequest{}};
    return json::member_of_request<std::vector<ServerName>>(*parsed, "only")
        .transform([](std::vector<ServerName> only) { return DpRequest{ReportRequest{std::move(only)}}; });
  }
  if (op == "state") return DpRequest{StateRequest{}};
  if (op == "failures") return DpRequest{FailuresRequest{}};
  if (op == "alive") {
    return json::body_of<AliveRequest>(*parsed).transform(
        [](AliveRequest alive) { return DpRequest{std::move(alive)}; });
  }
  if (op == "explain") {
    return json::body_of<ExplainRequest>(*parsed).transform(
        [](const ExplainRequest& explain) { return DpRequest{explain}; });
  }
  if (op == "apply") {
    return json::member_of_request<ForwardingState>(*parsed, "state").transform([](ForwardingState state) {
      return DpRequest{ApplyRequest{std::move(state)}};
    });
  }
  if (op == "flows") {
    if (!parsed->body.isMember("filter")) return DpRequest{FlowsRequest{}};
    return json::member_of_request<FlowFilter>(*parsed, "filter").transform([](FlowFilter filter) {
      return DpRequest{FlowsRequest{std::move(filter)}};
    });
  }
  if (op == "kill") {
    // Nothing is ended by mistake: who means all flows says so with an empty filter.
    return json::member_of_request<FlowFilter>(*parsed, "filter").transform([](FlowFilter filter) {
      return DpRequest{KillRequest{std::move(filter)}};
    });
  }
  return malformed(
      "unknown op \"" + op +
      R"(" (known: "apply", "report", "flows", "state", "kill", "failures", "alive", "explain"))");
}

std::string encode_apply_reply(std::uint64_t generation) {
  Json::Value value = success();
  value["generation"] = json::write(generation);
  return to_line(value);
}

std::string encode_report_reply(const DataplaneReport& report) {
  Json::Value value = success();
  value["report"] = json::write(report);
  return to_line(value);
}

std::string encode_flows_reply(const FlowList& flows) {
  Json::Value value = json::write(flows);
  value["ok"] = true;
  return to_line(value);
}

std::string encode_state_reply(const ForwardingState& state) {
  Json::Value value = success();
  value["state"] = json::write(state);
  return to_line(value);
}

std::string encode_kill_reply(std::uint64_t killed) {
  Json::Value value = success();
  value["killed"] = json::write(killed);
  return to_line(value);
}

std::string encode_failures_reply(const std::vector<FailureReport>& failures) {
  Json::Value value = success();
  value["failures"] = json::write(failures);
  return to_line(value);
}

std::string encode_alive_reply(const AliveReport& report) {
  Json::Value value = success();
  value["alive"] = json::write(report);
  return to_line(value);
}

std::string encode_explain_reply(const Explanation& explanation) {
  Json::Value value = success();
  value["explanation"] = json::write(explanation);
  return to_line(value);
}

std::string encode_error_reply(std::string_view sentence) {
  Json::Value value(Json::objectValue);
  value["ok"] = false;
  value["error"] = std::string(sentence);
  return to_line(value);
}

bool is_unknown_request(const base::Error& error) {
  return error.message.find("unknown op \"") != std::string::npos;
}

Result<std::uint64_t> decode_apply_reply(std::string_view line) {
  return json::member_of_reply<std::uint64_t>(line, "generation");
}

Result<DataplaneReport> decode_report_reply(std::string_view line) {
  return json::member_of_reply<DataplaneReport>(line, "report");
}

Result<FlowList> decode_flows_reply(std::string_view line) {
  auto reply = json::parse_reply(line);
  if (!reply) return std::move(reply).error();
  return json::from_value<FlowList>(*reply);
}

Result<ForwardingState> decode_state_reply(std::string_view line) {
  return json::member_of_reply<ForwardingState>(line, "state");
}

Result<std::uint64_t> decode_kill_reply(std::string_view line) {
  return json::member_of_reply<std::uint64_t>(line, "killed");
}

Result<std::vector<FailureReport>> decode_failures_reply(std::string_view line) {
  return json::member_of_reply<std::vector<FailureReport>>(line, "failures");
}

Result<AliveReport> decode_alive_reply(std::string_view line) {
  return json::member_of_reply<AliveReport>(line, "alive");
}

Result<Explanation> decode_explain_reply(std::string_view line) {
  return json::member_of_reply<Explanation>(line, "explanation");
}

template <typename T>
std::string to_json(const T& value) {
  return to_line(json::write(value));
}

template <typename T>
Result<T> from_json(std::string_view text) {
  auto value = json::parse(text);
  if (!value) return std::move(value).error();
  return json::from_value<T>(*value);
}

#define SLUICE_EXCHANGED(T)                                            \
  template std::string to_json<T>(const T&);                           \
  template std::string to_json<std::vector<T>>(const std::vector<T>&); \
  template Result<T> from_json<T>(std::string_view);                   \
  template Result<std::vector<T>> from_json<std::vector<T>>(std::string_view);
SLUICE_EXCHANGED(ForwardingServer)
SLUICE_EXCHANGED(ForwardingService)
SLUICE_EXCHANGED(ForwardingState)
SLUICE_EXCHANGED(TrafficCounters)
SLUICE_EXCHANGED(ServerReport)
SLUICE_EXCHANGED(ServiceReport)
SLUICE_EXCHANGED(PortReport)
SLUICE_EXCHANGED(DropReport)
SLUICE_EXCHANGED(WorkerReport)
SLUICE_EXCHANGED(DataplaneReport)
SLUICE_EXCHANGED(FlowReport)
SLUICE_EXCHANGED(FlowList)
SLUICE_EXCHANGED(FlowFilter)
SLUICE_EXCHANGED(HandshakeCounters)
SLUICE_EXCHANGED(QueueCounters)
SLUICE_EXCHANGED(ClientCounters)
SLUICE_EXCHANGED(FailureReport)
SLUICE_EXCHANGED(AliveReport)
SLUICE_EXCHANGED(Explanation)
SLUICE_EXCHANGED(ReloadReport)
SLUICE_EXCHANGED(ServiceNames)
SLUICE_EXCHANGED(MetricsReport)
SLUICE_EXCHANGED(BuildInfo)
SLUICE_EXCHANGED(VrrpReport)
SLUICE_EXCHANGED(VrrpInstanceReport)
#undef SLUICE_EXCHANGED

}  // namespace sluice::config
