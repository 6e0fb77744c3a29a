#include "dp/control/control_server.h"

#include <chrono>
#include <type_traits>
#include <utility>
#include <variant>

#include "dp/control/report.h"

namespace sluice::dp {

namespace {

/// Whoever asks something does so when he has connected; cp alone has reason to be silent after that.
constexpr std::chrono::seconds kSilence{60};

}  // namespace

base::Result<std::unique_ptr<ControlServer>> ControlServer::listen(base::EventLoop& loop,
                                                                   const std::string& runtime_dir) {
  std::unique_ptr<ControlServer> self(new ControlServer);
  auto server =
      base::UnixServer::listen(loop, runtime_dir + "/dp.sock", {.silence = kSilence},
                               [raw = self.get()](base::UnixServer::ClientId client, std::string_view line) {
                                 raw->on_line(client, line);
                               });
  if (!server) return std::move(server).error();
  self->server_ = std::move(*server);
  return self;
}

void ControlServer::serve(Control& control, Reporter reporter) {
  control_ = &control;
  reporter_ = std::move(reporter);
}

void ControlServer::answer(ClientId client, const Reply& reply, std::string text) {
  *reply = std::move(text);
  const auto it = replies_.find(client);
  if (it == replies_.end()) return;  // cut off meanwhile
  auto& waiting = it->second;
  bool there = true;
  while (there && !waiting.empty() && waiting.front()->has_value()) {
    there = server_->send(client, **waiting.front());
    waiting.pop_front();
  }
  if (!there || waiting.empty()) replies_.erase(it);
}

void ControlServer::on_line(base::UnixServer::ClientId client, std::string_view line) {
  auto request = config::decode_dp_request(line);
  if (!request) {
    server_->send(client, config::encode_error_reply(request.error().message));
    server_->finish(client);
    return;
  }
  const Reply slot = replies_[client].emplace_back(std::make_shared<std::optional<std::string>>());
  const auto reply = [this, client, slot](std::string text) { answer(client, slot, std::move(text)); };
  std::visit(
      [&](auto& r) {
        using Request = std::decay_t<decltype(r)>;
        if constexpr (std::is_same_v<Request, config::ApplyRequest>) {
          server_->keep(client);
          const std::uint64_t generation = r.state.generation;
          auto applied =
              control_->apply(std::move(r.state), [=] { reply(config::encode_apply_reply(generation)); });
          if (!applied) reply(config::encode_error_reply(applied.error().message));
        } else if constexpr (std::is_same_v<Request, config::ReportRequest>) {
          reply(config::encode_report_reply(reporter_(r)));
        } else if constexpr (std::is_same_v<Request, config::FlowsRequest>) {
          const auto listing = control_->list_flows(
              r.filter, [=](const config::FlowList& list) { reply(config::encode_flows_reply(list)); });
          if (!listing) reply(config::encode_error_reply(listing.error().message));
        } else if constexpr (std::is_same_v<Request, config::KillRequest>) {
          const auto killing = control_->kill_flows(
              r.filter, [=](std::uint64_t killed) { reply(config::encode_kill_reply(killed)); });
          if (!killing) reply(config::encode_error_reply(killing.error().message));
        } else if constexpr (std::is_same_v<Request, config::ExplainRequest>) {
          const auto asked = control_->explain(r.tuple, [=](const config::Explanation& explanation) {
            reply(config::encode_explain_reply(explanation));
          });
          if (!asked) reply(config::encode_error_reply(asked.error().message));
        } else if constexpr (std::is_same_v<Request, config::FailuresRequest>) {
          reply(config::encode_failures_reply(failing_servers(*control_)));
        } else if constexpr (std::is_same_v<Request, config::AliveRequest>) {
          server_->keep(client);
          reply(config::encode_alive_reply(signs_of_life(*control_, r.services)));
        } else {
          server_->keep(client);
          reply(config::encode_state_reply(control_->state()));
        }
      },
      *request);
}

}  // namespace sluice::dp
