#include "tools/sluice/control_client.h"

#include <variant>

#include <fmt/format.h>

#include "base/unix_socket.h"

namespace sluice::cli {
namespace {

bool only_looks(const config::CpRequest& request) {
  return std::holds_alternative<config::ShowRequest>(request) ||
         std::holds_alternative<config::ExplainRequest>(request) ||
         std::holds_alternative<config::WaitRequest>(request);
}

base::Error not_running(const std::filesystem::path& runtime_dir) {
  return {base::ErrorCode::unavailable,
          fmt::format("no sluice runs on the runtime directory \"{0}\"; start one with `sluice run -c FILE "
                      "--runtime-dir {0}`, or name the right directory with --runtime-dir",
                      runtime_dir.string())};
}

base::Error not_allowed(const std::filesystem::path& socket) {
  return {base::ErrorCode::permission,
          fmt::format("permission denied: \"{}\" is for those who administer sluice; run this as root, or "
                      "as a member of the socket's group",
                      socket.string())};
}

/// Who answers, and where.
struct Other {
  const char* title;
  const char* socket;
  const char* read_socket;  ///< for everybody
};

base::Result<std::string> ask(const Other& other, const std::string& line, bool only_looks,
                              const std::filesystem::path& runtime_dir, std::chrono::milliseconds limit) {
  std::filesystem::path socket = runtime_dir / other.socket;
  auto reply = base::request(socket.string(), line, limit);
  if (!reply && reply.error().code == base::ErrorCode::permission) {
    if (!only_looks) return not_allowed(socket);
    socket = runtime_dir / other.read_socket;
    reply = base::request(socket.string(), line, limit);
  }
  if (reply) return reply;
  // Whether nobody is there, or somebody who says nothing.
  const auto listening = base::connect_unix(socket.string());
  if (!listening && listening.error().code == base::ErrorCode::unavailable) return not_running(runtime_dir);
  return base::Error{reply.error().code,
                     fmt::format("{} does not answer: {}", other.title, reply.error().message)};
}

}  // namespace

base::Result<std::string> ask_control_plane(const config::CpRequest& request,
                                            const std::filesystem::path& runtime_dir,
                                            std::chrono::milliseconds limit) {
  return ask({"the control plane (sluice-cp)", "cp.sock", "cp-read.sock"}, config::encode_cp_request(request),
             only_looks(request), runtime_dir, limit);
}

base::Result<std::string> ask_vrrp(const config::VrrpRequest& request,
                                   const std::filesystem::path& runtime_dir,
                                   std::chrono::milliseconds limit) {
  return ask({"sluice-vrrp", "vrrp.sock", "vrrp-read.sock"}, config::encode_vrrp_request(request),
             std::holds_alternative<config::ReportRequest>(request), runtime_dir, limit);
}

}  // namespace sluice::cli
