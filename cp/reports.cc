#include "cp/reports.h"

#include <chrono>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "cp/turn.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
constexpr auto kAnswer = 2s;

}  // namespace

asio::awaitable<Reports::PicturePtr> Reports::fresh(bool with_report) const {
  auto picture = std::make_shared<Picture>();
  if (with_report) picture->report = co_await link_.report(DpLink::For::view, kAnswer);
  picture->controller = controller_.copy();
  co_return picture;
}

asio::awaitable<Reports::PicturePtr> Reports::recent() {
  while (taking_) co_await done_.async_wait(asio::as_tuple(asio::use_awaitable));
  if (recent_ && std::chrono::steady_clock::now() - taken_ < kRecent) co_return recent_;
  const Turn turn(taking_, &done_);
  recent_ = co_await fresh(true);
  taken_ = std::chrono::steady_clock::now();
  co_return recent_;
}

}  // namespace sluice::cp
