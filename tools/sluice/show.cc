#include "tools/sluice/show.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <json/json.h>

#include "base/unix_socket.h"
#include "tools/sluice/show_tables.h"

namespace sluice::cli {
namespace {

/// Longer than the control plane waits for the data plane: its sentence says more than our time-out would.
constexpr std::chrono::seconds kAnswer{5};
constexpr std::chrono::seconds kFlowsAnswer{25};

base::Result<std::string> ask(const config::ShowRequest& request, const std::filesystem::path& runtime_dir) {
  const std::string socket = (runtime_dir / "cp.sock").string();
  const auto listening = base::connect_unix(socket);
  if (!listening && listening.error().code == base::ErrorCode::unavailable) {
    return base::Error{
        base::ErrorCode::unavailable,
        fmt::format("no sluice runs on the runtime directory \"{0}\"; start one with `sluice run -c FILE "
                    "--runtime-dir {0}`, or name the right directory with --runtime-dir",
                    runtime_dir.string())};
  }
  const auto limit = request.what == config::ShowWhat::flows ? kFlowsAnswer : kAnswer;
  const auto line = base::request(socket, config::encode_cp_request(request), limit);
  if (!line) {
    return base::Error{line.error().code, fmt::format("the control plane (sluice-cp) does not answer: {}",
                                                      line.error().message)};
  }
  return config::decode_show_reply(request.what, *line);
}

base::Result<std::string> rendered(const config::ShowRequest& request, const std::string& content,
                                   bool json) {
  try {
    Json::Value tree;
    std::string errors;
    const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
    if (!reader->parse(content.data(), content.data() + content.size(), &tree, &errors)) {
      return base::Error{base::ErrorCode::invalid,
                         fmt::format("the control plane answered no JSON: {}", errors)};
    }
    if (!json) return table_text(request.what, tree);
    Json::StreamWriterBuilder builder;
    builder["indentation"] = "  ";
    builder["emitUTF8"] = true;
    return Json::writeString(builder, tree) + "\n";
  } catch (const Json::Exception& error) {
    return base::Error{base::ErrorCode::invalid, fmt::format("the control plane's answer: {}", error.what())};
  }
}

}  // namespace

int show_command(const config::ShowRequest& request, const std::filesystem::path& runtime_dir, bool json) {
  const auto content = ask(request, runtime_dir);
  const auto text = content ? rendered(request, *content, json) : base::Result<std::string>(content.error());
  if (!text) {
    fmt::print(stderr, "{}\n", text.error().message);
    return 1;
  }
  fmt::print("{}", *text);
  return 0;
}

}  // namespace sluice::cli
