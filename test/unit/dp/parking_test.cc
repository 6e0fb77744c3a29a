#include "dp/parking.h"

#include <array>
#include <memory>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

TEST(Parking, HoldsSoManyAndNoMore) {
  const auto mbufs = std::make_unique<std::array<rte_mbuf, Parking::kPlaces + 1>>();
  std::array<Parking::Place, Parking::kPlaces> out;
  Parking parking;
  for (unsigned round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; i < Parking::kPlaces; ++i)
      EXPECT_TRUE(parking.put(&(*mbufs)[i], base::Tick{i}));
    EXPECT_FALSE(parking.put(&mbufs->back(), base::Tick{1'000}))
        << "whose packet it is, is the caller's again";
    EXPECT_EQ(parking.size(), Parking::kPlaces);
    ASSERT_EQ(parking.take_all(out), Parking::kPlaces);
    EXPECT_EQ(parking.size(), 0U);
    for (std::uint32_t i = 0; i < Parking::kPlaces; ++i) {
      EXPECT_EQ(out[i].mbuf, &(*mbufs)[i]) << "oldest first";
      EXPECT_EQ(out[i].since, base::Tick{i});
    }
  }
}

}  // namespace
}  // namespace sluice::dp
