#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include "base/fd.h"
#include "base/result.h"
#include "base/spsc_ring.h"

namespace sluice::vrrp {

/// Wakes one thread's event loop from another. Neither end ever waits.
class Wake {
 public:
  static base::Result<Wake> make() {
    base::Fd fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!fd) return base::system_error("eventfd", errno);
    return Wake(std::move(fd));
  }
  /// Thread: any.
  void ring() const noexcept {
    const std::uint64_t one = 1;
    // Fails only with the counter full, and then the other end is awake anyway.
    [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
  }
  /// Thread: the woken one's, before it looks what there is.
  void clear() const noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = ::read(fd_.get(), &count, sizeof count);
  }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  explicit Wake(base::Fd fd) noexcept : fd_(std::move(fd)) {}
  base::Fd fd_;
};

/// Messages from one thread to one other, which is woken. Nothing locks or allocates.
template <typename T, std::uint32_t kCapacity>
class Mailbox {
 public:
  using Message = T;

  static base::Result<std::unique_ptr<Mailbox>> make() {
    auto wake = Wake::make();
    if (!wake) return std::move(wake).error();
    return std::unique_ptr<Mailbox>(new Mailbox(*std::move(wake)));
  }
  /// Thread: the sender. False when it is full; `message` is then untouched.
  [[nodiscard]] bool put(T&& message) noexcept {
    if (!ring_.push(std::move(message))) return false;
    wake_.ring();
    return true;
  }
  /// Thread: the receiver.
  [[nodiscard]] std::optional<T> take() noexcept { return ring_.pop(); }
  [[nodiscard]] const Wake& wake() const noexcept { return wake_; }

 private:
  explicit Mailbox(Wake wake) noexcept : wake_(std::move(wake)) {}
  Wake wake_;
  base::SpscRing<T, kCapacity> ring_;
};

/// The sender's end of a mailbox whose messages must not be lost: what finds it full waits here. For threads
/// that may allocate.
template <typename Box>
class Outbox {
 public:
  explicit Outbox(Box& box) noexcept : box_(box) {}
  void put(typename Box::Message&& message) {
    queue(std::move(message));
    (void)flush();
  }
  /// Only flush() sends it.
  void queue(typename Box::Message&& message) { waiting_.push_back(std::move(message)); }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }
  /// Sends what waits; false while some of it has to wait on: call it again a little later.
  bool flush() {
    while (!waiting_.empty()) {
      if (!box_.put(std::move(waiting_.front()))) return false;
      waiting_.pop_front();
    }
    return true;
  }

 private:
  Box& box_;
  std::deque<typename Box::Message> waiting_;
};

}  // namespace sluice::vrrp
