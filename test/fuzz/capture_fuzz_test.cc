// Captures from strangers: whatever the bytes, each is frames, then an end or a refusal; nothing beyond them
// is read (they end where their memory ends), and reading comes to an end.
#include <algorithm>
#include <cstdio>

#include <gtest/gtest.h>

#include "test/fuzz/budget.h"
#include "test/fuzz/capture_driver.h"
#include "test/fuzz/choices.h"
#include "test/unit/replay/capture_bytes.h"

namespace sluice::test {
namespace {

using replay::test::Bytes;
using replay::test::CaptureBytes;

Bytes any_capture(Dice& dice) {
  const bool big_endian = dice.one_in(2);
  CaptureBytes capture(big_endian);
  const std::string frame(dice.below(70), 'f');
  if (dice.one_in(3)) {
    capture.file_header(dice.one_in(2) ? 0xa1b2c3d4 : 0xa1b23c4d);
    for (std::uint32_t n = dice.below(4); n > 0; --n) capture.record(n, n, frame);
    return capture.bytes();
  }
  capture.section();
  for (std::uint32_t n = dice.below(10); n > 0; --n) {
    CaptureBytes body(big_endian);
    switch (dice.below(6)) {
      case 0: capture.section(); break;
      case 1: capture.interface(std::string(dice.below(9), 'i'), dice.below(80)); break;
      case 2: capture.block(3, body.u32(dice.below(80)).text(frame).pad()); break;
      case 3:
        capture.block(2, body.u16(0).u16(0).u32(0).u32(n).u32(dice.below(80)).u32(80).text(frame).pad());
        break;
      case 4: capture.block(static_cast<std::uint32_t>(dice.next()), body.text(frame).pad()); break;
      default: capture.enhanced(dice.below(3), dice.next() >> dice.below(64), frame); break;
    }
  }
  return capture.bytes();
}

void damage(Bytes& bytes, Dice& dice) {
  for (std::uint32_t n = dice.below(5); n > 0 && !bytes.empty(); --n) {
    const std::size_t at = dice.below(static_cast<std::uint32_t>(bytes.size()));
    const auto where = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (dice.below(5)) {
      case 0: bytes[at] = static_cast<std::byte>(dice.next()); break;
      case 1: bytes[at] ^= std::byte{1} << dice.below(8); break;
      case 2: bytes.resize(at); break;
      case 3: bytes.insert(where, dice.below(9), std::byte{0xff}); break;
      default: bytes.erase(where, std::min(where + dice.below(9), bytes.end())); break;
    }
  }
}

TEST(CaptureFuzz, EachIsFramesAndAnEndOrARefusal) {
  Dice dice(5);
  std::uint64_t captures = 0, frames = 0, refused = 0;
  for (const Budget budget(0.2); budget.left() && !HasFailure();) {
    for (int round = 0; round < 2'000; ++round, ++captures) {
      Bytes bytes = any_capture(dice);
      damage(bytes, dice);
      const CaptureRead read = read_capture(bytes);
      frames += read.frames;
      refused += read.refused;
    }
  }
  std::printf("%llu captures, %llu frames, %llu refused\n", static_cast<unsigned long long>(captures),
              static_cast<unsigned long long>(frames), static_cast<unsigned long long>(refused));
  EXPECT_GT(frames, 0U);
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace sluice::test
