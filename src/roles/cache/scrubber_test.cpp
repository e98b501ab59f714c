// In virtual time: what is looked at, in which order, and how fast.
#include "roles/cache/scrubber.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace sealcast::roles {
namespace {

constexpr std::uint32_t k_chunk = 1024;
constexpr std::uint64_t k_run = 32 * k_chunk;

crypto::Digest root(int number) {
  return crypto::Digest{static_cast<std::uint8_t>(number)};
}

class Scrubbers : public testing::Test {
 protected:
  void offer(int number, std::uint64_t octets) {
    offered.insert_or_assign(root(number), *content::Geometry::make(octets, k_chunk));
  }
  void make(std::uint64_t rate, int begin = 0) {
    scrubber.emplace(rate, root(begin), [this](const crypto::Digest* behind) -> std::optional<Scrubber::Content> {
      auto at = behind ? offered.upper_bound(*behind) : offered.begin();
      if (at == offered.end()) return std::nullopt;
      return Scrubber::Content{at->first, at->second};
    });
  }
  // Looks at what is due until `end`; what was looked at is in `seen`.
  void run_until(Instant end) {
    for (int steps = 0; steps < 20000 && scrubber->due() <= end; ++steps) {
      now = std::max(now, scrubber->due());
      auto run = scrubber->next(now);
      if (!run) continue;
      seen.emplace_back(run->root[0], run->chunk);
      if (closed.contains(run->root[0]))
        scrubber->passed_over(now);
      else
        scrubber->checked(now, Scrubber::Found::nothing);
    }
    now = std::max(now, end);
  }

  std::map<crypto::Digest, content::Geometry> offered;
  std::set<int> closed;  // cannot be opened
  std::optional<Scrubber> scrubber;
  std::vector<std::pair<int, std::uint32_t>> seen;
  Instant now{100s};
};

using Seen = std::vector<std::pair<int, std::uint32_t>>;

TEST_F(Scrubbers, ARoundGoesThroughEveryRunOfEveryContent) {
  offer(1, 2 * k_run + 5);
  offer(4, 1);
  offer(9, k_run);
  make(1 << 20);
  run_until(now + 5s);
  EXPECT_EQ(seen, (Seen{{1, 0}, {1, 32}, {1, 64}, {4, 0}, {9, 0}}));
  auto progress = scrubber->progress();
  EXPECT_EQ(progress.rounds, 1u);
  EXPECT_EQ(progress.round_done, 3 * k_run + 6);
  ASSERT_TRUE(progress.last_round);
  EXPECT_EQ(scrubber->current(), nullptr);
}

TEST_F(Scrubbers, ARoundBeginsWhereItIsTold) {
  for (int number : {1, 4, 9}) offer(number, 1);
  make(1 << 20, 4);
  run_until(now + 15s);
  EXPECT_EQ(seen, (Seen{{9, 0}, {1, 0}, {4, 0}, {9, 0}, {1, 0}, {4, 0}}));
  EXPECT_EQ(scrubber->progress().rounds, 2u);
}

TEST_F(Scrubbers, TheRateIsKeptWhateverTheLengthOfTheContents) {
  offer(1, 1000 * k_run);
  offer(2, 1000 * k_run + 77);
  make(10 * k_run);
  run_until(now + 60s);
  EXPECT_NEAR(static_cast<double>(seen.size()), 600, 5);
}

TEST_F(Scrubbers, OpeningCountsAsWork) {
  for (int number = 1; number < 200; ++number) offer(number, 1);
  make(10 * Scrubber::k_opening);
  run_until(now + 5s);
  EXPECT_NEAR(static_cast<double>(seen.size()), 50, 2);
}

TEST_F(Scrubbers, SmallContentsAreNotLookedAtWithoutEnd) {
  offer(1, 100);
  make(1 << 30);
  run_until(now + 95s);
  EXPECT_EQ(seen.size(), 10u);
}

TEST_F(Scrubbers, WhoWasLateMakesGoodALittle) {
  offer(1, 100000 * k_run);
  make(1000 * k_run);
  run_until(now + 1s);
  seen.clear();
  now += 1h;
  run_until(now);
  EXPECT_LE(seen.size(), 110u);
  EXPECT_GE(seen.size(), 90u);
}

TEST_F(Scrubbers, WithoutARateNothingIsDue) {
  offer(1, 100);
  make(0);
  EXPECT_EQ(scrubber->due(), k_never);
  EXPECT_FALSE(scrubber->next(now));
}

TEST_F(Scrubbers, WhereNothingIsOfferedItRests) {
  make(1 << 30);
  int asked = 0;
  for (const auto end = now + 60s; asked < 1000 && scrubber->due() <= end; ++asked) {
    now = std::max(now, scrubber->due());
    EXPECT_FALSE(scrubber->next(now));
  }
  EXPECT_LE(asked, 7);
  EXPECT_EQ(scrubber->progress().rounds, 0u);
  offer(3, 100);
  run_until(now + 20s);
  EXPECT_EQ(seen.front(), (std::pair<int, std::uint32_t>{3, 0}));
}

TEST_F(Scrubbers, WhatCannotBeOpenedIsPassedOverAfterAPause) {
  for (int number : {1, 2, 3}) offer(number, k_run);
  closed = {1, 2};
  make(1 << 30);
  const auto began = now;
  run_until(now + 5s);
  EXPECT_EQ(seen, (Seen{{1, 0}, {2, 0}, {3, 0}}));
  EXPECT_EQ(scrubber->progress().passed_over, 2u);
  EXPECT_GE(*scrubber->progress().last_round - began, 2 * Scrubber::k_pause);
}

TEST_F(Scrubbers, ContentsComeAndGoMeanwhile) {
  for (int number : {1, 5}) offer(number, 4 * k_run);
  make(2 * k_run);
  run_until(now + 1s);
  ASSERT_NE(scrubber->current(), nullptr);
  EXPECT_EQ(*scrubber->current(), root(1));
  EXPECT_EQ(scrubber->progress().content_octets, 4 * k_run);
  EXPECT_EQ(scrubber->progress().content_done, k_run);
  offered.erase(root(5));
  offer(3, 1);
  run_until(now + 5s);
  EXPECT_EQ(seen, (Seen{{1, 0}, {1, 32}, {1, 64}, {1, 96}, {3, 0}}));
}

TEST_F(Scrubbers, DamageIsCounted) {
  offer(1, 3 * k_run);
  make(1 << 30);
  for (auto found : {Scrubber::Found::nothing, Scrubber::Found::damage, Scrubber::Found::damage}) {
    now = std::max(now, scrubber->due());
    ASSERT_TRUE(scrubber->next(now));
    scrubber->checked(now, found);
  }
  EXPECT_EQ(scrubber->progress().damaged_runs, 2u);
}

}  // namespace
}  // namespace sealcast::roles
