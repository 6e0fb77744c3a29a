#include "base/siphash.h"

#include <vector>

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

/// The key 00 01 .. 0f and the message 00 01 .. n-1 of the paper's appendix A and its reference code.
std::uint64_t of_pattern(std::size_t n) {
  const SipKey key{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
  std::vector<std::byte> message(n);
  for (std::size_t i = 0; i < n; ++i) message[i] = static_cast<std::byte>(i);
  return siphash(key, message);
}

TEST(SipHash, VectorsOfThePaper) {
  EXPECT_EQ(of_pattern(0), 0x726fdb47dd0e0e31U);
  EXPECT_EQ(of_pattern(1), 0x74f839c593dc67fdU);
  EXPECT_EQ(of_pattern(8), 0x93f5f5799a932462U);
  EXPECT_EQ(of_pattern(15), 0xa129ca6149be45e5U) << "appendix A";
}

}  // namespace
}  // namespace sluice::base
