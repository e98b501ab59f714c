#include "swarm/run_rate.hpp"

#include <gtest/gtest.h>

namespace sealcast::swarm {
namespace {

// Runs come one after the other, `each` apart.
RunRate after(int runs, Duration each, Instant& now) {
  RunRate out;
  for (int i = 0; i < runs; ++i) {
    out.add(now, now - 1s);
    now += each;
  }
  return out;
}

TEST(RunRate, KeepsAPartnerBusyAndHoldsNoMoreThanThat) {
  Instant now{1s};
  EXPECT_EQ(after(2000, 1ms, now).window(now, 100us), RunRate::k_slowest + RunRate::k_short_path);
  EXPECT_EQ(after(2000, 1ms, now).window(now, 200ms), RunRate::k_slowest + RunRate::k_most);  // 600 would be good
  auto long_way = after(1000, 10ms, now).window(now, 100ms);  // 100 a second: 30 in 0.3 s
  EXPECT_GE(long_way, 28u);
  EXPECT_LE(long_way, 33u);
  EXPECT_EQ(after(100, 1s, now).window(now, 50ms), RunRate::k_slowest);
}

TEST(RunRate, HoldsNothingBackBeforeTheRateIsKnown) {
  Instant now{1s};
  EXPECT_EQ(RunRate{}.window(Instant{}, 0s), RunRate::k_least + RunRate::k_short_path);
  EXPECT_EQ(after(2, 50ms, now).window(now, 50ms), RunRate::k_least + RunRate::k_short_path);
}

TEST(RunRate, SaysHowLongARunTakesAndDoesNotForgetItAtRest) {
  Instant now{1s};
  EXPECT_EQ(RunRate{}.expected(0, 10ms), RunRate::k_unknown);
  auto rate = after(200, 20ms, now);
  EXPECT_NEAR(static_cast<double>(rate.expected(0, 10ms).count()), 30000, 10);
  auto behind_four = rate.expected(4, 10ms);
  EXPECT_NEAR(static_cast<double>(behind_four.count()), 110000, 50);
  now += 60s;
  EXPECT_EQ(rate.expected(4, 10ms), behind_four);
  EXPECT_EQ(rate.expected(100000, 10ms), RunRate::k_longest);
}

}  // namespace
}  // namespace sealcast::swarm
