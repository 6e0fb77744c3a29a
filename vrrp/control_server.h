#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unix_channel.h"
#include "config/wire_vrrp.h"

namespace sluice::vrrp {

/// What a socket lets its clients do.
enum class Access : std::uint8_t { admin, read_only };

/// A socket, vrrp.sock or vrrp-read.sock: what cp and the command line ask for. Thread: the loop's.
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

  /// Of read_only no handler but `report` is called. Errors: another sluice-vrrp has the socket, or the
  /// directory is missing.
  static base::Result<std::unique_ptr<ControlServer>> listen(base::EventLoop& loop, const std::string& path,
                                                             Access access, Handlers handlers);

 private:
  ControlServer(Access access, Handlers handlers) : access_(access), handlers_(std::move(handlers)) {}
  void on_line(base::UnixServer::ClientId client, std::string_view line);

  Access access_;
  Handlers handlers_;
  std::unique_ptr<base::UnixServer> server_;
};

}  // namespace sluice::vrrp
