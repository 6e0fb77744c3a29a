#include "config/wire_vrrp.h"

#include <type_traits>
#include <utility>

#include "config/exchange_vrrp.h"
#include "config/wire_json.h"

namespace sluice::config {

using base::Result;

std::string encode_vrrp_request(const VrrpRequest& message) {
  return std::visit(
      [](const auto& r) {
        using R = std::remove_cvref_t<decltype(r)>;
        if constexpr (std::same_as<R, YieldRequest>) {
          return json::to_line(json::with_members("yield", r));
        } else if constexpr (std::same_as<R, ResumeRequest>) {
          return json::to_line(json::with_members("resume", r));
        } else {
          return json::to_line(json::request(std::same_as<R, ReportRequest> ? "report" : "reload"));
        }
      },
      message);
}

Result<VrrpRequest> decode_vrrp_request(std::string_view line) {
  const auto parsed = json::parse_request(line);
  if (!parsed) return parsed.error();
  const auto as_request = [](auto request) { return VrrpRequest{std::move(request)}; };
  if (parsed->op == "report") return VrrpRequest{ReportRequest{}};
  if (parsed->op == "yield") return json::body_of<YieldRequest>(*parsed).transform(as_request);
  if (parsed->op == "resume") return json::body_of<ResumeRequest>(*parsed).transform(as_request);
  if (parsed->op == "reload") return VrrpRequest{ReloadRequest{}};
  return json::malformed("unknown op \"" + parsed->op +
                         R"(" (known: "report", "yield", "resume", "reload"))");
}

std::string encode_vrrp_report_reply(const VrrpReport& report) {
  Json::Value value = json::success();
  value["report"] = json::write(report);
  return json::to_line(value);
}

Result<VrrpReport> decode_vrrp_report_reply(std::string_view line) {
  return json::member_of_reply<VrrpReport>(line, "report");
}

}  // namespace sluice::config
