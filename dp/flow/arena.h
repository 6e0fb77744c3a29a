#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace sluice::dp {

/// Zeroed memory of its own mapping, hugepages beneath it where the kernel has some to give (a flow table is
/// visited at random: with 4 KiB pages nearly every visit misses the TLB). Released with the object. Thread:
/// owner.
class Arena {
 public:
  Arena() noexcept = default;
  /// Errors: exhausted, naming `what` and the size.
  static base::Result<Arena> map(std::size_t bytes, std::string_view what);
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Pre: the arena holds `count` objects of T from `offset` on; T is valid when all bytes are zero.
  template <typename T>
  [[nodiscard]] std::span<T> view(std::size_t offset, std::size_t count) const noexcept {
    return {reinterpret_cast<T*>(static_cast<std::byte*>(base_) + offset), count};
  }

 private:
  void* base_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sluice::dp
