#include "swarm/range_set.hpp"

#include <gtest/gtest.h>

#include "content/bitmap.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::swarm {
namespace {

using content::Bitmap;
using content::ChunkRange;

TEST(RangeSet, SaysWhatABitmapSays) {
  constexpr std::uint32_t k_chunks = 300;
  test::SeededRandom random(5);
  RangePool pool;
  RangeSet set(pool);
  Bitmap bits(k_chunks);
  for (int i = 0; i < 20000; ++i) {
    auto a = random.u32() % k_chunks, b = std::min(a + random.u32() % (i % 100 == 0 ? 200 : 6), k_chunks - 1);
    ChunkRange range{a, b};
    if (random.u32() % 2 != 0) {
      EXPECT_EQ(set.add(range), !bits.test(range));
      bits.set(range);
    } else {
      set.remove(range);
      bits.reset(range);
    }
    auto c = random.u32() % k_chunks, d = std::min(c + random.u32() % 9, k_chunks - 1);
    ASSERT_EQ(set.contains({c, d}), bits.test({c, d}));
    ASSERT_EQ(set.overlaps({c, d}), bits.test_any({c, d}));
    ASSERT_EQ(set.next(c).value_or(k_chunks), bits.next_set(c));
    ASSERT_EQ(set.intervals(), bits.ranges().size());
    std::vector<ChunkRange> parts;
    set.each_in({0, k_chunks - 1}, [&](ChunkRange part) {
      parts.push_back(part);
      return true;
    });
    ASSERT_EQ(parts, bits.ranges());
  }
}

TEST(RangeSet, TheLastChunkThatANumberCanNameIsNoSpecialCase) {
  RangePool pool;
  RangeSet set(pool);
  EXPECT_TRUE(set.add({UINT32_MAX - 1, UINT32_MAX}));
  EXPECT_TRUE(set.add({0, UINT32_MAX}));
  EXPECT_EQ(set.intervals(), 1u);
  set.remove({5, UINT32_MAX});
  EXPECT_TRUE(set.contains({0, 4}));
  EXPECT_FALSE(set.next(5));
}

TEST(RangeSet, MemoryIsBoundedForOneAndForAllAndNobodyLosesWhatIsGuaranteed) {
  RangePool pool;
  pool.guaranteed = 4, pool.of_one = 20, pool.most = 24;
  {
    RangeSet greedy(pool), second(pool), late(pool);
    for (auto* set : {&greedy, &second, &late})
      for (std::uint32_t i = 0; i < 100; ++i) set->add({i * 2, i * 2});
    EXPECT_EQ(greedy.intervals(), 20u);
    EXPECT_EQ(second.intervals(), 12u);  // 4 and what the first one left
    EXPECT_EQ(late.intervals(), 4u);
    EXPECT_TRUE(late.add({0, 100}));  // what needs no room is taken
    EXPECT_EQ(late.intervals(), 1u);
    greedy.remove({0, 1000});
    EXPECT_TRUE(second.add({900, 900}));
    second.prune([](ChunkRange range) { return range.first < 10; });
    EXPECT_FALSE(second.contains(8));
    EXPECT_TRUE(second.contains(10));
  }
  EXPECT_EQ(pool.used, 0u);
}

TEST(RangeSet, ALongRangeCostsNoMoreThanAShortOne) {
  RangePool pool;
  RangeSet set(pool);
  for (std::uint32_t i = 0; i < 1000; ++i) set.add({i * 1000000, i * 1000000});
  for (ChunkRange range : {ChunkRange{0, 0}, ChunkRange{0, 999999}, ChunkRange{7, 999998}}) {
    auto before = pool.work.steps;
    set.add(range);
    set.contains({0, 4000000000u});
    EXPECT_LE(pool.work.steps - before, 40u);
  }
}

}  // namespace
}  // namespace sealcast::swarm
