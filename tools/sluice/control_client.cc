#include "tools/sluice/control_client.h"

#include <variant>

#include <fmt/format.h>

#include "base/unix_socket.h"

namespace sluice::cli {
namespace {

bool only_looks(const config::CpRequest& request) {
  return std::holds_alternative<config::ShowRequest>(request) ||
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

}  // namespace

base::Result<std::string> ask_control_plane(const config::CpRequest& request,
                                            const std::filesystem::path& runtime_dir,
                                            std::chrono::milliseconds limit) {
  const std::string line = config::encode_cp_request(request);
  std::filesystem::path socket = runtime_dir / "cp.sock";
  auto reply = base::request(socket.string(), line, limit);
  if (!reply && reply.error().code == base::ErrorCode::permission) {
    if (!only_looks(request)) return not_allowed(socket);
    socket = runtime_dir / "cp-read.sock";
    reply = base::request(socket.string(), line, limit);
  }
  if (reply) return reply;
  // Whether nobody is there, or somebody who says nothing.
  const auto listening = base::connect_unix(socket.string());
  if (!listening && listening.error().code == base::ErrorCode::unavailable) return not_running(runtime_dir);
  return base::Error{reply.error().code,
                     fmt::format("the control plane (sluice-cp) does not answer: {}", reply.error().message)};
}

}  // namespace sluice::cli
