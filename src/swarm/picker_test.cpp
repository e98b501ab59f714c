// The picker's rules, each alone: no engine, no datagrams.
#include "swarm/picker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/seeded_random.hpp"

namespace sealcast::swarm {
namespace {

using content::ChunkRange;
namespace bin = content::bin;

class PickerTest : public testing::Test {
 protected:
  static constexpr std::uint32_t k_chunks = 320;  // ten whole runs
  // What is asked for, in order.
  std::vector<ChunkRange> search(Source& source, std::uint64_t steps = 100000) {
    std::vector<ChunkRange> out;
    spent = picker.search(
        now, source, steps, [&] { return allowed-- > 0; }, [&](const RunFetch& fetch) { out.push_back(fetch.range); });
    picker.check(sources);
    return out;
  }
  void has(Source& source, ChunkRange range) {
    if (source.has.add(range)) picker.has(source, range);
  }
  static ChunkRange run(std::uint32_t n) { return {n * 32, n * 32 + 31}; }

  RangePool pool;
  Runs runs{*content::Geometry::make(k_chunks * 1152, 1152)};
  content::Bitmap held{k_chunks};
  Picker picker{runs, held, pool.work};
  Source a{pool}, b{pool}, c{pool};
  std::vector<const Source*> sources{&a, &b, &c};
  Instant now{1s};
  std::uint64_t spent = 0;
  int allowed = 1 << 30;
};

TEST_F(PickerTest, GoesOnFromWhereItWasAndRoundTheEnd) {
  a.has.add({0, k_chunks - 1});
  a.cursor = 8;
  a.window = 3;
  EXPECT_EQ(search(a), (std::vector{run(8), run(9), run(0)}));
}

// A bitmap comes after the search has been tried: it begins where chance put it all the same.
TEST_F(PickerTest, BeginsWhereChancePutIt) {
  a.cursor = 7;
  EXPECT_TRUE(search(a).empty());
  has(a, {0, k_chunks - 1});
  a.window = 1;
  EXPECT_EQ(search(a), std::vector{run(7)});
}

// Two whose searches meet at the end of what others have got would go on hand in hand.
TEST_F(PickerTest, WhereAGapBeginsARandomRunOfItIsTaken) {
  held.set({0, 63});
  std::set<std::uint32_t> begun;
  for (int i = 0; i < 40; ++i) {
    a.has.add({0, k_chunks - 1});
    a.cursor = 0;
    a.window = 1;
    auto asked = search(a);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_GE(asked[0].first, 64u);
    begun.insert(asked[0].first / 32);
    picker.release_all(a);
    picker.changed();
    a.searching = false;
  }
  EXPECT_GE(begun.size(), 6u);
}

// A window that is full in the middle of a run that is fetched by chunk: in the news, and at the end of a walk.
TEST_F(PickerTest, NoChunkOfARunIsForgottenBecauseTheWindowWasFull) {
  for (bool news : {true, false}) {
    held.reset({0, k_chunks - 1});
    held.set({0, k_chunks - 3});
    picker.changed();
    a.window = 1;
    if (news) {
      a.has.clear();
      has(a, {0, 31});
      EXPECT_TRUE(search(a).empty());
    } else {
      a.cursor = 0;
    }
    if (news) has(a, {k_chunks - 32, k_chunks - 1});
    for (auto chunk : {k_chunks - 2, k_chunks - 1}) {
      auto asked = search(a);
      ASSERT_EQ(asked, (std::vector{ChunkRange{chunk, chunk}})) << news;
      held.set(asked[0]);
      picker.release_all(a);
    }
  }
}

// It may lie behind what the search has passed, or move the search.
TEST_F(PickerTest, NewsDuringASearchIsFoundByIt) {
  held.set({64, k_chunks - 1});
  a.cursor = 2;
  has(a, {64, k_chunks - 1});
  (void)search(a, 1);
  a.searching = true;  // at the end of its budget
  a.left = 1;
  has(a, run(1));
  has(a, run(0));
  std::vector<ChunkRange> found;
  for (int i = 0; i < 50 && (a.searching || i == 0); ++i)
    for (auto range : search(a, 5)) found.push_back(range);
  EXPECT_EQ(found.size(), 2u);
}

TEST_F(PickerTest, AnIdlePartnerThatHasNothingWantsNoTimer) {
  has(a, run(2));
  EXPECT_EQ(search(a).size(), 1u);
  EXPECT_TRUE(search(b).empty());
  EXPECT_EQ(picker.overdue_at(b), k_never);
  EXPECT_TRUE(picker.idle(now, b));
}

TEST_F(PickerTest, OurShareComesFirstAndThenAnything) {
  has(a, {0, k_chunks - 1});
  a.shares = Shares(1, {2, 3});
  a.window = 1;
  std::vector<std::uint32_t> order;
  while (!held.full()) {
    auto asked = search(a);
    ASSERT_EQ(asked.size(), 1u);
    order.push_back(asked[0].first / 32);
    held.set(asked[0]);
    picker.release_all(a);
  }
  auto ours = [&](std::uint32_t n) { return a.shares.ours(n); };
  EXPECT_EQ(order.size(), 10u);
  EXPECT_TRUE(std::is_partitioned(order.begin(), order.end(), ours));
  EXPECT_TRUE(ours(order.front()));
  EXPECT_FALSE(ours(order.back()));
}

TEST_F(PickerTest, OfWhatAPartnerHasGotOnlyThatIsLookedAt) {
  for (std::uint32_t n = 0; n < 9; ++n) has(a, run(n));
  held.set({0, 9 * 32 - 1});
  EXPECT_TRUE(search(a).empty());
  auto walk = spent;
  has(a, run(9));
  EXPECT_FALSE(picker.idle(now, a));
  EXPECT_EQ(search(a), std::vector{run(9)});
  EXPECT_LE(spent, 8u);
  EXPECT_LE(spent, walk);
  EXPECT_TRUE(picker.idle(now, a));
}

TEST_F(PickerTest, AsksForWholeRunsWhereNothingIsHereAndForChunksElsewhere) {
  has(a, {32, 95});
  held.set({64, 93});
  EXPECT_EQ(search(a), (std::vector{run(1), ChunkRange{94, 94}, ChunkRange{95, 95}}));
}

TEST_F(PickerTest, AsksOnlyForWhatThePartnerHas) {
  has(a, {40, 41});
  EXPECT_EQ(search(a), (std::vector{ChunkRange{40, 40}, ChunkRange{41, 41}}));
}

TEST_F(PickerTest, ARunIsAskedOfASecondPartnerWhenItIsOverdueAtTheFirst) {
  for (auto* source : {&a, &b, &c}) has(*source, run(2));
  a.expected = b.expected = c.expected = 300ms;
  EXPECT_EQ(search(a).size(), 1u);
  EXPECT_TRUE(search(b).empty());  // it comes soon enough
  EXPECT_TRUE(picker.idle(now, b));
  now += 300ms;
  EXPECT_FALSE(picker.idle(now, b));
  EXPECT_TRUE(search(b).empty());
  now += 101ms;
  EXPECT_EQ(search(b), std::vector{run(2)});
  EXPECT_TRUE(search(c).empty());  // two are enough
  picker.release(a, bin::at(5, 2));
  now += 1s;
  EXPECT_EQ(search(c), std::vector{run(2)});
}

TEST_F(PickerTest, WhoCanGiveARunMuchSoonerIsAskedForItAtOnce) {
  for (auto* source : {&a, &b}) has(*source, run(2));
  a.expected = 2s;
  b.expected = 900ms;
  EXPECT_EQ(search(a).size(), 1u);
  EXPECT_EQ(search(b), std::vector{run(2)});
  picker.release_all(a);
  picker.release_all(b);
  picker.changed();
  b.expected = 1s;
  EXPECT_EQ(search(a).size(), 1u);
  now += 50ms;
  EXPECT_TRUE(search(b).empty());
}

TEST_F(PickerTest, WhoHasSomethingUnderWayIsNoSecond) {
  has(a, {64, 127});
  has(b, {64, 159});
  a.window = 2;
  EXPECT_EQ(search(a), (std::vector{run(2), run(3)}));
  EXPECT_EQ(search(b), std::vector{run(4)});
  EXPECT_TRUE(picker.idle(now, b));
}

TEST_F(PickerTest, NoChunkIsAskedForWhileItsWholeRunIsUnderWay) {
  has(a, run(2));
  has(b, {64, 70});
  EXPECT_EQ(search(a).size(), 1u);
  EXPECT_TRUE(search(b).empty());
}

TEST_F(PickerTest, ARunThatFailedAsAWholeIsFetchedByChunk) {
  has(a, run(2));
  picker.fetch_by_chunk(70);
  a.window = 64;
  auto asked = search(a);
  EXPECT_EQ(asked.size(), 32u);
  EXPECT_EQ(asked.front(), (ChunkRange{64, 64}));
}

TEST_F(PickerTest, WhatWasDeniedRestsAndIsForgiven) {
  has(a, {64, 127});
  picker.deny(now, a, run(2));
  EXPECT_EQ(search(a), std::vector{run(3)});
  picker.release_all(a);
  held.set(run(3));
  EXPECT_TRUE(search(a).empty());
  EXPECT_EQ(a.denied_until, now + 1s);  // it has nothing else
  picker.forgive(now, a);
  EXPECT_FALSE(a.denied.empty());
  now += 1s;
  picker.forgive(now, a);
  EXPECT_FALSE(picker.idle(now, a));
  EXPECT_EQ(search(a), std::vector{run(2)});
}

TEST_F(PickerTest, AskedOfOthersAtOnceWhatOneDenies) {
  for (auto* source : {&a, &b}) has(*source, run(2));
  picker.deny(now, a, run(2));
  EXPECT_TRUE(search(a).empty());
  EXPECT_EQ(search(b), std::vector{run(2)});
}

TEST_F(PickerTest, TheWindowAndTheLimitHold) {
  has(a, {0, k_chunks - 1});
  EXPECT_EQ(search(a).size(), 4u);
  EXPECT_TRUE(search(a).empty());
  picker.release_all(a);
  allowed = 2;
  EXPECT_EQ(search(a).size(), 2u);
}

TEST_F(PickerTest, ASearchThatFoundNothingIsNotRepeatedBeforeSomethingChanges) {
  has(a, run(2));
  held.set(run(2));
  EXPECT_FALSE(picker.idle(now, a));
  EXPECT_TRUE(search(a).empty());
  EXPECT_TRUE(picker.idle(now, a));
  picker.changed();
  EXPECT_FALSE(picker.idle(now, a));
  EXPECT_TRUE(search(a).empty());
  has(a, run(3));
  EXPECT_FALSE(picker.idle(now, a));
}

TEST_F(PickerTest, ASearchAtTheEndOfItsBudgetGoesOnWhereItIs) {
  for (std::uint32_t n = 0; n < 10; n += 2) a.has.add(run(n));
  a.window = 64;
  std::vector<ChunkRange> all;
  for (int i = 0; i < 20 && (a.searching || i == 0); ++i) {
    auto some = search(a, 10);
    EXPECT_LE(spent, 10u + 41u);
    all.insert(all.end(), some.begin(), some.end());
  }
  EXPECT_EQ(all, (std::vector{run(0), run(2), run(4), run(6), run(8)}));
}

// Whatever happens, what must hold does, and all is fetched in the end.
TEST_F(PickerTest, AnyCourseEndsWithEverything) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    test::SeededRandom random(seed);
    held.reset({0, k_chunks - 1});
    picker.changed();
    for (auto* source : {&a, &b, &c}) has(*source, {0, k_chunks - 1});
    for (int i = 0; !held.full(); ++i) {
      ASSERT_LT(i, 20000);
      now += 20ms;
      auto& source = *std::vector{&a, &b, &c}[random.u32() % 3];
      picker.forgive(now, source);
      (void)search(source, random.u32() % 50);
      if (source.fetching.empty()) continue;
      auto at = std::next(source.fetching.begin(), random.u32() % source.fetching.size());
      auto range = at->second.range;
      switch (random.u32() % 8) {
        case 0:
          picker.deny(now, source, range);
          picker.release(source, at->first);
          break;
        case 1:
          picker.fetch_by_chunk(range.first);
          picker.release(source, at->first);
          break;
        case 2:
          picker.release_all(source);
          break;
        default:
          held.set(range);
          for (auto* other : {&a, &b, &c}) picker.release(*other, *runs.node_of(range));
      }
      picker.changed();
      picker.check(sources);
    }
    for (auto* source : {&a, &b, &c}) picker.release_all(*source);
    EXPECT_TRUE(picker.nothing_asked());
  }
}

}  // namespace
}  // namespace sealcast::swarm
