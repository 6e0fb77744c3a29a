#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "cp/check/connection.h"
#include "cp/check/dns_message.h"
#include "cp/check/probes.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using Udp = asio::ip::udp;
using boost::system::error_code;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
/// Datagrams that are not what was asked for are passed over, but not for ever.
constexpr int kMostDatagrams = 64;
/// Of a datagram.
constexpr std::size_t kMostBytes = 65'536;

CheckResult of(CheckStatus status, std::string info) {
  CheckResult result;
  result.status = status;
  result.info = shortened(std::move(info));
  return result;
}

/// A datagram was refused (ICMP), or could not be sent.
CheckResult failed(const error_code& error) {
  return of(is_our_lack(error) ? CheckStatus::socket_error : CheckStatus::l4_refused, error.message());
}

/// A connected UDP socket: it hears of ICMP errors, and of nobody else's datagrams.
class DatagramSocket {
 public:
  explicit DatagramSocket(asio::any_io_executor executor)
      : socket_(std::move(executor)), buffer_(std::make_unique_for_overwrite<char[]>(kMostBytes)) {}

  asio::awaitable<error_code> ask(base::Endpoint endpoint, std::string_view bytes) {
    const Udp::endpoint target(to_asio(endpoint.address), endpoint.port);
    error_code error;
    if (socket_.open(target.protocol(), error)) co_return error;
    if (socket_.connect(target, error)) co_return error;
    std::size_t sent = 0;
    std::tie(error, sent) = co_await socket_.async_send(asio::buffer(bytes.data(), bytes.size()), kAsTuple);
    co_return error;
  }

  /// Post: received() is the next datagram.
  asio::awaitable<error_code> receive() {
    error_code error;
    std::tie(error, length_) =
        co_await socket_.async_receive(asio::buffer(buffer_.get(), kMostBytes), kAsTuple);
    co_return error;
  }
  [[nodiscard]] std::string_view received() const noexcept { return {buffer_.get(), length_}; }

 private:
  Udp::socket socket_;
  std::unique_ptr<char[]> buffer_;
  std::size_t length_ = 0;
};

/// Hard to guess for whoever would answer in the server's place.
std::uint16_t random_id() {
  std::random_device device;
  return static_cast<std::uint16_t>(device());
}

}  // namespace

asio::awaitable<CheckResult> probe_udp(const CheckTarget& target, CheckResult& if_late) {
  DatagramSocket socket(co_await asio::this_coro::executor);
  if_late.status = CheckStatus::l7_timeout;
  error_code error = co_await socket.ask(target.endpoint, target.check.send);
  if (!error) error = co_await socket.receive();
  if (error) co_return failed(error);
  if (!target.expect || target.expect->found_in(socket.received()) != target.expect->negated())
    co_return of(CheckStatus::l7_ok, {});
  co_return of(CheckStatus::l7_invalid,
               target.expect->negated() ? "the answer holds what it must not" : "the answer did not match");
}

asio::awaitable<CheckResult> probe_dns(const CheckTarget& target, CheckResult& if_late) {
  const std::uint16_t id = random_id();
  const auto query = dns_query(id, target.check.query, target.check.query_type);
  if (!query) co_return of(CheckStatus::socket_error, query.error().message);
  DatagramSocket socket(co_await asio::this_coro::executor);
  if_late.status = CheckStatus::l7_timeout;
  error_code error = co_await socket.ask(target.endpoint, *query);
  if (error) co_return failed(error);
  for (int i = 0; i < kMostDatagrams; ++i) {
    error = co_await socket.receive();
    if (error) co_return failed(error);
    const auto rcode = dns_rcode(socket.received(), id);
    if (!rcode) {  // a late answer to an earlier question, perhaps
      if_late = of(CheckStatus::l7_invalid, "no answer to the question came, but something else");
      continue;
    }
    CheckResult result =
        of(*rcode == 0 ? CheckStatus::l7_ok : CheckStatus::l7_wrong_status, dns_rcode_name(*rcode));
    result.answer_code = *rcode;
    co_return result;
  }
  co_return if_late;
}

}  // namespace sluice::cp
