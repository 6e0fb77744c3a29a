#include "config/wire.h"

#include <array>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <json/json.h>

#include "config/exchange_fields.h"

namespace sluice::config {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

Error malformed(std::string message) {
  return {ErrorCode::invalid, std::move(message)};
}

std::string to_line(const Json::Value& value) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "";
  builder["commentStyle"] = "None";
  return Json::writeString(builder, value);
}

/// One JSON document, strictly. Pre: nothing; bytes may be anything.
Result<Json::Value> parse(std::string_view text) {
  Json::CharReaderBuilder builder;
  Json::CharReaderBuilder::strictMode(&builder.settings_);
  builder["strictRoot"] = false;  // a lone array is a value too; requests check for an object themselves
  builder["stackLimit"] = 64;     // deeper than anything exchanged, far from the end of a thread's stack
  const std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
  Json::Value value;
  std::string errors;
  try {
    if (reader->parse(text.data(), text.data() + text.size(), &value, &errors)) return value;
  } catch (const std::exception& failure) {  // jsoncpp throws when it meets its stackLimit
    errors = failure.what();
  }
  return malformed("not a JSON document: " + errors);
}

Result<Json::Value> parse_object(std::string_view text) {
  auto value = parse(text);
  if (value && !value->isObject()) return malformed("not a JSON object");
  return value;
}

template <typename T>
Result<T> from_value(const Json::Value& value) {
  T out{};
  std::string problem = json::read(value, out);
  if (problem.empty()) return out;
  if (problem.starts_with(": ")) problem.erase(0, 2);
  return malformed(std::move(problem));
}

Json::Value request(std::string_view op) {
  Json::Value value(Json::objectValue);
  value["op"] = std::string(op);
  return value;
}

Json::Value success() {
  Json::Value value(Json::objectValue);
  value["ok"] = true;
  return value;
}

struct Operation {
  std::string op;
  Json::Value body;
};

Result<Operation> parse_request(std::string_view line) {
  auto body = parse_object(line);
  if (!body) return std::move(body).error();
  if (!body->isMember("op") || !(*body)["op"].isString()) {
    return malformed("request has no \"op\" that says what is asked for");
  }
  std::string op = (*body)["op"].asString();
  return Operation{std::move(op), *std::move(body)};
}

/// The reply's object when it says ok, else the other side's error.
Result<Json::Value> parse_reply(std::string_view line) {
  auto reply = parse_object(line);
  if (!reply) return reply;
  const Json::Value& ok = (*reply)["ok"];
  if (!ok.isBool()) return malformed("reply does not say whether it is \"ok\"");
  if (ok.asBool()) return reply;
  const Json::Value& error = (*reply)["error"];
  return malformed(error.isString() ? error.asString() : "refused without a reason");
}

template <typename T>
Result<T> member_of_reply(std::string_view line, const char* name) {
  auto reply = parse_reply(line);
  if (!reply) return std::move(reply).error();
  if (!reply->isMember(name)) return malformed(std::string("reply has no \"") + name + "\"");
  return from_value<T>((*reply)[name]);
}

constexpr auto kShowNames =
    std::to_array<std::string_view>({"services", "servers", "flows", "ports", "drops", "workers", "info"});

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
        } else {
          return to_line(request(std::same_as<R, ReportRequest> ? "report" : "state"));
        }
      },
      message);
}

Result<DpRequest> decode_dp_request(std::string_view line) {
  auto parsed = parse_request(line);
  if (!parsed) return std::move(parsed).error();
  const auto& [op, body] = *parsed;
  if (op == "report") return DpRequest{ReportRequest{}};
  if (op == "state") return DpRequest{StateRequest{}};
  if (op == "apply") {
    auto state = from_value<ForwardingState>(body["state"]);
    if (!state) return malformed("apply: state: " + state.error().message);
    return DpRequest{ApplyRequest{*std::move(state)}};
  }
  if (op == "flows") {
    if (!body.isMember("filter")) return DpRequest{FlowsRequest{}};
    auto filter = from_value<FlowFilter>(body["filter"]);
    if (!filter) return malformed("flows: filter: " + filter.error().message);
    return DpRequest{FlowsRequest{*std::move(filter)}};
  }
  if (op == "kill") {
    // Nothing is ended by mistake: who means all flows says so with an empty filter.
    auto filter = from_value<FlowFilter>(body["filter"]);
    if (!filter) return malformed("kill: filter: " + filter.error().message);
    return DpRequest{KillRequest{*std::move(filter)}};
  }
  if (op == "failures") return DpRequest{FailuresRequest{}};
  return malformed("unknown op \"" + op +
                   R"(" (known: "apply", "report", "flows", "state", "kill", "failures"))");
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

std::string encode_error_reply(std::string_view sentence) {
  Json::Value value(Json::objectValue);
  value["ok"] = false;
  value["error"] = std::string(sentence);
  return to_line(value);
}

Result<std::uint64_t> decode_apply_reply(std::string_view line) {
  return member_of_reply<std::uint64_t>(line, "generation");
}

Result<DataplaneReport> decode_report_reply(std::string_view line) {
  return member_of_reply<DataplaneReport>(line, "report");
}

Result<FlowList> decode_flows_reply(std::string_view line) {
  auto reply = parse_reply(line);
  if (!reply) return std::move(reply).error();
  return from_value<FlowList>(*reply);
}

Result<ForwardingState> decode_state_reply(std::string_view line) {
  return member_of_reply<ForwardingState>(line, "state");
}

Result<std::uint64_t> decode_kill_reply(std::string_view line) {
  return member_of_reply<std::uint64_t>(line, "killed");
}

Result<std::vector<FailureReport>> decode_failures_reply(std::string_view line) {
  return member_of_reply<std::vector<FailureReport>>(line, "failures");
}

std::string_view show_name(ShowWhat what) noexcept {
  return kShowNames[static_cast<std::size_t>(what)];
}

std::string encode_request(const ShowRequest& message) {
  Json::Value value = request("show");
  value["what"] = std::string(show_name(message.what));
  value["filter"] = json::write(message.filter);
  return to_line(value);
}

Result<ShowRequest> decode_cp_request(std::string_view line) {
  auto parsed = parse_request(line);
  if (!parsed) return std::move(parsed).error();
  const auto& [op, body] = *parsed;
  if (op != "show") return malformed("unknown op \"" + op + R"(" (known: "show"))");
  const std::string what = body["what"].isString() ? body["what"].asString() : std::string();
  ShowRequest show;
  bool known = false;
  std::string list;
  for (std::size_t i = 0; i < kShowNames.size(); ++i) {
    list.append(i == 0 ? "\"" : ", \"").append(kShowNames[i]).append("\"");
    if (kShowNames[i] != what) continue;
    show.what = static_cast<ShowWhat>(i);
    known = true;
  }
  if (!known) return malformed("show: \"what\" is \"" + what + "\", expected one of " + list);
  if (body.isMember("filter")) {
    auto filter = from_value<FlowFilter>(body["filter"]);
    if (!filter) return malformed("show: filter: " + filter.error().message);
    show.filter = *std::move(filter);
  }
  return show;
}

std::string encode_show_reply(ShowWhat what, std::string_view json) {
  // Text is spliced in as it is: a list of a million flows is not parsed once more.
  return std::string(R"({"ok":true,")").append(show_name(what)).append("\":").append(json).append("}");
}

Result<std::string> decode_show_reply(ShowWhat what, std::string_view line) {
  auto reply = parse_reply(line);
  if (!reply) return std::move(reply).error();
  const std::string name(show_name(what));
  if (!reply->isMember(name)) return malformed("reply has no \"" + name + "\"");
  return to_line((*reply)[name]);
}

template <typename T>
std::string to_json(const T& value) {
  return to_line(json::write(value));
}

template <typename T>
Result<T> from_json(std::string_view text) {
  auto value = parse(text);
  if (!value) return std::move(value).error();
  return from_value<T>(*value);
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
SLUICE_EXCHANGED(FailureReport)
#undef SLUICE_EXCHANGED

}  // namespace sluice::config
