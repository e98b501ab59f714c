#include "swarm/timer_heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "tests/support/seeded_random.hpp"

namespace sealcast::swarm {
namespace {

TEST(TimerHeap, TheEarliestIsFirstWhateverMoves) {
  test::SeededRandom random(3);
  TimerHeap heap;
  std::array<Timed, 50> all;
  std::array<Instant, 50> wanted;
  wanted.fill(k_never);
  for (int i = 0; i < 20000; ++i) {
    auto n = random.u32() % all.size();
    auto kind = random.u32() % 5;
    wanted[n] = kind == 0 ? k_never : Instant(Duration(random.u32() % 100));
    if (kind == 1) {
      wanted[n] = k_never;
      heap.remove(all[n]);
    } else {
      heap.set(all[n], wanted[n]);
    }
    EXPECT_EQ(all[n].due, wanted[n]);
    ASSERT_EQ(heap.next(), *std::min_element(wanted.begin(), wanted.end()));
  }
  for (auto* first = heap.first(); first; first = heap.first()) heap.remove(*first);
  EXPECT_EQ(heap.next(), k_never);
  for (auto& each : all) EXPECT_EQ(each.place, SIZE_MAX);
}

}  // namespace
}  // namespace sealcast::swarm
