// Adverts from strangers, one after the other, heard by one virtual router: see advert_driver.h.
#include <cstdint>
#include <cstdlib>

#include "test/fuzz/advert_driver.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::test::InputChoices choices({data, size});
  sluice::test::AdvertDriver driver(choices);
  while (!choices.spent() && !testing::Test::HasFailure()) (void)driver.step();
  if (testing::Test::HasFailure()) std::abort();
  return 0;
}
