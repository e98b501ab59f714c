// Transfers over links with a rate, a queue, loss and reordering, in virtual time.
#include <gtest/gtest.h>

#include "swarm/congestion_control.hpp"
#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

LinkOptions ten_megabit(double loss) {
  LinkOptions out;
  out.rate = 10000000;
  out.delay = 25ms;  // 50 ms there and back
  out.queue = 64 * 1024;
  out.loss = loss;
  return out;
}

double megabit_per_second(const Content& c, Duration time) {
  return static_cast<double>(c.octets.size()) * 8 / static_cast<double>(time.count());
}

TEST(SlowLink, IsFilledAndItsQueueOverflowsWithoutHarm) {
  Content c(10000000, 31);
  Node cache(1, c, true, true), ue(2, c, false, true);
  World world(ten_megabit(0), {&cache, &ue});
  auto start = world.now;
  world.connect(ue, cache, c.id, true);
  world.run(60s, [&] { return whole(ue, c); });
  ASSERT_TRUE(whole(ue, c));
  EXPECT_GT(megabit_per_second(c, world.now - start), 7.5);
  EXPECT_GT(world.link(cache.address, ue.address).counters().queue_full, 0u);
  EXPECT_EQ(ue.count(EventKind::stalled), 0);
}

TEST(SlowLink, WithLossAContentArrivesWhole) {
  Content c(4000000, 32);
  for (double loss : {0.001, 0.01, 0.05}) {
    Node cache(1, c, true, true), ue(2, c, false, true);
    World world(ten_megabit(loss), {&cache, &ue});
    world.connect(ue, cache, c.id, true);
    world.run(600s, [&] { return whole(ue, c); });
    EXPECT_TRUE(whole(ue, c)) << loss;
    EXPECT_EQ(ue.count(EventKind::integrity_failure), 0) << loss;
    EXPECT_EQ(ue.count(EventKind::channel_closed), 0) << loss;
  }
}

TEST(SlowLink, ReorderingIsNotLoss) {
  Content c(4000000, 33);
  auto options = ten_megabit(0);
  options.jitter = 2ms;     // two datagrams' time
  options.queue = 8 << 20;  // more than the content
  Node cache(1, c, true, true), ue(2, c, false, true);
  World world(options, {&cache, &ue});
  auto start = world.now;
  world.connect(ue, cache, c.id, true);
  world.run(60s, [&] { return whole(ue, c); });
  ASSERT_TRUE(whole(ue, c));
  EXPECT_GT(megabit_per_second(c, world.now - start), 6);
  EXPECT_EQ(cache.engine.associations().at(0).packets_lost, 0u);
}

TEST(SlowLink, SeveralPartnersAreUsedAtOnce) {
  Content c(10000000, 34);
  Node cache(1, c, true, true), alice(2, c, true, true), carol(3, c, true, true), bob(4, c, false, true);
  World world(ten_megabit(0.001), {&cache, &alice, &carol, &bob});
  auto start = world.now;
  world.connect(bob, cache, c.id, true);
  world.connect(bob, alice, c.id, true, true, PartnerKind::ue);
  world.connect(bob, carol, c.id, true, true, PartnerKind::ue);
  world.run(60s, [&] { return whole(bob, c); });
  ASSERT_TRUE(whole(bob, c));
  EXPECT_GT(megabit_per_second(c, world.now - start), 14);  // more than one link gives
  for (auto* node : {&cache, &alice, &carol}) EXPECT_GT(node->engine.traffic(c.id).sent, 1000000u);
}

// The cache's up-link is the bottleneck: what one has, it gives to the others.
TEST(SlowLink, WhoStartsTogetherSharesWhatTheCacheSends) {
  Content c(4000000, 35);
  Node cache(1, c, true, true), alice(2, c, false, true), bob(3, c, false, true), carol(4, c, false, true);
  World world(ten_megabit(0), {&cache, &alice, &bob, &carol});
  auto uplink = ten_megabit(0);
  uplink.delay = 1ms;
  world.set_uplink(cache.address, uplink);
  for (auto* node : {&alice, &bob, &carol}) world.connect(*node, cache, c.id, true);
  world.connect(alice, bob, c.id, true, true, PartnerKind::ue);
  world.connect(bob, carol, c.id, true, true, PartnerKind::ue);
  world.connect(carol, alice, c.id, true, true, PartnerKind::ue);
  auto all = [&] { return whole(alice, c) && whole(bob, c) && whole(carol, c); };
  world.run(120s, all);
  ASSERT_TRUE(all());
  for (auto* node : {&alice, &bob, &carol}) EXPECT_GT(node->engine.traffic(c.id).received_from_ues, 100000u);
  EXPECT_LT(cache.engine.traffic(c.id).sent, 3 * c.octets.size());
}

TEST(SlowLink, TheSameSeedIsTheSameCourse) {
  Content c(1000000, 36);
  auto options = ten_megabit(0.02);
  options.jitter = 3ms;
  auto course = [&](std::uint64_t seed) {
    Node cache(1, c, true, true), ue(2, c, false, true);
    World world(options, seed);
    for (auto* node : {&cache, &ue}) world.add(*node);
    world.connect(ue, cache, c.id, true);
    world.run(600s, [&] { return whole(ue, c); });
    EXPECT_TRUE(whole(ue, c));
    return std::pair(world.now, world.datagrams);
  };
  EXPECT_EQ(course(5), course(5));
  EXPECT_NE(course(5), course(6));
}

// A packet of DATA each 2 ms, whatever the window.
struct Metronome final : CongestionControl {
  void on_datagram_size(std::uint32_t) override {}
  void on_sent(const PacketFate&) override {}
  void on_acknowledged(const PacketFate&) override {}
  void on_lost(const PacketFate&, std::uint64_t) override {}
  void on_arrived_after_all(std::uint64_t) override {}
  void on_timeout(int, std::uint64_t) override {}
  std::uint64_t window() const override { return 1u << 20; }
  double pace(Duration) const override { return 1197 / 0.002; }
};

TEST(SlowLink, TheEngineKeepsThePaceThatCongestionControlSets) {
  Content c(1152 * 500, 37);
  EngineOptions paced;
  paced.congestion_control = [] { return std::make_unique<Metronome>(); };
  Node cache(1, c, true, true, Appetite::none, paced), ue(2, c, false, true);
  World world({}, {&cache, &ue});
  auto start = world.now;
  world.connect(ue, cache, c.id, true);
  world.run(60s, [&] { return whole(ue, c); });
  ASSERT_TRUE(whole(ue, c));
  EXPECT_GT(world.now - start, 1s);
  EXPECT_LT(world.now - start, 1300ms);
}

}  // namespace
}  // namespace sealcast::swarm
