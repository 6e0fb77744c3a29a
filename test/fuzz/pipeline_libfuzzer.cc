// Sequences of frames, time and changes through the packet path (pipeline_driver.h). The input is records of
// InputChoices::kRecord bytes: the first one says how many workers there are, each other one decides a step.
// Mutations work on records, so that what they change in one step leaves the others as they are.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "test/fuzz/pipeline_driver.h"

using sluice::test::Dice;
using sluice::test::InputChoices;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

constexpr std::size_t kRecord = InputChoices::kRecord;
using Record = std::array<std::uint8_t, kRecord>;

std::vector<Record> records_of(const std::uint8_t* data, std::size_t size) {
  std::vector<Record> records((size + kRecord - 1) / kRecord);
  if (size != 0) std::memcpy(records.data(), data, size);
  return records;
}

std::size_t write(const std::vector<Record>& records, std::uint8_t* out, std::size_t room) {
  const std::size_t size = std::min(records.size(), room / kRecord) * kRecord;
  if (size != 0) std::memcpy(out, records.data(), size);
  return size;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  Dice dice(seed);
  std::vector<Record> records = records_of(data, size);
  const auto any = [&] { return dice.below(static_cast<std::uint32_t>(records.size())); };
  const auto at = [&](std::size_t n) { return records.begin() + static_cast<std::ptrdiff_t>(n); };
  if (records.empty()) records.emplace_back();
  for (std::uint32_t changes = 1 + dice.below(3); changes > 0; --changes) {
    switch (dice.below(6)) {
      case 0: {
        Record fresh{};
        for (std::size_t i = dice.below(kRecord + 1); i > 0; --i) fresh[i - 1] = std::uint8_t(dice.next());
        records.insert(at(any() + 1), fresh);
        break;
      }
      case 1: {
        const Record copy = records[any()];
        records.insert(at(any() + 1), copy);
        break;
      }
      case 2:
        if (records.size() > 1) records.erase(at(any()));
        break;
      case 3: std::swap(records[any()], records[any()]); break;
      default: LLVMFuzzerMutate(records[any()].data(), kRecord, kRecord); break;
    }
  }
  return write(records, data, max_size);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* data1, std::size_t size1,
                                                 const std::uint8_t* data2, std::size_t size2,
                                                 std::uint8_t* out, std::size_t max_out_size, unsigned seed) {
  Dice dice(seed);
  std::vector<Record> records = records_of(data1, size1);
  const std::vector<Record> others = records_of(data2, size2);
  records.resize(dice.below(static_cast<std::uint32_t>(records.size()) + 1));
  const std::size_t from = dice.below(static_cast<std::uint32_t>(others.size()) + 1);
  records.insert(records.end(), others.begin() + static_cast<std::ptrdiff_t>(from), others.end());
  return write(records, out, max_out_size);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto choices = InputChoices::of_records({data, size});
  const unsigned workers = 1 + choices.below(4);
  {
    sluice::test::PipelineDriver driver(workers, choices);
    while (choices.begin_record() && !testing::Test::HasFailure()) driver.step();
    if (!testing::Test::HasFailure()) driver.finish();
  }
  if (testing::Test::HasFailure()) std::abort();
  return 0;
}
