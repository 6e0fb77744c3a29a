#include "cp/check/check_clock.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice::cp {

namespace asio = boost::asio;

asio::awaitable<void> CheckClock::run_out() {
  while (std::chrono::steady_clock::now() < due_)
    co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
}

}  // namespace sluice::cp
