#pragma once

#include <boost/asio/steady_timer.hpp>

namespace sluice::cp {

/// Somebody's turn at what only one does at a time: taken for as long as this lives, however that ends (a
/// coroutine may throw, or be cancelled); then those who wait for it are told. Thread: one.
class Turn {
 public:
  /// Pre: nobody has it.
  explicit Turn(bool& taken, boost::asio::steady_timer* waiting = nullptr)
      : taken_(taken), waiting_(waiting) {
    taken_ = true;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    taken_ = false;
    if (waiting_ != nullptr) waiting_->cancel();
  }

 private:
  bool& taken_;
  boost::asio::steady_timer* waiting_;
};

}  // namespace sluice::cp
