#include <concepts>
#include <type_traits>
#include <utility>

#include "config/wire.h"
#include "config/wire_json.h"

/// What cp.sock speaks.
namespace sluice::config {
namespace {

using base::Result;

template <typename T>
Result<CpRequest> cp_request(const json::Operation& operation) {
  return json::body_of<T>(operation).transform([](T request) { return CpRequest{std::move(request)}; });
}

Result<CpRequest> server_request(const json::Operation& operation) {
  auto request = json::body_of<ServerRequest>(operation);
  if (!request) return std::move(request).error();
  const bool needs_value =
      request->action == ServerAction::weight || request->action == ServerAction::maxconn;
  // A default would be taken for the operator's wish.
  if (needs_value && !operation.body.isMember("value")) return json::malformed("server: value: is missing");
  return CpRequest{*std::move(request)};
}

}  // namespace

std::string encode_cp_request(const CpRequest& message) {
  return std::visit(
      [](const auto& r) {
        using R = std::remove_cvref_t<decltype(r)>;
        if constexpr (std::same_as<R, ShowRequest>) {
          return json::to_line(json::with_members("show", r));
        } else if constexpr (std::same_as<R, ServerRequest>) {
          return json::to_line(json::with_members("server", r));
        } else if constexpr (std::same_as<R, WaitRequest>) {
          return json::to_line(json::with_members("wait", r));
        } else if constexpr (std::same_as<R, KillRequest> || std::same_as<R, ExplainRequest>) {
          return encode_request(r);
        } else {
          return json::to_line(json::request("reload"));
        }
      },
      message);
}

Result<CpRequest> decode_cp_request(std::string_view line) {
  const auto parsed = json::parse_request(line);
  if (!parsed) return parsed.error();
  if (parsed->op == "show") return cp_request<ShowRequest>(*parsed);
  if (parsed->op == "server") return server_request(*parsed);
  if (parsed->op == "wait") return cp_request<WaitRequest>(*parsed);
  if (parsed->op == "explain") return cp_request<ExplainRequest>(*parsed);
  if (parsed->op == "reload") return CpRequest{ReloadRequest{}};
  if (parsed->op == "kill") {
    return json::member_of_request<FlowFilter>(*parsed, "filter").transform([](FlowFilter filter) {
      return CpRequest{KillRequest{std::move(filter)}};
    });
  }
  return json::malformed("unknown op \"" + parsed->op +
                         R"(" (known: "show", "server", "wait", "reload", "kill", "explain"))");
}

std::string encode_show_reply(ShowWhat what, std::string_view json) {
  // Text is spliced in as it is: a list of a million flows is not parsed once more.
  return std::string(R"({"ok":true,")").append(name_of(what)).append("\":").append(json).append("}");
}

Result<std::string> decode_show_reply(ShowWhat what, std::string_view line) {
  auto reply = json::parse_reply(line);
  if (!reply) return std::move(reply).error();
  const std::string name(name_of(what));
  if (!reply->isMember(name)) return json::malformed("reply has no \"" + name + "\"");
  return json::to_line((*reply)[name]);
}

std::string encode_done_reply(std::string_view message) {
  Json::Value value = json::success();
  value["message"] = std::string(message);
  return json::to_line(value);
}

Result<std::string> decode_done_reply(std::string_view line) {
  return json::member_of_reply<std::string>(line, "message");
}

std::string encode_reload_reply(const ReloadReport& report) {
  Json::Value value = json::write(report);
  value["ok"] = true;
  return json::to_line(value);
}

Result<ReloadReport> decode_reload_reply(std::string_view line) {
  auto reply = json::parse_reply(line);
  if (!reply) return std::move(reply).error();
  return json::from_value<ReloadReport>(*reply);
}

}  // namespace sluice::config
