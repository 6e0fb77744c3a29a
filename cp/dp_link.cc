#include "cp/dp_link.h"

#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using asio::experimental::awaitable_operators::operator||;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr auto kReconnect = 50ms;
constexpr auto kRefusedRetry = 1s;
/// A state with thousands of services compiles in well under a second; a dp that takes longer than this
/// hangs.
constexpr auto kAnswer = 10s;

}  // namespace

DpLink::DpLink(const asio::any_io_executor& executor, std::filesystem::path socket_path,
               Controller& controller, SideThread& duties, SideThread& views)
    : socket_path_(std::move(socket_path)),
      controller_(controller),
      duties_(duties),
      views_(views),
      wake_(executor, asio::steady_timer::time_point::max()),
      pause_(executor),
      met_(executor, asio::steady_timer::time_point::max()),
      told_(executor, asio::steady_timer::time_point::max()) {}

asio::awaitable<void> DpLink::run() {
  for (;;) {
    auto socket = co_await LineSocket::connect(socket_path_, kMaxLine);
    if (socket) {
      connected_ = true;
      const base::Error lost = co_await serve(std::move(*socket));
      connected_ = false;
      controller_.forget_acknowledged();
      if (trial_ != nullptr) {
        finish(base::Error{
            lost.code, fmt::format("the connection to the data plane was lost meanwhile: {}", lost.message)});
      }
      set_trouble(fmt::format("connection to the data plane lost: {}", lost.message));
      tell_waiting();
    } else {
      set_trouble(fmt::format("the data plane is not there: {}", socket.error().message));
    }
    set_met();
    pause_.expires_after(kReconnect);
    co_await pause_.async_wait(kAsTuple);
  }
}

void DpLink::wake() {
  wake_.cancel();
}

asio::awaitable<base::Error> DpLink::serve(LineSocket socket) {
  doubted_ = true;
  for (;;) {
    if (doubted_) {
      doubted_ = false;
      const auto known = co_await reconcile(socket);
      if (!known) co_return known.error();
      set_met();
    }
    if (trial_ != nullptr) {
      const auto tried = co_await attempt(socket);
      if (!tried) co_return tried.error();
      continue;
    }
    if (!controller_.in_step()) {
      const auto pushed = co_await push(socket);
      if (!pushed) co_return pushed.error();
      continue;
    }
    set_trouble({});
    const auto woken = co_await (wake_.async_wait(kAsTuple) || socket.readable());
    if (woken.index() == 1) {
      // Nothing is owed to us: a line here is a fault of the other side, and the end of the stream its end.
      auto line = co_await socket.read_line(kAnswer);
      if (!line) co_return std::move(line).error();
      co_return base::Error{base::ErrorCode::invalid, "it sent a reply that nothing asked for"};
    }
  }
}

asio::awaitable<void> DpLink::met() {
  while (!has_met_) co_await met_.async_wait(kAsTuple);
}

void DpLink::set_met() {
  has_met_ = true;
  met_.cancel();
}

asio::awaitable<bool> DpLink::caught_up(std::chrono::milliseconds timeout) {
  const std::uint64_t wanted = controller_.desired().generation;
  asio::steady_timer patience(told_.get_executor(), timeout);
  while (connected_ && controller_.acknowledged() < wanted) {
    const auto first = co_await (told_.async_wait(kAsTuple) || patience.async_wait(kAsTuple));
    if (first.index() == 1 || (connected_ && !trouble_.empty())) break;
  }
  co_return connected_&& controller_.acknowledged() >= wanted;
}

asio::awaitable<base::Result<bool>> DpLink::change_config(config::Config config) {
  if (!connected_) {
    controller_.replace(std::move(config), std::chrono::steady_clock::now());
    co_return base::Result<bool>(false);
  }
  Trial trial{&config, asio::steady_timer(wake_.get_executor(), asio::steady_timer::time_point::max())};
  trial_ = &trial;
  wake();
  while (!trial.outcome) co_await trial.done.async_wait(kAsTuple);
  co_return std::move(*trial.outcome);
}

void DpLink::finish(base::Result<bool> outcome) {
  trial_->outcome.emplace(std::move(outcome));
  trial_->done.cancel();
  trial_ = nullptr;
}

asio::awaitable<base::Result<void>> DpLink::attempt(LineSocket& socket) {
  config::ForwardingState candidate = controller_.preview(*trial_->config, std::chrono::steady_clock::now());
  const auto answer = co_await apply(socket, candidate);
  if (!answer) co_return answer.error();
  if (!*answer) {
    finish(base::Error{answer->error().code,
                       fmt::format("the data plane refused it: {}", answer->error().message)});
    co_return base::Result<void>{};
  }
  // Checks went on meanwhile: what the data plane has now may be behind already, and is then caught up with.
  const auto now = std::chrono::steady_clock::now();
  controller_.replace(*trial_->config, now);
  controller_.reconcile(candidate, now);
  finish(base::Result<bool>(true));
  co_return base::Result<void>{};
}

void DpLink::verify(std::uint64_t generation) {
  if (!connected_ || controller_.acknowledged() == 0 || generation == controller_.acknowledged()) return;
  doubted_ = true;
  wake();
}

asio::awaitable<base::Result<void>> DpLink::reconcile(LineSocket& socket) {
  // Built before it is awaited, as everywhere here: GCC 12 destroys temporaries of aggregate type twice when
  // they stand in the same expression as a co_await.
  std::string request = config::encode_request(config::StateRequest{});
  const auto sent = co_await socket.write_line(std::move(request), kAnswer);
  if (!sent) co_return sent.error();
  const auto line = co_await socket.read_line(kAnswer);
  if (!line) co_return line.error();
  const auto running = config::decode_state_reply(*line);
  if (!running) co_return running.error();
  controller_.reconcile(*running, std::chrono::steady_clock::now());
  if (controller_.in_step()) {
    base::log::info("data plane connected; it runs the desired state (generation {})", running->generation);
  } else {
    base::log::info("data plane connected; it runs generation {}, wanted is {}", running->generation,
                    controller_.desired().generation);
  }
  co_return base::Result<void>{};
}

asio::awaitable<base::Result<base::Result<std::uint64_t>>> DpLink::apply(LineSocket& socket,
                                                                         config::ForwardingState state) {
  using Outcome = base::Result<base::Result<std::uint64_t>>;
  auto encode = [apply = config::DpRequest(config::ApplyRequest{std::move(state)})] {
    return config::encode_request(apply);
  };
  std::string request = co_await duties_.run(std::move(encode));
  const auto sent = co_await socket.write_line(std::move(request), kAnswer);
  if (!sent) co_return Outcome(sent.error());
  const auto line = co_await socket.read_line(kAnswer);
  if (!line) co_return Outcome(line.error());
  co_return Outcome(config::decode_apply_reply(*line));
}

asio::awaitable<base::Result<void>> DpLink::push(LineSocket& socket) {
  const std::uint64_t wanted = controller_.desired().generation;
  const auto answer = co_await apply(socket, controller_.desired());
  if (!answer) co_return answer.error();
  if (*answer && **answer == wanted) {
    controller_.acknowledge(wanted);
    tell_waiting();
    base::log::debug("data plane runs generation {}", wanted);
    co_return base::Result<void>{};
  }
  // It is alive and says no: the connection stands, and the same state is not sent again in a tight loop.
  set_trouble(*answer
                  ? fmt::format("the data plane acknowledged generation {} in place of {}", **answer, wanted)
                  : fmt::format("the data plane refused generation {}: {}", wanted, answer->error().message));
  tell_waiting();
  pause_.expires_after(kRefusedRetry);
  co_await (pause_.async_wait(kAsTuple) || wake_.async_wait(kAsTuple));
  co_return base::Result<void>{};
}

void DpLink::set_trouble(std::string sentence) {
  if (sentence == trouble_) return;
  trouble_ = std::move(sentence);
  if (!trouble_.empty()) base::log::warn("{}", trouble_);
  const std::string status =
      "STATUS=" + (trouble_.empty() ? std::string("the data plane runs the desired state") : trouble_);
  ::sd_notify(0, status.c_str());
}

template <typename T>
asio::awaitable<base::Result<T>> DpLink::query(For whom, config::DpRequest request, Decoder<T> decode,
                                               std::chrono::milliseconds timeout) const {
  std::string text = config::encode_request(request);
  auto line = co_await ask(socket_path_, std::move(text), timeout);
  if (!line) {
    co_return base::Error{line.error().code, fmt::format("the data plane (sluice-dp) does not answer: {}",
                                                         line.error().message)};
  }
  auto read = [decode, answer = *std::move(line)] { return decode(answer); };
  auto value = co_await (whom == For::duty ? duties_ : views_).run(std::move(read));
  if (!value) {
    co_return base::Error{value.error().code,
                          fmt::format("the data plane (sluice-dp) answered: {}", value.error().message)};
  }
  co_return value;
}

asio::awaitable<base::Result<config::DataplaneReport>> DpLink::report(For whom,
                                                                      std::chrono::milliseconds timeout,
                                                                      config::ReportRequest request) const {
  return query<config::DataplaneReport>(whom, std::move(request), &config::decode_report_reply, timeout);
}

asio::awaitable<base::Result<config::FlowList>> DpLink::flows(const config::FlowFilter& filter,
                                                              std::chrono::milliseconds timeout) const {
  return query<config::FlowList>(For::view, config::FlowsRequest{filter}, &config::decode_flows_reply,
                                 timeout);
}

asio::awaitable<base::Result<std::vector<config::FailureReport>>> DpLink::failures(
    std::chrono::milliseconds timeout) const {
  return query<std::vector<config::FailureReport>>(For::duty, config::FailuresRequest{},
                                                   &config::decode_failures_reply, timeout);
}

asio::awaitable<base::Result<config::Explanation>> DpLink::explain(const config::FiveTuple& tuple,
                                                                   std::chrono::milliseconds timeout) const {
  return query<config::Explanation>(For::view, config::ExplainRequest{tuple}, &config::decode_explain_reply,
                                    timeout);
}

asio::awaitable<base::Result<std::uint64_t>> DpLink::kill(const config::FlowFilter& filter,
                                                          std::chrono::milliseconds timeout) const {
  return query<std::uint64_t>(For::duty, config::KillRequest{filter}, &config::decode_kill_reply, timeout);
}

}  // namespace sluice::cp
