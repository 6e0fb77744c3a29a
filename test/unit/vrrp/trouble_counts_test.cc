#include "vrrp/trouble_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::vrrp {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using testing::IsEmpty;

TEST(TroubleCounts, CountWhatComesNotWhatStays) {
  TroubleCounts counts;
  counts.see({});
  EXPECT_THAT(counts.all(), IsEmpty());
  counts.see({{"link", "lan has no link", 0}});
  counts.see({{"link", "lan has no link", 0}, {"script", "chk exits with 1", 0}});
  counts.see({{"script", "chk exits with 2", 0}, {"script", "other was ended by signal 9", 0}});
  EXPECT_THAT(counts.all(), ElementsAre(FieldsAre("link", 1), FieldsAre("script", 2)));
  counts.see({});
  counts.see({{"link", "lan has no link", 0}});
  EXPECT_THAT(counts.all(), ElementsAre(FieldsAre("link", 2), FieldsAre("script", 2)));
}

}  // namespace
}  // namespace sluice::vrrp
