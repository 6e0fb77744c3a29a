#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "config/vrrp_report.h"
#include "config/wire.h"

/// What vrrp.sock speaks; see wire.h for the form. "report" may be asked by everybody; the others answer with
/// a sentence (encode_done_reply()), or with an error that says what exists.
namespace sluice::config {

/// vrrp.sock "yield": give this instance's addresses away, and do not take them again until "resume".
struct YieldRequest {
  std::string instance;
};
/// vrrp.sock "resume": take part in elections again.
struct ResumeRequest {
  std::string instance;
};
/// "report": reply encode_vrrp_report_reply(). "reload": read the accepted configuration anew, keeping the
/// state of instances whose name, interface and VRID are the same; the sentence of the reply, which may be
/// empty, says what else there is to know of it.
using VrrpRequest = std::variant<ReportRequest, YieldRequest, ResumeRequest, ReloadRequest>;

[[nodiscard]] std::string encode_vrrp_request(const VrrpRequest& request);
[[nodiscard]] base::Result<VrrpRequest> decode_vrrp_request(std::string_view line);

[[nodiscard]] std::string encode_vrrp_report_reply(const VrrpReport& report);
[[nodiscard]] base::Result<VrrpReport> decode_vrrp_report_reply(std::string_view line);

}  // namespace sluice::config
