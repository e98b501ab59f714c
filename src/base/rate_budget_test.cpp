#include "base/rate_budget.hpp"

#include <gtest/gtest.h>

namespace sealcast {
namespace {

TEST(RateBudget, GivesABurstThenARate) {
  RateBudget budget({3, 0.5});
  Instant now{};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budget.take(now, "a"));
  EXPECT_FALSE(budget.take(now, "a"));
  EXPECT_EQ(budget.wait(now, "a"), 2);
  EXPECT_TRUE(budget.take(now, "b"));
  EXPECT_FALSE(budget.take(now + 1s, "a"));
  EXPECT_TRUE(budget.take(now + 2s, "a"));
  EXPECT_FALSE(budget.take(now + 3s, "a"));
  EXPECT_EQ(budget.refused(), 3u);
  // Whole again after a rest, not more than whole.
  now += 1h;
  EXPECT_FALSE(budget.take(now, "a", 4));
  EXPECT_TRUE(budget.take(now, "a", 3));
  EXPECT_FALSE(budget.take(now, "a"));
}

TEST(RateBudget, ForgetsWhoIsWholeAndBoundsTheOthers) {
  RateBudget budget({2, 1, 2});
  Instant now{};
  EXPECT_TRUE(budget.take(now, "a"));
  EXPECT_TRUE(budget.take(now, "b"));
  EXPECT_FALSE(budget.take(now, "c"));
  EXPECT_TRUE(budget.take(now + 2s, "c"));
  EXPECT_EQ(*budget.status().at("owners").as_int(), 1);
}

}  // namespace
}  // namespace sealcast
