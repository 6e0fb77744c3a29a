#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unix_channel.h"
#include "config/wire_vrrp.h"

namespace sluice::vrrp {

/// vrrp.sock: what cp and the command line ask for. Thread: the loop's.
class ControlServer {
 public:
  /// Called with the reply's line, at once or later.
  using Reply = std::function<void(std::string line)>;
  struct Handlers {
    std::function<void(Reply reply)> report;
    /// `yield`: or resume. The sentence, or what is wrong.
    std::function<base::Result<std::string>(const std::string& instance, bool yield)> order;
    std::function<base::Result<std::string>()> reload;
  };

  /// Errors: another sluice-vrrp has the socket, or the directory is missing.
  static base::Result<std::unique_ptr<ControlServer>> listen(base::EventLoop& loop,
                                                             const std::string& runtime_dir,
                                                             Handlers handlers);

 private:
  explicit ControlServer(Handlers handlers) : handlers_(std::move(handlers)) {}
  void on_line(base::UnixServer::ClientId client, std::string_view line);

  Handlers handlers_;
  std::unique_ptr<base::UnixServer> server_;
};

}  // namespace sluice::vrrp
