// Congestion control in its units, and put together: virtual time, no engine.
#include "swarm/congestion.hpp"

#include <gtest/gtest.h>

#include "swarm/new_reno.hpp"

namespace sealcast::swarm {
namespace {

// ---- Sent history

SentPacket packet(Instant at = Instant{1s}, std::uint32_t octets = 1200) {
  SentPacket out;
  out.at = at;
  out.octets = octets;
  return out;
}

TEST(SentHistory, ForgetsTheOldestThatAreDoneAndNoOthers) {
  SentHistory history;
  for (int i = 0; i < 4; ++i) history.add(packet());
  history.acknowledge(*history.open(0));
  history.acknowledge(*history.open(2));
  history.forget_done();
  EXPECT_EQ(history.first(), 1u);
  EXPECT_EQ(history.next(), 4u);
  EXPECT_EQ(history.in_flight(), 2u);
  EXPECT_EQ(history.open(0), nullptr);
  EXPECT_NE(history.open(1), nullptr);
  EXPECT_EQ(history.open(2), nullptr);
  EXPECT_EQ(history.open(4), nullptr);
}

TEST(SentHistory, WhatIsLostComesBackWholeAndOnce) {
  SentHistory history;
  auto sent = packet();
  sent.channel = 7;
  sent.control = {1, 2, 3};
  history.add(sent);
  auto lost = history.lose(*history.open(0));
  EXPECT_EQ(lost.channel, 7u);
  EXPECT_EQ(lost.control, (Bytes{1, 2, 3}));
  EXPECT_EQ(history.in_flight(), 0u);
  EXPECT_EQ(history.open(0), nullptr);
}

TEST(SentHistory, SixteenBitsMeanTheNearestToTheNewest) {
  SentHistory history;
  constexpr std::uint16_t k_first = 65530;
  for (int i = 0; i < 10; ++i) history.add(packet());
  EXPECT_EQ(history.number_of(65530, k_first), 0);
  EXPECT_EQ(history.number_of(3, k_first), 9);
  EXPECT_EQ(history.number_of(4, k_first), 10);      // never sent
  EXPECT_EQ(history.number_of(65529, k_first), -1);  // used before the first
  for (int i = 10; i < 70000; ++i) history.add(packet());
  EXPECT_EQ(history.number_of(static_cast<std::uint16_t>(k_first + 69999), k_first), 69999);
  EXPECT_EQ(history.number_of(static_cast<std::uint16_t>(k_first + 60000), k_first), 60000);
}

// ---- Round trip

TEST(RoundTrip, FollowsRfc6298) {
  RoundTrip path;
  EXPECT_EQ(path.timeout(), 1s);
  EXPECT_EQ(path.smoothed(), 0s);
  path.measure(400ms);
  EXPECT_EQ(path.smoothed(), 400ms);
  EXPECT_EQ(path.timeout(), 400ms + 4 * 200ms);
  path.measure(480ms);  // variation (3 * 200 + 80) / 4 = 170
  EXPECT_EQ(path.smoothed(), 410ms);
  EXPECT_EQ(path.timeout(), 410ms + 4 * 170ms);
  path.measure(330ms);  // variation (3 * 170 + 80) / 4 = 147.5
  EXPECT_EQ(path.smoothed(), 400ms);
  EXPECT_EQ(path.timeout(), 400ms + 4 * Duration(147500));
}

TEST(RoundTrip, TheTimeoutHasBounds) {
  RoundTrip fast, slow, none;
  for (int i = 0; i < 50; ++i) fast.measure(1ms);
  EXPECT_EQ(fast.timeout(), 200ms);
  slow.measure(9s);
  EXPECT_EQ(slow.timeout(), 10s);
  none.measure(0s);  // a sample all the same
  EXPECT_GT(none.smoothed(), 0s);
}

// ---- Loss detector

// Packets a millisecond apart on a path of 40 ms.
struct Detecting {
  SentHistory history;
  LossDetector detector;
  RoundTrip path;
  Instant start{1s};
  explicit Detecting(int packets) {
    path.measure(40ms);
    for (int i = 0; i < packets; ++i) {
      detector.on_sent(start + i * 1ms, history);
      history.add(packet(start + i * 1ms));
    }
  }
  void arrive(std::uint64_t number) {
    history.acknowledge(*history.open(number));
    detector.on_acknowledged(number);
  }
  std::vector<std::uint64_t> lost(Duration after) { return detector.lost(start + after, history, path); }
};

TEST(LossDetector, APacketIsLostWhenTheReorderingWindowIsOverBehindOneThatOvertookIt) {
  Detecting d(8);
  EXPECT_TRUE(d.lost(10s).empty());  // nothing overtook anything
  d.arrive(3);
  EXPECT_TRUE(d.lost(49ms).empty());
  EXPECT_EQ(d.detector.deadline(d.history, d.path).at, d.start + 50ms);  // 40 ms and a quarter of it
  EXPECT_EQ(d.detector.deadline(d.history, d.path).due, LossDetector::Due::reordering);
  EXPECT_EQ(d.lost(50ms), (std::vector<std::uint64_t>{0}));
  EXPECT_EQ(d.lost(10s), (std::vector<std::uint64_t>{0, 1, 2}));  // 4 and later ones were not overtaken
}

TEST(LossDetector, AMistakeWidensTheReorderingWindowForAWhile) {
  Detecting d(1);
  EXPECT_EQ(d.detector.reordering_window(d.path), 10ms);
  d.detector.on_arrived_after_all();
  EXPECT_EQ(d.detector.reordering_window(d.path), 20ms);
  for (int i = 0; i < 50; ++i) d.detector.on_arrived_after_all();
  EXPECT_EQ(d.detector.reordering_window(d.path), 40ms);  // a round trip at most
  for (int i = 0; i < 15; ++i) d.detector.on_loss_event();
  EXPECT_EQ(d.detector.reordering_window(d.path), 40ms);
  d.detector.on_loss_event();
  EXPECT_EQ(d.detector.reordering_window(d.path), 10ms);
}

TEST(LossDetector, TheReorderingWindowIsNotShorterThanWhatAReceiverCanTell) {
  Detecting d(1);
  RoundTrip quick;
  quick.measure(100us);
  EXPECT_EQ(d.detector.reordering_window(quick), 1ms);
}

TEST(LossDetector, AProbeComesBehindTwoRoundTripsOnceAndThenTheTimeout) {
  Detecting d(1);
  auto deadline = d.detector.deadline(d.history, d.path);
  EXPECT_EQ(deadline.due, LossDetector::Due::probe);
  EXPECT_EQ(deadline.at, d.start + 90ms);
  d.detector.on_probe();
  deadline = d.detector.deadline(d.history, d.path);
  EXPECT_EQ(deadline.due, LossDetector::Due::timeout);
  EXPECT_EQ(deadline.at, d.start + 200ms);
  d.detector.on_progress(d.start + 95ms);
  EXPECT_EQ(d.detector.deadline(d.history, d.path).at, d.start + 95ms + 90ms);
  d.detector.on_timeout(d.start + 1s);  // no probe while timeouts follow each other
  EXPECT_EQ(d.detector.deadline(d.history, d.path).at, d.start + 1400ms);
}

TEST(LossDetector, OnALongSteadyPathTheProbeComesFirst) {
  Detecting d(1);
  RoundTrip far;
  for (int i = 0; i < 100; ++i) far.measure(400ms);
  ASSERT_EQ(far.timeout(), 400ms);  // feedback may be 5 ms later
  EXPECT_EQ(d.detector.deadline(d.history, far).due, LossDetector::Due::probe);
  EXPECT_EQ(d.detector.deadline(d.history, far).at, d.start + 810ms);
  d.detector.on_probe();
  EXPECT_EQ(d.detector.deadline(d.history, far).at, d.start + 820ms);
}

TEST(LossDetector, TheTimerRunsFromTheFirstInFlightAndFromEachProgress) {
  SentHistory history;
  LossDetector detector;
  RoundTrip path;
  Instant now{1s};
  EXPECT_EQ(detector.deadline(history, path).at, k_never);
  detector.on_sent(now, history);
  history.add(packet(now));
  EXPECT_EQ(detector.deadline(history, path).at, now + 1s);
  detector.on_sent(now + 300ms, history);
  history.add(packet(now + 300ms));
  EXPECT_EQ(detector.deadline(history, path).at, now + 1s);
  history.acknowledge(*history.open(0));
  detector.on_progress(now + 400ms);
  EXPECT_EQ(detector.deadline(history, path).at, now + 1400ms);
  history.acknowledge(*history.open(1));
  EXPECT_EQ(detector.deadline(history, path).at, k_never);
  detector.on_sent(now + 9s, history);
  history.add(packet(now + 9s));
  EXPECT_EQ(detector.deadline(history, path).at, now + 10s);
}

TEST(LossDetector, TimeoutsInARowDoubleTheWaitUpToABound) {
  SentHistory history;
  LossDetector detector;
  RoundTrip path;
  history.add(packet());
  for (auto wait : {2s, 4s, 8s, 10s, 10s}) {
    detector.on_timeout(Instant{5s});
    EXPECT_EQ(detector.deadline(history, path).at, Instant{5s} + wait);
  }
  EXPECT_EQ(detector.timeouts_in_row(), 5);
  detector.on_progress(Instant{6s});
  EXPECT_EQ(detector.timeouts_in_row(), 0);
  EXPECT_EQ(detector.deadline(history, path).at, Instant{7s});
}

TEST(LostPackets, AreFoundOnceByTheirNumbersWhileTheyAreKept) {
  LostPackets gone;
  auto sent = packet();
  sent.is_data = true;
  for (std::uint32_t n = 0; n < LostPackets::k_most + 10; ++n) {
    sent.chunk = 1000 + n;
    gone.add(n * 2, sent);
  }
  EXPECT_FALSE(gone.take(18));  // the oldest had to go
  EXPECT_FALSE(gone.take(21));
  auto one = gone.take(20);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->chunk, 1010u);
  EXPECT_FALSE(gone.take(20));
  gone.forget_before(100);
  EXPECT_FALSE(gone.take(98));
  EXPECT_TRUE(gone.take(100));
}

// ---- Pacer

// What goes out within `time` when everything goes that may.
std::pair<int, int> paced(Duration time, double rate, Duration late = 0us) {
  Pacer pacer;
  Instant now{1s}, end = now + time;
  int sent = 0, longest = 0;
  while (now < end) {
    int train = 0;
    for (; pacer.next_send() <= now; ++train) pacer.on_sent(now, 1000, rate);
    sent += train;
    longest = std::max(longest, train);
    now = pacer.next_send() + late;
  }
  return {sent, longest};
}

TEST(Pacer, SendsAtItsRateInTrainsOfAMillisecond) {
  auto [sent, longest] = paced(10s, 5e6);  // 5 packets a millisecond
  EXPECT_NEAR(sent, 50000, 20);
  EXPECT_LE(longest, 9);
  EXPECT_NEAR(paced(10s, 3e8).first, 3000000, 1000);  // a packet takes less than its clock can tell
  EXPECT_NEAR(paced(10s, 1e5).first, 1000, 5);        // and much longer than a train
}

TEST(Pacer, MakesGoodATimerThatIsALittleLate) {
  EXPECT_NEAR(paced(10s, 5e6, 200us).first, 50000, 20);
  EXPECT_LT(paced(10s, 5e6, 5ms).first, 20000);  // but saves up no more than a part of a train
}

TEST(Pacer, WithoutARateDoesNotWait) {
  Pacer pacer;
  for (int i = 0; i < 10000; ++i) {
    pacer.on_sent(Instant{1s}, 1200, 0);
    ASSERT_EQ(pacer.next_send(), Instant::min());
  }
}

// ---- NewReno

struct Reno {
  NewReno control;
  Reno() { control.on_datagram_size(1200); }
  std::uint64_t packets() const { return control.window() / 1200; }
  void acknowledge(std::uint64_t from, std::uint64_t count) {
    for (; count > 0; --count) control.on_acknowledged({from++, {}, {}, 1200});
  }
  void lose(std::uint64_t number, std::uint64_t next) { control.on_lost({number, {}, k_never, 1200}, next); }
};

TEST(NewReno, BeginsWithTenPackets) {
  Reno reno;
  EXPECT_EQ(reno.control.window(), 12000u);
  EXPECT_EQ(reno.control.pace(50ms), 0);
}

TEST(NewReno, GrowsByAPacketForEachAcknowledgementUntilTheFirstLoss) {
  Reno reno;
  reno.acknowledge(0, 30);
  EXPECT_EQ(reno.packets(), 40u);
}

TEST(NewReno, HalvesItsWindowOncePerLossEvent) {
  Reno reno;
  reno.acknowledge(0, 30);
  reno.lose(31, 70);
  EXPECT_EQ(reno.packets(), 20u);
  reno.lose(32, 70);
  reno.lose(69, 80);
  EXPECT_EQ(reno.packets(), 20u);
  reno.lose(70, 90);
  EXPECT_EQ(reno.packets(), 10u);
}

TEST(NewReno, DoesNotGrowBeforeTheLossEventIsOverAndThenByAPacketEachWindow) {
  Reno reno;
  reno.acknowledge(0, 30);
  reno.lose(31, 70);
  reno.acknowledge(40, 30);
  EXPECT_EQ(reno.packets(), 20u);
  reno.acknowledge(70, 21);
  EXPECT_EQ(reno.packets(), 21u);
  reno.acknowledge(91, 18);
  EXPECT_EQ(reno.packets(), 21u);
}

TEST(NewReno, ATimeoutCollapsesTheWindowAndHalvesTheThresholdOnce) {
  Reno reno;
  reno.acknowledge(0, 30);
  reno.control.on_timeout(1, 70);
  EXPECT_EQ(reno.packets(), 2u);
  reno.control.on_timeout(2, 70);
  EXPECT_EQ(reno.packets(), 2u);
  reno.acknowledge(60, 10);  // of before the timeout
  EXPECT_EQ(reno.packets(), 2u);
  reno.acknowledge(70, 18);  // slow start up to half of the forty
  EXPECT_EQ(reno.packets(), 20u);
  reno.acknowledge(88, 10);
  EXPECT_EQ(reno.packets(), 20u);
}

TEST(NewReno, TheWindowHasBounds) {
  Reno reno;
  for (std::uint64_t n = 0; n < 10; ++n) reno.lose(n * 10, n * 10 + 1);
  EXPECT_EQ(reno.packets(), 2u);
  Reno large;
  large.acknowledge(0, 20000);
  EXPECT_EQ(large.packets(), 8192u);
  Reno small;
  for (int i = 1; i < 4; ++i) small.control.on_timeout(1, 10);
  small.acknowledge(10, 1);
  EXPECT_EQ(small.packets(), 2u);  // no slow start: the threshold has a bound too
  small.acknowledge(11, 2);
  EXPECT_EQ(small.packets(), 3u);
}

// ---- Put together

// Sends, and gives feedback on what a set of numbers says.
struct Bench {
  Congestion congestion;
  Instant now{1s};
  std::uint16_t first = 65000;
  std::uint64_t sent = 0;
  Losses losses;

  Bench() = default;
  explicit Bench(std::unique_ptr<CongestionControl> control) : congestion(std::move(control)) {}
  void send(int count, std::uint32_t octets = 1200) {
    for (; count > 0; --count) {
      auto p = packet(now, octets);
      p.chunk = static_cast<std::uint32_t>(sent++);
      congestion.sent(std::move(p));
    }
  }
  void report(std::uint64_t begin, std::vector<bool> received, std::uint16_t offset = 0) {
    rtp::Feedback f;
    f.begin = static_cast<std::uint16_t>(first + begin);
    for (bool each : received) f.reports.push_back({each, offset});
    losses = {};
    congestion.feedback(now, f, first, losses);
  }
};

TEST(Congestion, TheWindowCountsPacketsWhateverTheirSize) {
  Bench b;
  b.send(5, 40);
  b.send(4, 1200);
  EXPECT_TRUE(b.congestion.may_send(b.now));
  b.send(1, 40);
  EXPECT_FALSE(b.congestion.may_send(b.now));
  EXPECT_EQ(b.congestion.window(), 10u);
  EXPECT_EQ(b.congestion.in_flight(), 10u);
}

TEST(Congestion, TheRoundTripIsThatOfTheNewestWithoutItsStay) {
  Bench b;
  b.send(1);
  b.now += 10ms;
  b.send(1);
  b.now += 40ms;
  b.report(0, {true, true}, 10);  // 10/1024 s at the receiver
  EXPECT_EQ(b.congestion.round_trip(), 40ms - Duration(10 * 1000000 / 1024));
}

TEST(Congestion, AStayLongerThanTheWayOrNotKnownIsNotTakenOff) {
  for (std::uint16_t offset : {std::uint16_t{0x1fff}, std::uint16_t{0x1ffe}, std::uint16_t{1000}}) {
    Bench b;
    b.send(1);
    b.now += 30ms;
    b.report(0, {true}, offset);
    EXPECT_EQ(b.congestion.round_trip(), 30ms) << offset;
  }
}

TEST(Congestion, WhatWasOvertakenIsGivenBackAndHalvesTheWindow) {
  Bench b(std::make_unique<NewReno>());
  b.send(10);
  b.now += 20ms;
  b.report(0, {false, true, true, true, true, true, true, true, true, true});
  EXPECT_TRUE(b.losses.lost.empty());
  b.now = b.congestion.deadline();
  b.congestion.on_deadline(b.now, b.losses);
  ASSERT_EQ(b.losses.lost.size(), 1u);
  EXPECT_EQ(b.losses.lost[0].chunk, 0u);
  EXPECT_EQ(b.congestion.lost(), 1u);
  EXPECT_EQ(b.congestion.window(), 9u);  // of 10 + 9
  EXPECT_EQ(b.congestion.in_flight(), 0u);
}

TEST(Congestion, WhatWasTakenForLostAndArrivesIsToldOnce) {
  Bench b;
  b.send(10);
  b.now += 20ms;
  b.report(0, {false, true, true, true, true, true, true, true, true, true});
  b.now += 20ms;
  b.congestion.on_deadline(b.now, b.losses);
  ASSERT_EQ(b.losses.lost.size(), 1u);
  b.report(0, {true, true, true, true, true, true, true, true, true, true});
  ASSERT_EQ(b.losses.mistaken.size(), 1u);
  EXPECT_EQ(b.losses.mistaken[0].chunk, 0u);
  b.report(0, {true, true, true, true, true, true, true, true, true, true});
  EXPECT_TRUE(b.losses.mistaken.empty());
  // And it teaches patience.
  b.send(10);
  auto sent_at = b.now;
  b.now += 20ms;
  b.report(10, {false, true, true, true, true, true, true, true, true, true});
  EXPECT_EQ(b.congestion.deadline(), sent_at + 20ms + 10ms);
}

// The last packets of a transfer: nothing comes behind them that could overtake them.
TEST(Congestion, AProbeRepeatsTheNewestPacketAndMayGoBeyondTheWindow) {
  Bench b;
  b.send(10);
  b.now += 20ms;
  b.report(0, {true});
  b.send(10);
  ASSERT_FALSE(b.congestion.may_send(b.now));
  b.now = b.congestion.deadline();
  b.losses = {};
  b.congestion.on_deadline(b.now, b.losses);
  ASSERT_EQ(b.losses.lost.size(), 1u);
  EXPECT_EQ(b.losses.lost[0].chunk, 19u);
  EXPECT_EQ(b.congestion.lost(), 0u);
  EXPECT_EQ(b.congestion.in_flight(), 19u);
  EXPECT_TRUE(b.congestion.may_send(b.now));
  b.send(2);
  EXPECT_FALSE(b.congestion.may_send(b.now));
}

TEST(Congestion, FeedbackThatTellsNothingNewDoesNothing) {
  Bench b;
  b.send(10);
  b.now += 20ms;
  b.report(0, {true, true});
  auto deadline = b.congestion.deadline();
  auto window = b.congestion.window();
  b.now += 100ms;
  b.report(0, {true, true});
  b.report(60000, std::vector<bool>(10, true));  // before the first, or never sent
  b.report(11, std::vector<bool>(10, true));
  EXPECT_EQ(b.congestion.deadline(), deadline);
  EXPECT_EQ(b.congestion.window(), window);
  EXPECT_EQ(b.congestion.in_flight(), 8u);
}

TEST(Congestion, FeedbackBeforeAnythingWasSentIsNothing) {
  Bench b;
  b.report(0, {true, true, true});
  EXPECT_EQ(b.congestion.round_trip(), 0s);
  EXPECT_EQ(b.congestion.window(), 10u);
}

TEST(Congestion, ATimeoutGivesBackAllInFlightAndCollapsesTheWindow) {
  Bench b;
  b.send(4);
  b.report(1, {true});
  std::vector<std::uint32_t> chunks;
  while (b.congestion.timeouts_in_row() == 0) {  // the packet that was overtaken, a probe, the timeout
    b.now = b.congestion.deadline();
    b.losses = {};
    b.congestion.on_deadline(b.now, b.losses);
    for (auto& each : b.losses.lost) chunks.push_back(each.chunk);
  }
  EXPECT_EQ(chunks, (std::vector<std::uint32_t>{0, 3, 2, 3}));
  EXPECT_EQ(b.congestion.window(), 2u);
  EXPECT_EQ(b.congestion.in_flight(), 0u);
  EXPECT_EQ(b.congestion.lost(), 3u);
  EXPECT_EQ(b.congestion.deadline(), k_never);
  b.send(1);
  b.now += 20ms;
  b.report(4, {true});
  EXPECT_EQ(b.congestion.timeouts_in_row(), 0);
}

// What a controller of another kind sees and says.
struct Paced final : CongestionControl {
  std::vector<PacketFate> sent, arrived, gone;
  double rate = 0;
  std::uint32_t datagram = 0;
  std::uint64_t octets = 5000;
  void on_datagram_size(std::uint32_t size) override { datagram = size; }
  void on_sent(const PacketFate& p) override { sent.push_back(p); }
  void on_acknowledged(const PacketFate& p) override { arrived.push_back(p); }
  void on_lost(const PacketFate& p, std::uint64_t) override { gone.push_back(p); }
  void on_arrived_after_all(std::uint64_t) override {}
  void on_timeout(int, std::uint64_t) override {}
  std::uint64_t window() const override { return octets; }
  double pace(Duration) const override { return rate; }
};

TEST(Congestion, AControllerSeesTheFateOfPacketsAndSaysAtWhatPaceTheyGo) {
  auto owned = std::make_unique<Paced>();
  auto& control = *owned;
  Bench b(std::move(owned));
  b.send(1, 300);
  b.send(4, 1000);
  b.send(1, 200);
  EXPECT_EQ(control.datagram, 1000u);
  ASSERT_EQ(control.sent.size(), 6u);
  EXPECT_EQ(control.sent[0].octets, 300u);
  EXPECT_EQ(control.sent[5].number, 5u);
  EXPECT_FALSE(b.congestion.may_send(b.now));  // six of five
  auto sent_at = b.now;
  b.now += 50ms;
  b.report(0, {false, false, true, true, true, true}, 10);
  ASSERT_EQ(control.arrived.size(), 4u);
  EXPECT_EQ(control.arrived[0].number, 2u);
  EXPECT_EQ(control.arrived[0].sent, sent_at);
  EXPECT_EQ(control.arrived[0].arrival, b.now - Duration(10 * 1000000 / 1024));
  b.now = b.congestion.deadline();
  b.congestion.on_deadline(b.now, b.losses);
  ASSERT_EQ(control.gone.size(), 2u);
  EXPECT_EQ(control.gone[0].arrival, k_never);
  EXPECT_EQ(control.gone[0].octets, 300u);
  EXPECT_TRUE(b.congestion.may_send(b.now));
  control.rate = 1e5;  // 10 ms each
  b.send(1, 1000);
  EXPECT_FALSE(b.congestion.may_send(b.now));
  EXPECT_TRUE(b.congestion.window_open());
  EXPECT_TRUE(b.congestion.may_send(b.now + 10ms));
}

}  // namespace
}  // namespace sealcast::swarm
