#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unix_channel.h"
#include "config/report.h"
#include "config/wire.h"
#include "dp/control/control.h"

namespace sluice::dp {

/// Answers on dp.sock (config/wire.h): apply, report, flows, state, kill, failures, alive, explain. A client
/// that talks nonsense gets an error and is closed; others do not notice. Thread: control.
class ControlServer {
 public:
  /// Makes a report on request.
  using Reporter = std::function<config::DataplaneReport(const config::ReportRequest&)>;

  /// Takes hold of RUNTIME_DIR/dp.sock; requests are answered after serve(). Errors: exists, when another dp
  /// has it.
  static base::Result<std::unique_ptr<ControlServer>> listen(base::EventLoop& loop,
                                                             const std::string& runtime_dir);
  /// `control` must outlive the server's use.
  void serve(Control& control, Reporter reporter);

 private:
  ControlServer() = default;
  using ClientId = base::UnixServer::ClientId;
  /// A reply that may come later; those behind it wait, for replies go out in the order of the requests.
  using Reply = std::shared_ptr<std::optional<std::string>>;

  void on_line(ClientId client, std::string_view line);
  void answer(ClientId client, const Reply& reply, std::string text);

  Control* control_ = nullptr;
  Reporter reporter_;
  std::unordered_map<ClientId, std::deque<Reply>> replies_;
  std::unique_ptr<base::UnixServer> server_;
};

}  // namespace sluice::dp
