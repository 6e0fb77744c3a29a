#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice::cp {

/// A thread beside the control plane's one, for what takes long and needs nothing but its own values: reading
/// and writing JSON of thousands of servers, which would hold up the checks for as long. One piece of work
/// after the other. Thread: the io_context's one.
class SideThread {
 public:
  /// Returns what `work()` does. Pre: `work` owns all that it reads and writes, or has it as const that
  /// nobody changes; `work` does not throw.
  template <typename Work>
  boost::asio::awaitable<std::invoke_result_t<Work>> run(Work work) {
    using Result = std::invoke_result_t<Work>;
    // Asio wants values that can be made of nothing.
    auto there = [work = std::move(work)]() mutable -> boost::asio::awaitable<std::optional<Result>> {
      co_return std::optional<Result>(work());
    };
    std::optional<Result> result =
        co_await boost::asio::co_spawn(*pool_, std::move(there), boost::asio::use_awaitable);
    co_return *std::move(result);
  }
  /// Returns when what runs has ended; what waits is dropped, and who waits for it destroyed. Nothing may be
  /// asked for afterwards.
  void end() { pool_.reset(); }

 private:
  std::optional<boost::asio::thread_pool> pool_{std::in_place, 1};
};

}  // namespace sluice::cp
