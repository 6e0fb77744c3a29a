// Adverts from strangers: whatever the bytes, each is a value or a refusal, nothing beyond them is read (they
// end where their memory ends), what was refused changes nothing, and what was taken means what it says.
#include <array>
#include <cstdio>

#include <gtest/gtest.h>

#include "test/fuzz/advert_driver.h"
#include "test/fuzz/budget.h"

namespace sluice::test {
namespace {

TEST(AdvertFuzz, EachIsAValueOrARefusal) {
  Dice dice(7);
  AdvertDriver driver(dice);
  std::array<std::uint64_t, vrrp::kRefusals> refused{};
  std::uint64_t taken = 0;
  for (const Budget budget(0.2); budget.left() && !HasFailure();) {
    for (int round = 0; round < 10'000; ++round) {
      const auto refusal = driver.step();
      refusal ? ++refused[static_cast<std::size_t>(*refusal)] : ++taken;
    }
  }
  std::printf("%llu adverts taken; refused:", static_cast<unsigned long long>(taken));
  for (std::size_t i = 0; i < refused.size(); ++i) {
    const auto refusal = static_cast<Refusal>(i);
    std::printf(" %.*s %llu", static_cast<int>(vrrp::name(refusal).size()), vrrp::name(refusal).data(),
                static_cast<unsigned long long>(refused[i]));
    EXPECT_GT(refused[i], 0U) << vrrp::name(refusal);
  }
  std::printf("\n");
  EXPECT_GT(taken, 0U);
}

}  // namespace
}  // namespace sluice::test
