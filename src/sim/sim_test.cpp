// Links alone, and timers; engines on them: src/swarm/link_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "sim/network.hpp"
#include "sim/virtual_time.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::sim {
namespace {

using test::SeededRandom;

constexpr Instant k_start{1s};
constexpr std::size_t k_octets = 1222;  // 1250 with its headers: 1 ms at 10 Mbit/s

LinkOptions ten_megabit() {
  LinkOptions out;
  out.rate = 10000000;
  out.delay = 50ms;
  return out;
}

TEST(Link, WithoutARateOnlyTheWayTakesTime) {
  SeededRandom random(1);
  Link link({});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(link.carry(k_start, 60000, random).at[0], k_start + 5ms);
}

TEST(Link, ARateSpacesDatagrams) {
  SeededRandom random(1);
  Link link(ten_megabit());
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(link.carry(k_start, k_octets, random).at[0], k_start + 50ms + i * 1ms);
  EXPECT_EQ(link.carry(k_start + 1s, k_octets, random).at[0], k_start + 1s + 51ms);
}

TEST(Link, AFastRateIsExactToo) {
  SeededRandom random(1);
  auto options = ten_megabit();
  options.rate = 40000000000;  // 250 ns each
  Link link(options);
  Instant last{};
  for (int i = 0; i < 100; ++i) last = link.carry(k_start, k_octets, random).at[0];
  EXPECT_EQ(last, k_start + 50ms + 25us);
}

TEST(Link, WhatTheQueueDoesNotHoldIsDroppedAndItEmptiesAtTheRate) {
  SeededRandom random(1);
  auto options = ten_megabit();
  options.queue = 10 * 1250;
  Link link(options);
  int passed = 0;
  for (int i = 0; i < 20; ++i) passed += link.carry(k_start, k_octets, random).count;
  EXPECT_EQ(passed, 10);
  EXPECT_EQ(link.counters().queue_full, 10u);
  EXPECT_EQ(link.carry(k_start + 1ms, k_octets, random).count, 1);
  EXPECT_EQ(link.carry(k_start + 1ms, k_octets, random).count, 0);
}

TEST(Link, LosesAndRepeatsAboutAsOftenAsItWasTold) {
  SeededRandom random(7);
  LinkOptions options;
  options.loss = 0.05;
  options.duplicate = 0.02;
  Link link(options);
  int twice = 0;
  for (int i = 0; i < 20000; ++i) twice += link.carry(k_start, 100, random).count == 2;
  EXPECT_NEAR(static_cast<double>(link.counters().lost), 1000, 150);
  EXPECT_NEAR(twice, 380, 100);
}

TEST(Link, JitterReorders) {
  SeededRandom random(7);
  LinkOptions options;
  options.jitter = 10ms;
  Link link(options);
  std::vector<Instant> at;
  for (int i = 0; i < 100; ++i) at.push_back(link.carry(k_start + Duration(i * 100), 100, random).at[0]);
  EXPECT_FALSE(std::is_sorted(at.begin(), at.end()));
  for (int i = 0; i < 100; ++i) {
    EXPECT_GE(at[static_cast<std::size_t>(i)], k_start + Duration(i * 100) + 5ms);
    EXPECT_LE(at[static_cast<std::size_t>(i)], k_start + Duration(i * 100) + 15ms);
  }
}

TEST(Link, WhatIsTooLargeDoesNotPass) {
  SeededRandom random(1);
  LinkOptions options;
  options.largest = 1172;
  Link link(options);
  EXPECT_EQ(link.carry(k_start, 1172, random).count, 1);
  EXPECT_EQ(link.carry(k_start, 1173, random).count, 0);
  EXPECT_EQ(link.counters().too_large, 1u);
}

TEST(Network, VirtualTimePassesWithoutNodesToo) {
  SeededRandom random(1);
  Network network({}, random);
  network.run(1h);
  EXPECT_EQ(network.now, k_start + 1h);
}

// ---- timers

TEST(VirtualTimers, RunInTheirOrderAndAtTheirInstant) {
  VirtualTime time;
  std::vector<std::pair<int, Instant>> ran;
  auto note = [&](int what) { return [&, what] { ran.emplace_back(what, time.now()); }; };
  time.after(2s, note(2));
  time.after(1s, note(1));
  time.after(2s, note(3));
  time.after(3s, note(4));
  time.advance(2s);
  EXPECT_EQ(ran, (std::vector<std::pair<int, Instant>>{{1, k_start + 1s}, {2, k_start + 2s}, {3, k_start + 2s}}));
  EXPECT_EQ(time.now(), k_start + 2s);
  EXPECT_EQ(time.next(), k_start + 3s);
}

TEST(VirtualTimers, WhatIsCancelledDoesNotRunNotEvenInItsOwnTurn) {
  VirtualTime time;
  int ran = 0;
  Timers::TimerId second = 0;
  time.after(1s, [&] { time.cancel(second); });
  second = time.after(1s, [&] { ++ran; });
  time.cancel(0);
  time.cancel(4711);
  time.advance(5s);
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(time.next(), k_never);
}

TEST(VirtualTimers, WhatATurnAddsComesInTheNextOneBehindWhatIsDue) {
  VirtualTime time;
  std::vector<int> ran;
  time.after(1s, [&] {
    ran.push_back(1);
    time.post([&] { ran.push_back(3); });
    time.after(0us, [&] { ran.push_back(4); });
    time.at(k_start, [&] { ran.push_back(5); });  // long ago
  });
  time.after(1s, [&] { ran.push_back(2); });
  time.advance(1s);
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3, 5, 4}));
}

TEST(VirtualTimers, WallTimePassesWithTheOther) {
  VirtualTime time(k_start, 1000);
  time.advance(2900ms);
  EXPECT_EQ(time.unix_now(), 1002);
  time.advance(100ms);
  EXPECT_EQ(time.unix_now(), 1003);
}

TEST(VirtualTimers, StopWhenTheTestHasSeenEnough) {
  VirtualTime time;
  int beats = 0;
  std::function<void()> beat = [&] { ++beats, time.after(1s, beat); };
  time.post(beat);
  EXPECT_TRUE(time.run_until(k_start + 1h, [&] { return beats == 4; }));
  EXPECT_EQ(time.now(), k_start + 3s);
  EXPECT_FALSE(time.run_until(k_start + 5500ms));
  EXPECT_EQ(beats, 6);
  EXPECT_EQ(time.now(), k_start + 5500ms);
}

}  // namespace
}  // namespace sealcast::sim
