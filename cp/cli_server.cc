#include "cp/cli_server.h"

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <variant>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "base/unix_socket.h"
#include "config/wire.h"
#include "cp/line_socket.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using asio::experimental::awaitable_operators::operator||;
using Local = asio::local::stream_protocol;
using boost::system::error_code;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kReplyTaken = CliServer::kIdle;

/// What all clients of a socket share; lives as long as any of them.
struct Shared {
  Requests& requests;
  Waiting& waiting;
  Access access;
  std::size_t clients = 0;
  std::size_t waiting_clients = 0;
};

/// One more for as long as it lives, however that ends.
class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  std::size_t& count_;
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

/// Who is at the other end, for the log.
std::string peer_of(Local::socket& socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return "somebody unknown";
  return fmt::format("uid {} (pid {})", peer.uid, peer.pid);
}

/// The reply to "wait"; none when the client does not wait for it any more.
asio::awaitable<std::optional<std::string>> wait_for(config::WaitRequest request, LineSocket& lines,
                                                     Shared& shared) {
  if (shared.waiting_clients >= CliServer::kMaxWaiting) {
    co_return config::encode_error_reply(
        fmt::format("{} clients wait already, and no more may at one time", shared.waiting_clients));
  }
  const Counted counted(shared.waiting_clients);
  const auto first = co_await (shared.waiting.until(std::move(request)) || lines.readable());
  if (first.index() == 1) co_return std::nullopt;
  const auto& outcome = std::get<0>(first);
  co_return outcome ? config::encode_done_reply(*outcome)
                    : config::encode_error_reply(outcome.error().message);
}

asio::awaitable<void> serve(Local::socket socket, std::shared_ptr<Shared> shared) {
  const std::string peer = peer_of(socket);
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
    auto request = config::decode_cp_request(*line);
    if (!request) {
      std::string reply = config::encode_error_reply(request.error().message);
      static_cast<void>(co_await lines.write_line(std::move(reply), kReplyTaken));
      co_return;
    }
    std::string reply;
    if (auto* wait = std::get_if<config::WaitRequest>(&*request)) {
      auto waited = co_await wait_for(std::move(*wait), lines, *shared);
      if (!waited) co_return;
      reply = *std::move(waited);
    } else {
      reply = co_await shared->requests.answer(*std::move(request), shared->access, peer);
    }
    const auto written = co_await lines.write_line(std::move(reply), kReplyTaken);
    if (!written) co_return;
  }
}

}  // namespace

base::Result<CliServer> CliServer::listen(const asio::any_io_executor& executor,
                                          const std::filesystem::path& path, Access access) {
  auto fd = base::listen_unix(path.string(), access == Access::admin ? 0660 : 0666);
  if (!fd) return fd.error();
  Acceptor acceptor(executor);
  error_code error;
  if (acceptor.assign(Local(), fd->get(), error)) {
    return base::system_error(fmt::format("socket \"{}\"", path.string()), error.value());
  }
  static_cast<void>(fd->release());
  return CliServer(std::move(acceptor), path, access);
}

CliServer::~CliServer() {
  if (acceptor_.is_open()) ::unlink(path_.c_str());
}

asio::awaitable<void> CliServer::run(Requests& requests, Waiting& waiting) {
  const std::shared_ptr<Shared> shared(new Shared{requests, waiting, access_});
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer pause(executor);
  for (;;) {
    if (shared->clients >= kMaxClients) {
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
    ++shared->clients;
    asio::co_spawn(executor, serve(std::move(socket), shared), [shared](std::exception_ptr error) {
      --shared->clients;
      if (error) base::log::error("a request could not be answered: {}", what_of(error));
    });
  }
}

}  // namespace sluice::cp
