#include <boost/asio/this_coro.hpp>

#include "cp/check/connection.h"
#include "cp/check/probes.h"

namespace sluice::cp {

namespace asio = boost::asio;

asio::awaitable<CheckResult> probe_tcp(const CheckTarget& target, CheckResult& if_late, CheckClock& clock) {
  CheckConnection connection(co_await asio::this_coro::executor);
  if_late.status = CheckStatus::l4_timeout;
  clock.connecting();
  const Ending ending = target.check.linger ? Ending::finish : Ending::reset;
  co_return co_await connection.connect(target.endpoint, ending);
}

asio::awaitable<CheckResult> probe_tls(const CheckTarget& target, CheckResult& if_late, CheckClock& clock) {
  CheckConnection connection(co_await asio::this_coro::executor);
  if_late.status = CheckStatus::l4_timeout;
  clock.connecting();
  CheckResult result = co_await connection.connect(target.endpoint, Ending::reset);
  if (!result.passed()) co_return result;
  if_late.status = CheckStatus::l6_timeout;
  result = co_await connection.start_tls(*target.tls, target.tls_name);
  co_return result;
}

}  // namespace sluice::cp
