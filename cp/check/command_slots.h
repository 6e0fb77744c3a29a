#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace sluice::cp {

/// The right to run an external command: so many may run at one time, the others wait their turn, first come,
/// first served, and no check of another kind waits for them. A handle: copies share the places. Thread: one.
class CommandSlots {
  struct State {
    State(boost::asio::any_io_executor executor, std::size_t most)
        : free(most), turn(std::move(executor), boost::asio::steady_timer::time_point::max()) {}
    std::size_t free;
    std::size_t waiting = 0;
    boost::asio::steady_timer turn;  ///< never expires; cancelled once for each place that is handed on
  };

 public:
  static constexpr std::size_t kMost = 32;

  explicit CommandSlots(boost::asio::any_io_executor executor, std::size_t most = kMost)
      : state_(std::make_shared<State>(std::move(executor), most)) {}

  /// A place; hands it on when destroyed.
  class Slot {
   public:
    explicit Slot(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
    Slot(Slot&&) noexcept = default;
    Slot& operator=(Slot&&) = delete;
    ~Slot();

   private:
    std::shared_ptr<State> state_;
  };

  /// Waits for a place.
  boost::asio::awaitable<Slot> acquire();

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sluice::cp
