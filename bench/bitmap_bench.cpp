// Bitmaps of a content of 1 GiB: what the picker asks of them.
#include <benchmark/benchmark.h>

#include "content/bitmap.hpp"

namespace sealcast {
namespace {

constexpr std::uint32_t k_chunks = (1u << 30) / 1152 + 1;

content::Bitmap every_other_run() {
  content::Bitmap out(k_chunks);
  for (std::uint32_t i = 0; i + 63 < k_chunks; i += 64) out.set(content::ChunkRange{i, i + 31});
  return out;
}

void test_runs(benchmark::State& state) {
  const auto map = every_other_run();
  std::uint32_t run = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(map.test(content::ChunkRange{run, run + 31}));
    run = run + 64 < k_chunks ? run + 32 : 0;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void all_ranges(benchmark::State& state) {
  const auto map = every_other_run();
  for (auto _ : state) benchmark::DoNotOptimize(map.ranges());
}

void set_and_reset(benchmark::State& state) {
  content::Bitmap map(k_chunks);
  std::uint32_t at = 0;
  for (auto _ : state) {
    map.set(content::ChunkRange{at, at + 31});
    map.reset(at);
    at = at + 64 < k_chunks ? at + 32 : 0;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

BENCHMARK(test_runs);
BENCHMARK(all_ranges)->Unit(benchmark::kMicrosecond);
BENCHMARK(set_and_reset);

}  // namespace
}  // namespace sealcast
