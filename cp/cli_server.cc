#include "cp/cli_server.h"

#include <chrono>
#include <exception>
#include <string>
#include <unistd.h>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "base/unix_socket.h"
#include "cp/show_answer.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;
using boost::system::error_code;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kReplyTaken = CliServer::kIdle;

/// What all clients share; lives as long as run().
struct Shared {
  Controller& controller;
  DpLink& link;
  ProcessView process;
  TimePoint started;
  std::size_t clients = 0;
};

std::string what_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& thrown) {
    return thrown.what();
  } catch (...) {
    return "unknown reason";
  }
}

asio::awaitable<void> serve(Local::socket socket, Shared& shared) {
  LineSocket lines(std::move(socket), CliServer::kMaxRequest);
  for (;;) {
    const auto line = co_await lines.read_line(CliServer::kIdle);
    if (!line) {
      // The other side went, or has been silent: nothing to say. Too long a line is told of, then the end.
      if (line.error().code == base::ErrorCode::invalid) {
        std::string reply = config::encode_error_reply(line.error().message);
        static_cast<void>(co_await lines.write_line(std::move(reply), kReplyTaken));
      }
      co_return;
    }
    const auto request = config::decode_cp_request(*line);
    if (!request) {
      std::string reply = config::encode_error_reply(request.error().message);
      static_cast<void>(co_await lines.write_line(std::move(reply), kReplyTaken));
      co_return;
    }
    std::string reply;
    if (const auto* show = std::get_if<config::ShowRequest>(&*request)) {
      reply = co_await answer(*show, shared.controller, shared.link, shared.process, shared.started);
    } else {
      reply = config::encode_error_reply("this control plane only shows");
    }
    const auto written = co_await lines.write_line(std::move(reply), kReplyTaken);
    if (!written) co_return;
  }
}

}  // namespace

base::Result<CliServer> CliServer::listen(const asio::any_io_executor& executor,
                                          const std::filesystem::path& path) {
  auto fd = base::listen_unix(path.string(), 0660);
  if (!fd) return fd.error();
  Acceptor acceptor(executor);
  error_code error;
  if (acceptor.assign(Local(), fd->get(), error)) {
    return base::system_error(fmt::format("socket \"{}\"", path.string()), error.value());
  }
  static_cast<void>(fd->release());
  return CliServer(std::move(acceptor), path);
}

CliServer::~CliServer() {
  if (acceptor_.is_open()) ::unlink(path_.c_str());
}

asio::awaitable<void> CliServer::run(Controller& controller, DpLink& link, ProcessView process) {
  Shared shared{controller, link, std::move(process), std::chrono::steady_clock::now()};
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer pause(executor);
  for (;;) {
    if (shared.clients >= kMaxClients) {
      // Crowded: the others wait in the kernel's queue; idle ones leave after kIdle.
      pause.expires_after(50ms);
      co_await pause.async_wait(kAsTuple);
      continue;
    }
    auto [error, socket] = co_await acceptor_.async_accept(kAsTuple);
    if (error) {  // out of descriptors, most likely: not to be asked again in a tight loop
      base::log::warn("socket \"{}\": accept: {}", path_.string(), error.message());
      pause.expires_after(1s);
      co_await pause.async_wait(kAsTuple);
      continue;
    }
    ++shared.clients;
    asio::co_spawn(executor, serve(std::move(socket), shared), [&shared](std::exception_ptr error) {
      --shared.clients;
      if (error) base::log::error("a request could not be answered: {}", what_of(error));
    });
  }
}

}  // namespace sluice::cp
