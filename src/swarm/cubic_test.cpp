// CUBIC alone: packets of a path whose round trip and losses the test says.
#include "swarm/cubic.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sealcast::swarm {
namespace {

// Packets of one path, whose round trip the test says.
struct Growing {
  Cubic control;
  Instant now{1s};
  Duration round_trip = 50ms;
  std::uint64_t number = 0;
  Growing() { control.on_datagram_size(1200); }
  double packets() const { return static_cast<double>(control.window()) / 1200; }
  // A window is sent and arrives, evenly within a round trip, but for the `lost` oldest of it.
  void round(std::uint64_t lost = 0, bool full = true) {
    auto count = control.window() / 1200;
    auto first = number;
    for (std::uint64_t i = 0; i < count; ++i) control.on_sent({number++, now, k_never, 1200});
    for (std::uint64_t i = 0; i < count; ++i) {
      auto sent = now + round_trip * static_cast<int>(i) / static_cast<int>(count);
      if (i >= lost) control.on_acknowledged({first + i, sent, sent + round_trip, 1200, full});
      if (i == lost + 8 || (i + 1 == count && i < lost + 8))  // some have overtaken them
        for (std::uint64_t gone = 0; gone < lost; ++gone) control.on_lost({first + gone, now, k_never, 1200}, number);
    }
    now += round_trip;
  }
};

TEST(Cubic, DoublesEachRoundTripUntilTheQueueGrows) {
  Growing g;
  EXPECT_EQ(g.packets(), 10);
  for (int i = 0; i < 4; ++i) g.round();
  EXPECT_EQ(g.packets(), 160);
  EXPECT_TRUE(g.control.slow_start());
  g.round_trip = 60ms;  // more than an eighth
  g.round();
  g.round();
  EXPECT_LT(g.packets(), 500);
  for (int i = 0; i < 6; ++i) g.round();
  EXPECT_FALSE(g.control.slow_start());
}

TEST(Cubic, ALossWhileTheQueueIsFullReducesTheWindowOnce) {
  Growing g;
  for (int i = 0; i < 4; ++i) g.round();
  g.round_trip = 100ms;
  g.round();
  auto before = g.packets();
  g.round(3);
  EXPECT_NEAR(g.packets(), before * 0.7, before * 0.08);
  EXPECT_FALSE(g.control.slow_start());
}

TEST(Cubic, ALossWhileTheQueueIsEmptyIsNotAnsweredWhenItIsOneOfFew) {
  Growing g;
  for (int i = 0; i < 4; ++i) g.round();
  auto before = g.packets();
  g.round(8);  // 5 %
  EXPECT_GE(g.packets(), before);
  EXPECT_TRUE(g.control.slow_start());
  g.round(80);  // and this is no accident
  EXPECT_LT(g.packets(), before * 2);
  EXPECT_FALSE(g.control.slow_start());
}

TEST(Cubic, ASmallQueueIsEmptiedAndNoMore) {
  Growing g;
  for (int i = 0; i < 4; ++i) g.round();
  g.round_trip = 56ms;  // of 50 ms: a tenth is the queue, and a clock's grain
  g.round();
  auto before = g.packets();
  g.round(3);
  EXPECT_GT(g.packets(), before * 0.85);
  EXPECT_LT(g.packets(), before * 0.95);
}

TEST(Cubic, ComesBackToItsOldWindowSlowlyThereAndThenQuickly) {
  Growing g;
  for (int i = 0; i < 5; ++i) g.round();
  g.round_trip = 100ms;
  g.round();
  g.round(3);
  auto reduced = g.packets();
  auto old = reduced / 0.7;
  auto plateau = std::cbrt(old * 0.3 / 0.4);  // K, seconds (RFC 9438 section 4.2)
  auto from = g.now;
  std::vector<double> windows;
  while (g.now - from < std::chrono::duration_cast<Duration>(std::chrono::duration<double>(2 * plateau))) {
    g.round();
    windows.push_back(g.packets());
  }
  auto half = windows[windows.size() / 2];
  EXPECT_NEAR(half, old, old * 0.06);
  EXPECT_GT(windows[windows.size() / 4] - reduced, (half - reduced) * 0.75);
  EXPECT_GT(windows.back(), old * 1.2);
}

TEST(Cubic, WhoDoesNotUseTheWindowDoesNotGetALargerOne) {
  Growing g;
  for (int i = 0; i < 20; ++i) g.round(0, false);
  EXPECT_EQ(g.packets(), 10);
}

TEST(Cubic, AReductionForNothingIsUndone) {
  Growing g;
  for (int i = 0; i < 4; ++i) g.round();
  g.round_trip = 100ms;
  g.round();
  auto before = g.packets();
  auto first = g.number;
  g.round(2);
  ASSERT_LT(g.packets(), before);
  g.control.on_arrived_after_all(first);
  EXPECT_LT(g.packets(), before);  // the other one may be lost
  g.control.on_arrived_after_all(first + 1);
  EXPECT_GE(g.packets(), before);
}

TEST(Cubic, ATimeoutCollapsesTheWindowAndWhatArrivesAfterAllLeadsBackToWhatItWas) {
  Growing g;
  for (int i = 0; i < 4; ++i) g.round();
  auto before = g.packets();
  g.control.on_timeout(1, g.number);
  EXPECT_EQ(g.packets(), 2);
  g.control.on_timeout(2, g.number);
  EXPECT_EQ(g.packets(), 2);
  g.control.on_arrived_after_all(g.number - 1);
  EXPECT_EQ(g.packets(), 2);
  for (int i = 0; i < 7; ++i) g.round();
  EXPECT_GE(g.packets(), before);  // in slow start
}

TEST(Cubic, TheWindowHasBounds) {
  Growing g;
  for (int i = 0; i < 30; ++i) g.round();
  EXPECT_EQ(g.packets(), 8192);
  for (int i = 0; i < 60; ++i) g.round(g.control.window() / 1200);
  EXPECT_EQ(g.packets(), 2);
}

TEST(Cubic, PacesTwiceItsWindowInSlowStartAndALittleMoreThanOnceLater) {
  Growing g;
  EXPECT_EQ(g.control.pace(0s), 0);  // nothing is known
  EXPECT_NEAR(g.control.pace(100ms), 2 * 10 * 1200 / 0.1, 1);
  for (int i = 0; i < 4; ++i) g.round();
  g.round_trip = 100ms;
  g.round();
  g.round(3);
  ASSERT_FALSE(g.control.slow_start());
  EXPECT_NEAR(g.control.pace(100ms), 1.2 * g.packets() * 1200 / 0.1, 12000);
}

}  // namespace
}  // namespace sealcast::swarm
