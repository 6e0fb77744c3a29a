#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "test/packet_check.h"

/// For EXPECT_TRUE: a failure prints the packets in words.
namespace sluice::test {

/// Both frames are equal byte by byte.
[[nodiscard]] inline testing::AssertionResult same(std::span<const std::byte> got,
                                                   std::span<const std::byte> want) {
  const std::string text = difference(got, want);
  return text.empty() ? testing::AssertionSuccess() : testing::AssertionFailure() << '\n' << text;
}

/// check() finds nothing wrong.
[[nodiscard]] inline testing::AssertionResult valid(std::span<const std::byte> frame) {
  if (check(frame).empty()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << describe(frame) << '\n' << hex_dump(frame);
}

}  // namespace sluice::test
