// Frames by the million through the packet path: nothing may crash, each ends in one verdict, and what leaves
// is right if what came was right (the Balancer fixture looks at every frame).
#include <algorithm>
#include <cstdio>

#include <gtest/gtest.h>

#include "test/fuzz/budget.h"
#include "test/fuzz/pipeline_driver.h"

namespace sluice::test {
namespace {

TEST(PipelineFuzz, RandomBytes) {
  Balancer b(cramped_options(1));
  b.configure(few_services());
  Dice dice(11);
  std::uint64_t frames = 0;
  std::array<std::uint64_t, 9> verdicts{};
  constexpr std::size_t kMost = 160;
  for (const Budget budget; budget.left();) {
    for (int round = 0; round < 200; ++round) {
      std::vector<Bytes> buffers(dp::kBurst);
      std::vector<dp::Packet> burst(dp::kBurst);
      for (std::size_t i = 0; i < burst.size(); ++i) {
        const std::size_t length = dice.below(kMost);
        Bytes& buffer = buffers[i];
        buffer.resize(Balancer::kHeadroom + length);
        for (std::size_t at = Balancer::kHeadroom; at < buffer.size(); ++at) buffer[at] = nasty(dice);
        // Most are made to look like IP to us, and stay random behind that.
        const std::size_t eth = Balancer::kHeadroom;
        if (length >= 14 && !dice.one_in(8)) {
          const base::Mac mac = Balancer::port_mac(0);
          std::copy_n(reinterpret_cast<const std::byte*>(mac.bytes.data()), 6, buffer.begin() + eth);
          const bool v6 = dice.one_in(2);
          buffer[eth + 12] = std::byte{static_cast<std::uint8_t>(v6 ? 0x86 : 0x08)};
          buffer[eth + 13] = std::byte{static_cast<std::uint8_t>(v6 ? 0xdd : 0x00)};
          if (v6 && length >= 54) {
            buffer[eth + 14] = std::byte{0x60};
            const auto vip = Net<Family::v6>::vip();
            std::copy_n(reinterpret_cast<const std::byte*>(vip.bytes.data()), 16, buffer.begin() + eth + 38);
            buffer[eth + 18] = std::byte{0};
            buffer[eth + 19] = std::byte(dice.below(static_cast<std::uint32_t>(length)));
            if (!dice.one_in(4)) buffer[eth + 20] = std::byte(dice.one_in(2) ? 6 : 17);
            if (length >= 58 && !dice.one_in(4)) {
              buffer[eth + 56] = std::byte{0};
              buffer[eth + 57] = std::byte{kPort};
            }
          } else if (!v6 && length >= 34) {
            buffer[eth + 14] = std::byte(0x40 | dice.below(16));
            buffer[eth + 16] = std::byte{0};
            buffer[eth + 17] = std::byte(dice.below(static_cast<std::uint32_t>(length)));
            const base::Be32 vip = Net<Family::v4>::vip().value;
            std::copy_n(reinterpret_cast<const std::byte*>(&vip), 4, buffer.begin() + eth + 30);
            if (dice.one_in(2)) buffer[eth + 20] = buffer[eth + 21] = std::byte{0};
            if (!dice.one_in(4)) buffer[eth + 14] = std::byte{0x45};
            if (!dice.one_in(4)) buffer[eth + 23] = std::byte(dice.one_in(2) ? 6 : 17);
            if (length >= 38 && !dice.one_in(4)) {
              buffer[eth + 36] = std::byte{0};
              buffer[eth + 37] = std::byte{kPort};
            }
          }
        }
        burst[i].bytes = std::span(buffer).subspan(Balancer::kHeadroom);
        burst[i].frame_length = static_cast<std::uint32_t>(length);
        burst[i].headroom = Balancer::kHeadroom;
      }
      dp::process_burst(burst, dp::Origin::port, b.snapshot(), b.worker(), b.now());
      for (const dp::Packet& p : burst) {
        ++verdicts[static_cast<std::size_t>(p.verdict)];
        ASSERT_NE(p.verdict, Verdict::pending);
        if (p.verdict == Verdict::drop || p.verdict == Verdict::reflect) {
          ASSERT_NE(p.reason, DropReason::none);
        }
      }
      frames += burst.size();
    }
    b.worker().fragments = {};  // the frames that it would have kept are gone
    b.advance(dice.below(3'000));
    expect_sound(b);
    if (HasFailure()) return;
  }
  expect_all_ends(b);
  const auto count = [&](Verdict v) {
    return static_cast<unsigned long long>(verdicts[static_cast<std::size_t>(v)]);
  };
  std::printf("%llu random frames: %llu forwarded, %llu reflected, %llu held, %llu punted, %llu dropped\n",
              static_cast<unsigned long long>(frames), count(Verdict::forward), count(Verdict::reflect),
              count(Verdict::hold), count(Verdict::punt), count(Verdict::drop));
}

class Sequences : public testing::TestWithParam<unsigned> {};

TEST_P(Sequences, OfFewFlows) {
  Dice dice(100 + GetParam());
  PipelineDriver driver(GetParam(), dice);
  for (const Budget budget(0.75); budget.left() && !HasFailure();) driver.step();
  driver.finish();
  const PipelineDriver::Totals totals = driver.totals();
  std::printf("%u workers: %llu frames of few flows, %llu handed over, %llu SYN cookies brought back\n",
              GetParam(), static_cast<unsigned long long>(totals.frames),
              static_cast<unsigned long long>(totals.handed_over),
              static_cast<unsigned long long>(totals.cookies_returned));
  EXPECT_GT(totals.cookies_returned, 0U);
}

INSTANTIATE_TEST_SUITE_P(PipelineFuzz, Sequences, testing::Values(1U, 2U, 3U, 4U));

}  // namespace
}  // namespace sluice::test
