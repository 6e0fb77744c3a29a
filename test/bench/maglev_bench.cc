#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "dp/maglev.h"

namespace {

/// Reference: 1.8 ms for 65,537 slots and 100 backends (Maglev paper, §5.3).
void build(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bool weighted = state.range(1) != 0;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back("server" + std::to_string(i));
  std::vector<sluice::dp::MaglevBackend> backends;
  for (std::size_t i = 0; i < count; ++i) {
    backends.push_back({names[i], weighted ? static_cast<std::uint32_t>(1 + i % 256) : 100});
  }
  for (auto _ : state) benchmark::DoNotOptimize(sluice::dp::build_maglev(backends));
}
BENCHMARK(build)
    ->ArgNames({"backends", "weighted"})
    ->Unit(benchmark::kMillisecond)
    ->ArgsProduct({{1, 10, 100, 1000}, {0, 1}});

}  // namespace

BENCHMARK_MAIN();
