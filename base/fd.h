#pragma once

#include <unistd.h>
#include <utility>

namespace sluice::base {

/// Owns a file descriptor; closes it when it goes.
class Fd {
 public:
  Fd() noexcept = default;
  /// Takes over `fd`; a negative one means none (what a failed system call returned).
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Gives the descriptor away, unclosed.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);  // on Linux the descriptor is gone even after EINTR
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace sluice::base
