#include "swarm/rate_limit.hpp"

#include <gtest/gtest.h>

namespace sealcast::swarm {
namespace {

TEST(RateLimit, NoneAllowsAll) {
  RateLimit none(0);
  none.take(1u << 30);
  EXPECT_TRUE(none.allows(Instant{1s}));
  EXPECT_EQ(none.next(Instant{1s}), Instant{1s});
}

TEST(RateLimit, GivesItsRateAndNoMore) {
  RateLimit limit(100000);
  std::uint64_t taken = 0;
  for (Instant now{1s}; now < Instant{11s}; now += 1ms)
    while (limit.allows(now)) limit.take(1000), taken += 1000;
  EXPECT_NEAR(static_cast<double>(taken), 10 * 100000 + 10000, 2000);
}

TEST(RateLimit, SavesUpATenthOfASecond) {
  RateLimit limit(100000);
  EXPECT_TRUE(limit.allows(Instant{1h}));
  std::uint64_t taken = 0;
  while (limit.allows(Instant{2h})) limit.take(100), taken += 100;
  EXPECT_LE(taken, 10100u);
  EXPECT_GE(taken, 10000u);
}

TEST(RateLimit, SaysWhenItAllowsAgain) {
  RateLimit limit(100000);
  Instant now{1s};
  ASSERT_TRUE(limit.allows(now));
  EXPECT_EQ(limit.next(now), now);
  limit.take(50000);  // goes below zero; four tenths of a second are owed
  EXPECT_FALSE(limit.allows(now));
  auto then = limit.next(now);
  EXPECT_GE(then, now + 390ms);
  EXPECT_LE(then, now + 410ms);
  EXPECT_FALSE(limit.allows(then - 3ms));
  EXPECT_TRUE(limit.allows(then));
}

TEST(RateLimit, ATimeBeforeTheLastGivesNothing) {
  RateLimit limit(1000);
  ASSERT_TRUE(limit.allows(Instant{10s}));
  limit.take(2000);
  EXPECT_FALSE(limit.allows(Instant{10s}));
  EXPECT_FALSE(limit.allows(Instant{9s}));
}

}  // namespace
}  // namespace sealcast::swarm
