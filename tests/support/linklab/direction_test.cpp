#include "direction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sealcast::linklab {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr double k_50M = 50e6;  // 1000 octets in 160 µs

// Packet number `number` of this size.
Packet packet(std::size_t size, std::uint8_t number = 0) {
  Packet out(size);
  out[0] = number;
  return out;
}

struct Arrival {
  std::int64_t us;
  int number;
  bool operator==(const Arrival&) const = default;
};
void PrintTo(const Arrival& arrival, std::ostream* out) {
  *out << arrival.number << " at " << arrival.us << " us";
}

// All that comes out, taken at the very times that next() names.
std::vector<Arrival> drain(Direction& link, Time until = 100s) {
  std::vector<Arrival> out;
  for (auto at = link.next(); at <= until; at = link.next()) {
    auto taken = link.take(at);
    if (taken) out.push_back({at.count() / 1000, (*taken)[0]});
  }
  return out;
}
// `count` packets of 1000 octets, numbered, one each `apart`.
std::vector<Arrival> run(Direction& link, int count, Time apart) {
  for (int i = 0; i < count; ++i) link.offer(apart * i, packet(1000, static_cast<std::uint8_t>(i)));
  return drain(link);
}

TEST(LinkDirection, a_perfect_link_gives_packets_at_once) {
  Direction link({}, 1);
  link.offer(5us, packet(40, 7));
  EXPECT_THAT(drain(link), ElementsAre(Arrival{5, 7}));
  EXPECT_EQ(link.next(), Time::max());
}

TEST(LinkDirection, packets_take_their_time_at_the_rate_and_then_the_delay) {
  Direction link({.rate = k_50M, .delay = 25ms}, 1);
  link.offer(0us, packet(1000, 1));
  link.offer(0us, packet(500, 2));
  link.offer(1ms, packet(1000, 3));  // the link is free again
  EXPECT_THAT(drain(link), ElementsAre(Arrival{25160, 1}, Arrival{25240, 2}, Arrival{26160, 3}));
}

TEST(LinkDirection, nothing_is_taken_before_its_time) {
  Direction link({.rate = k_50M, .delay = 25ms}, 1);
  link.offer(0us, packet(1000));
  EXPECT_FALSE(link.take(25159us));
  EXPECT_TRUE(link.take(25160us));
}

TEST(LinkDirection, whoever_looks_late_finds_the_same_times) {
  Direction link({.rate = k_50M, .delay = 1ms}, 1);
  for (std::uint8_t i = 0; i < 3; ++i) link.offer(0us, packet(1000, i));
  EXPECT_FALSE(link.take(100us));
  link.offer(10ms, packet(1000, 3));  // the three have left long ago: this one does not wait for them
  std::vector<Arrival> out = drain(link);
  EXPECT_THAT(out, ElementsAre(Arrival{1160, 0}, Arrival{1320, 1}, Arrival{1480, 2}, Arrival{11160, 3}));
}

TEST(LinkDirection, the_queue_holds_its_octets_and_not_one_more) {
  Direction link({.rate = k_50M, .queue = 3000}, 1);
  for (std::uint8_t i = 0; i < 4; ++i) link.offer(0us, packet(1000, i));
  EXPECT_EQ(link.queued(), 3000u);
  link.offer(160us, packet(1000, 4));  // one has left
  EXPECT_THAT(drain(link), ElementsAre(Arrival{160, 0}, Arrival{320, 1}, Arrival{480, 2}, Arrival{640, 4}));
  EXPECT_EQ(link.counters().queue_full, 1u);
  EXPECT_EQ(link.counters().queue_max, 3000u);
  EXPECT_EQ(link.counters().delivered_octets, 4000u);
}

TEST(LinkDirection, so_many_packets_are_lost_as_was_said) {
  Direction link({.loss = 0.1}, 1);
  auto out = run(link, 10000, 1us);
  EXPECT_EQ(out.size() + link.counters().lost, 10000u);
  EXPECT_NEAR(static_cast<double>(link.counters().lost), 1000, 100);
}

TEST(LinkDirection, the_same_seed_loses_the_same_packets) {
  Direction one({.loss = 0.3}, 5), again({.loss = 0.3}, 5), other({.loss = 0.3}, 6);
  auto lost = run(one, 200, 1us);
  EXPECT_EQ(lost, run(again, 200, 1us));
  EXPECT_NE(lost, run(other, 200, 1us));
}

TEST(LinkDirection, jitter_spreads_arrivals_and_keeps_their_order) {
  Direction link({.delay = 10ms, .jitter = 5ms}, 1);
  auto out = run(link, 200, 1ms);
  ASSERT_EQ(out.size(), 200u);
  std::int64_t least = 1'000'000, most = 0;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(out[static_cast<std::size_t>(i)].number, i);
    least = std::min(least, out[static_cast<std::size_t>(i)].us - i * 1000);
    most = std::max(most, out[static_cast<std::size_t>(i)].us - i * 1000);
  }
  EXPECT_GE(least, 10'000);
  EXPECT_LE(most, 15'000);
  EXPECT_GT(most - least, 3'000);
}

TEST(LinkDirection, jitter_mixes_packets_when_it_may) {
  Direction link({.delay = 10ms, .jitter = 5ms, .order = Order::mixed}, 1);
  auto out = run(link, 200, 1ms);
  ASSERT_EQ(out.size(), 200u);
  auto before = [](const Arrival& a, const Arrival& b) { return a.number < b.number; };
  EXPECT_FALSE(std::is_sorted(out.begin(), out.end(), before));
  for (const auto& arrival : out) EXPECT_LE(arrival.us - arrival.number * 1000, 15'000);
}

TEST(LinkDirection, early_packets_pass_those_before_them) {
  Direction link({.delay = 25ms, .early = 0.1, .early_by = 12500us}, 1);
  auto out = run(link, 200, 1ms);
  ASSERT_EQ(out.size(), 200u);
  std::size_t early = 0;
  for (const auto& arrival : out) {
    auto took = arrival.us - arrival.number * 1000;
    early += took == 12'500;
    EXPECT_EQ(took, took == 12'500 ? 12'500 : 25'000);
  }
  EXPECT_EQ(early, link.counters().early);
  EXPECT_NEAR(static_cast<double>(early), 20, 15);
}

TEST(LinkDirection, no_packet_is_early_enough_to_arrive_before_it_was_sent) {
  Direction link({.rate = k_50M, .delay = 1ms, .early = 1, .early_by = 5ms}, 1);
  link.offer(0us, packet(1000, 1));
  EXPECT_THAT(drain(link), ElementsAre(Arrival{160, 1}));
}

TEST(LinkDirection, duplicates_arrive_twice) {
  Direction link({.delay = 1ms, .duplicate = 1}, 1);
  link.offer(0us, packet(1000, 1));
  EXPECT_THAT(drain(link), ElementsAre(Arrival{1000, 1}, Arrival{1000, 1}));
  EXPECT_EQ(link.counters().duplicated, 1u);
}

TEST(LinkDirection, packets_over_the_mtu_vanish) {
  Direction link({.mtu = 1200}, 1);
  link.offer(0us, packet(1201, 1));
  link.offer(0us, packet(1200, 2));
  EXPECT_THAT(drain(link), ElementsAre(Arrival{0, 2}));
  EXPECT_EQ(link.counters().too_big, 1u);
  EXPECT_EQ(link.counters().packet_max, 1201u);
}

TEST(LinkDirection, who_sent_a_packet_over_the_mtu_is_told_when_there_is_icmp) {
  Packet datagram(1201);
  datagram[0] = 0x45;
  datagram[6] = 0x40;  // DF
  datagram[9] = 17;
  Direction silent({.mtu = 1200}, 1), telling({.mtu = 1200, .icmp = true}, 1);
  EXPECT_FALSE(silent.offer(0us, datagram));
  EXPECT_TRUE(telling.offer(0us, datagram));
  datagram.pop_back();
  EXPECT_FALSE(telling.offer(0us, datagram));
}

TEST(LinkDirection, an_outage_takes_what_is_offered_and_what_leaves_the_queue_and_leaves_what_had_left) {
  Direction link({.rate = k_50M, .delay = 25ms}, 1);
  link.offer(0us, packet(1000, 1));  // leaves at 160 µs
  link.offer(0us, packet(1000, 2));  // at 320
  auto settings = link.settings();
  settings.outage = true;
  link.change(200us, settings);
  link.offer(1ms, packet(1000, 3));
  settings.outage = false;
  link.change(2s, settings);
  link.offer(2s, packet(1000, 4));
  EXPECT_THAT(drain(link), ElementsAre(Arrival{25160, 1}, Arrival{2025160, 4}));
  EXPECT_EQ(link.counters().outage, 2u);
}

TEST(LinkDirection, a_changed_rate_is_for_what_is_sent_after_it) {
  Direction link({.rate = k_50M}, 1);
  for (std::uint8_t i = 0; i < 3; ++i) link.offer(0us, packet(1000, i));
  auto settings = link.settings();
  settings.rate = k_50M / 2;
  link.change(200us, settings);
  EXPECT_THAT(drain(link), ElementsAre(Arrival{160, 0}, Arrival{320, 1}, Arrival{640, 2}));
}

TEST(LinkDirection, a_rate_that_is_taken_away_leaves_no_packet_in_the_queue) {
  Direction link({.rate = 1000}, 1);  // 8 s for 1000 octets
  link.offer(0us, packet(1000, 1));
  link.offer(0us, packet(1000, 2));
  link.change(1s, {});
  link.offer(1s, packet(1000, 3));  // stays behind those before it
  EXPECT_THAT(drain(link), ElementsAre(Arrival{8000000, 1}, Arrival{8000000, 2}, Arrival{8000000, 3}));
}

}  // namespace
}  // namespace sealcast::linklab
