#include "vrrp/control_server.h"

#include <chrono>
#include <type_traits>
#include <utility>
#include <variant>

namespace sluice::vrrp {
namespace {

constexpr std::chrono::seconds kSilence{60};

std::string reply_of(const base::Result<std::string>& outcome) {
  return outcome ? config::encode_done_reply(*outcome) : config::encode_error_reply(outcome.error().message);
}

}  // namespace

base::Result<std::unique_ptr<ControlServer>> ControlServer::listen(base::EventLoop& loop,
                                                                   const std::string& path, Access access,
                                                                   Handlers handlers) {
  std::unique_ptr<ControlServer> self(new ControlServer(access, std::move(handlers)));
  const unsigned mode = access == Access::admin ? 0660 : 0666;
  auto server =
      base::UnixServer::listen(loop, path, {.mode = mode, .silence = kSilence},
                               [raw = self.get()](base::UnixServer::ClientId client, std::string_view line) {
                                 raw->on_line(client, line);
                               });
  if (!server) return std::move(server).error();
  self->server_ = *std::move(server);
  return self;
}

void ControlServer::on_line(base::UnixServer::ClientId client, std::string_view line) {
  const auto request = config::decode_vrrp_request(line);
  if (!request) {
    server_->send(client, config::encode_error_reply(request.error().message));
    server_->finish(client);
    return;
  }
  if (access_ == Access::read_only && !std::holds_alternative<config::ReportRequest>(*request)) {
    server_->send(client, config::encode_error_reply("this socket is for looking only (\"report\"); "
                                                     "changes are asked for on vrrp.sock"));
    return;
  }
  std::visit(
      [&](const auto& r) {
        using Request = std::decay_t<decltype(r)>;
        if constexpr (std::is_same_v<Request, config::ReportRequest>) {
          handlers_.report([this, client](std::string reply) { server_->send(client, reply); });
        } else if constexpr (std::is_same_v<Request, config::ReloadRequest>) {
          server_->send(client, reply_of(handlers_.reload()));
        } else {
          constexpr bool kYield = std::is_same_v<Request, config::YieldRequest>;
          server_->send(client, reply_of(handlers_.order(r.instance, kYield)));
        }
      },
      *request);
}

}  // namespace sluice::vrrp
