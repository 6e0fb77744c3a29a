#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <gtest/gtest.h>

#include "tools/replay/capture_reader.h"

namespace sluice::test {

struct CaptureRead {
  std::uint64_t frames = 0;
  bool refused = false;  ///< at its head, or at some frame
};

/// Reads all of a capture: nothing beyond its bytes, and frames that lie in it.
inline CaptureRead read_capture(std::span<const std::byte> bytes) {
  // Of exactly the size, so that a sanitizer sees a step beyond it.
  const auto exact = std::make_unique<std::byte[]>(bytes.size());
  std::ranges::copy(bytes, exact.get());
  auto reader = replay::CaptureReader::open({exact.get(), bytes.size()});
  if (!reader) return {.refused = true};
  for (CaptureRead read;;) {
    const auto frame = reader->next();
    read.refused = !frame;
    if (!frame || !*frame) return read;
    EXPECT_EQ((*frame)->number, ++read.frames);
    EXPECT_LT((*frame)->interface, reader->interfaces().size());
    EXPECT_LE((*frame)->bytes.size(), (*frame)->original_length);
    if (!(*frame)->bytes.empty()) {
      EXPECT_GE((*frame)->bytes.data(), exact.get());
      EXPECT_LE((*frame)->bytes.data() + (*frame)->bytes.size(), exact.get() + bytes.size());
    }
    EXPECT_LE(read.frames, bytes.size()) << "no frame takes no bytes";
    if (testing::Test::HasFailure()) return read;
  }
}

}  // namespace sluice::test
