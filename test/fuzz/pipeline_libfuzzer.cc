// Coverage-guided fuzzing of the packet path, by hand:
//   CXX=clang++ CC=clang meson setup build-fuzz -Db_sanitize=address,undefined -Db_lundef=false
//   ninja -C build-fuzz test/fuzz/pipeline_libfuzzer && build-fuzz/test/fuzz/pipeline_libfuzzer -max_len=400
// The input is a sequence of frames, each after one byte of length.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

void run(const std::uint8_t* data, std::size_t size) {
  Balancer::Options options;
  options.limits.flows_per_worker = 16;
  options.limits.half_open_per_worker = 8;
  Balancer b(options);
  b.configure({web<Family::v4>(2), dns<Family::v4>(2)});
  while (size > 1) {
    const std::size_t length = std::min<std::size_t>(data[0], size - 1);
    const auto* bytes = reinterpret_cast<const std::byte*>(data + 1);
    (void)b.send(Bytes(bytes, bytes + length));
    data += length + 1;
    size -= length + 1;
  }
}

}  // namespace
}  // namespace sluice::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::test::run(data, size);
  if (testing::Test::HasFailure()) std::abort();
  return 0;
}
