#include "swarm/engine.hpp"

#include <gtest/gtest.h>

#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

struct Case {
  std::uint64_t length;
  double loss;
  bool secured;
};
// ctest names the tests by it.
void PrintTo(const Case& c, std::ostream* out) {
  *out << "octets_" << c.length << "_loss_" << static_cast<int>(c.loss * 100) << (c.secured ? "_srtp" : "_plain");
}
class EveryLink : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Sizes, EveryLink,
                         testing::Values(Case{1, 0, true}, Case{1152, 0, false}, Case{1153, 0.05, true},
                                         Case{7 * 1152, 0.1, true}, Case{33 * 1152, 0.1, false}, Case{1000000, 0, true},
                                         Case{1000000, 0.02, false}, Case{3000001, 0.1, true},
                                         Case{11520000, 0.01, true}));

TEST_P(EveryLink, ContentArrivesWholeThroughLossReorderingAndDuplicates) {
  auto [length, loss, secured] = GetParam();
  Content c(length, 3);
  Node cache(1, c, true, secured), ue(2, c, false, secured);
  World world({loss, loss / 2, 5ms, loss > 0 ? Duration(3ms) : Duration(0)});
  world.add(cache);
  world.add(ue);
  world.connect(ue, cache, c.id, secured);
  world.run(300s, [&] { return ue.count(EventKind::swarm_complete) > 0; });
  EXPECT_TRUE(whole(ue, c));
  EXPECT_EQ(ue.engine.traffic(c.id).received_from_caches, length);
  EXPECT_EQ(ue.count(EventKind::integrity_failure), 0);
}

TEST(Engine, WithoutAdmissionOrStrengthNothingIsAnswered) {
  Content c(100000, 4);
  for (bool admit : {true, false}) {
    Node cache(1, c, true, admit /* wants SRTP */), ue(2, c, false, false);
    World world({}, {&cache, &ue});
    world.connect(ue, cache, c.id, !admit, admit);
    world.run(30s);
    EXPECT_EQ(ue.engine.held(c.id)->count(), 0u);
    EXPECT_EQ(ue.count(EventKind::channel_open), 0);
    EXPECT_EQ(cache.engine.traffic(c.id).sent, 0u);
    EXPECT_EQ(ue.count(EventKind::channel_closed), 1);
  }
}

TEST(Engine, AppetiteWaitsForTheKeyAndKeyinfoSurvivesLoss) {
  Content c(500000, 5);
  Node cache(1, c, true, true, Appetite::all, {}, "certificate~info"), ue(2, c, false, true, Appetite::none);
  World world({0.2, 0, 5ms});
  world.add(cache);
  world.add(ue);
  world.connect(ue, cache, c.id, true);
  world.run(20s);
  ASSERT_EQ(ue.count(EventKind::keyinfo), 1);
  EXPECT_EQ(ue.engine.held(c.id)->count(), 0u);
  EXPECT_EQ(cache.engine.traffic(c.id).sent, 0u);
  ue.engine.set_appetite(world.now, c.id, Appetite::all);
  world.run(120s, [&] { return whole(ue, c); });
  EXPECT_TRUE(whole(ue, c));
}

TEST(Engine, KeyinfoThatComesDuringTheHandshakeIsTold) {
  Content c(500000, 5);
  for (auto after : {0ms, 3ms, 7ms, 12ms, 18ms}) {
    Node cache(1, c, true, true), ue(2, c, false, true, Appetite::none);
    World world({0, 0, 5ms});
    world.add(cache);
    world.add(ue);
    world.connect(ue, cache, c.id, true);
    world.run(after);
    cache.engine.set_keyinfo(c.id, "certificate~info");
    world.run(5s);
    EXPECT_EQ(ue.count(EventKind::keyinfo), 1) << after.count();
  }
}

TEST(Engine, SecondUeTakesFromTheFirstWhoHandsKeyinfoOn) {
  Content c(3000000, 6);
  Node cache(1, c, true, true), alice(2, c, true, true, Appetite::all, {}, "k~i"), bob(3, c, false, true);
  World world({0.01, 0, 5ms, 2ms});
  for (auto* n : {&cache, &alice, &bob}) world.add(*n);
  world.connect(bob, cache, c.id, true);
  world.connect(bob, alice, c.id, true, true, PartnerKind::ue);
  world.run(120s, [&] { return whole(bob, c); });
  ASSERT_TRUE(whole(bob, c));
  EXPECT_GT(bob.engine.traffic(c.id).received_from_ues, c.octets.size() / 8);
  EXPECT_GT(bob.engine.traffic(c.id).received_from_caches, c.octets.size() / 8);
  EXPECT_EQ(bob.count(EventKind::keyinfo), 1);
}

TEST(Engine, ALyingPartnerNeverGetsAnOctetIntoStorage) {
  Content c(300000, 7), lie(300000, 8);
  Node honest(1, c, true, true), liar(2, c, true, true), ue(3, c, false, true);
  liar.storage.octets = lie.octets;
  // The liar's own check would stop it: give it a tree that fits its lie, root and all.
  std::copy(lie.nodes.begin(), lie.nodes.end(), liar.nodes.begin());
  World world({});
  for (auto* n : {&honest, &liar, &ue}) world.add(*n);
  world.connect(ue, liar, c.id, true, true, PartnerKind::ue);
  world.run(5s);
  EXPECT_EQ(ue.storage.octets, Bytes(300000));
  EXPECT_GE(ue.count(EventKind::integrity_failure), 3);
  EXPECT_EQ(ue.count(EventKind::channel_closed), 1);
  world.connect(ue, honest, c.id, true);
  world.run(60s, [&] { return whole(ue, c); });
  EXPECT_TRUE(whole(ue, c));
}

TEST(Engine, TamperedPlainDatagramsAreAskedForAgainWithoutBlame) {
  Content c(300000, 9);
  Node cache(1, c, true, false), ue(2, c, false, false);
  World world({});
  int changed = 0;
  world.tamper = [&](Bytes& octets, const Endpoint& from) {
    if (from.port == 1 && octets.size() > 1000 && changed < 40 && octets[100]++ % 3 == 0) ++changed;
  };
  world.add(cache);
  world.add(ue);
  world.connect(ue, cache, c.id, false);
  world.run(2s);
  world.tamper = nullptr;
  world.run(60s, [&] { return whole(ue, c); });
  EXPECT_TRUE(whole(ue, c));
  EXPECT_GT(ue.count(EventKind::integrity_failure), 0);
  EXPECT_EQ(ue.count(EventKind::channel_closed), 0);
}

TEST(Engine, AFlippedBitOnDiskIsFoundNeverServedAndFetchedAgain) {
  Content c(400000, 10);
  Node cache(1, c, true, true), alice(2, c, true, true), bob(3, c, false, true);
  cache.storage.octets[200000] ^= 4;
  World world({});
  for (auto* n : {&cache, &alice, &bob}) world.add(*n);
  world.connect(cache, alice, c.id, true, true, PartnerKind::ue);
  world.run(1s);
  world.connect(bob, cache, c.id, true);
  world.run(60s, [&] { return whole(bob, c); });
  EXPECT_TRUE(whole(bob, c));
  EXPECT_GE(cache.count(EventKind::storage_corrupt), 1);
  EXPECT_EQ(bob.count(EventKind::integrity_failure), 0);
  EXPECT_TRUE(whole(cache, c));
}

TEST(Engine, AFlippedBitInTheTreeIsMendedAndNobodyIsSentAWrongHash) {
  Content c(400000, 12);
  Node cache(1, c, true, true), ue(2, c, false, true);
  auto sound = cache.nodes;
  for (std::size_t node : {0, 31, 100, 165, 255}) cache.nodes[node][7] ^= 1;
  World world({});
  for (auto* n : {&cache, &ue}) world.add(*n);
  world.connect(ue, cache, c.id, true);
  world.run(60s, [&] { return whole(ue, c); });
  EXPECT_TRUE(whole(ue, c));
  EXPECT_EQ(ue.count(EventKind::integrity_failure), 0);
  EXPECT_EQ(cache.count(EventKind::storage_corrupt), 0);
  EXPECT_EQ(cache.nodes, sound);
}

TEST(Engine, WhatIsHeldCanBeChecked) {
  Content c(400000, 13);
  Node cache(1, c, true, true), ue(2, c, true, true);
  ue.storage.octets[200000] ^= 4;
  auto now = Instant{} + 1h;
  std::vector<std::uint32_t> bad;
  for (std::uint32_t chunk = 0; chunk < c.geometry.chunks(); chunk += 32)
    if (!ue.engine.check_run(now, c.id, chunk)) bad.push_back(chunk / 32);
  EXPECT_EQ(bad, std::vector<std::uint32_t>{200000 / c.geometry.chunk_size() / 32});
  EXPECT_EQ(ue.engine.held(c.id)->count(), c.geometry.chunks() - 1);
  EXPECT_TRUE(ue.engine.check_run(now, c.id, 200000 / c.geometry.chunk_size()));  // what is left of it is good
  World world({});
  for (auto* n : {&cache, &ue}) world.add(*n);
  world.connect(ue, cache, c.id, true);
  world.run(60s, [&] { return whole(ue, c); });
  EXPECT_TRUE(whole(ue, c));
}

TEST(Engine, APartnerThatVanishesIsReportedAndReplaced) {
  Content c(4000000, 11);
  Node first(1, c, true, true), second(2, c, true, true), ue(3, c, false, true);
  World world({0, 0, 20ms});
  for (auto* n : {&first, &second, &ue}) world.add(*n);
  world.connect(ue, first, c.id, true);
  world.run(300ms);
  auto before = ue.engine.held(c.id)->count();
  EXPECT_GT(before, 0u);
  EXPECT_FALSE(whole(ue, c));
  world.cut(first.address);
  world.run(15s);
  EXPECT_EQ(ue.count(EventKind::stalled), 1);
  world.connect(ue, second, c.id, true);
  world.run(60s, [&] { return whole(ue, c); });
  EXPECT_TRUE(whole(ue, c));
}

TEST(Engine, FullDiskStopsTheAppetite) {
  Content c(400000, 12);
  Node cache(1, c, true, true), ue(2, c, false, true);
  ue.storage.full = true;
  World world({}, {&cache, &ue});
  world.connect(ue, cache, c.id, true);
  world.run(5s);
  ASSERT_GE(ue.count(EventKind::storage_failed), 1);
  EXPECT_EQ(ue.engine.held(c.id)->count(), 0u);
}

TEST(Engine, DownloadLimitHolds) {
  Content c(2000000, 13);
  EngineOptions options;
  options.download_limit = 200000;
  Node cache(1, c, true, true), ue(2, c, false, true, Appetite::all, options);
  World world({}, {&cache, &ue});
  auto start = world.now;
  world.connect(ue, cache, c.id, true);
  world.run(60s, [&] { return whole(ue, c); });
  ASSERT_TRUE(whole(ue, c));
  auto seconds = std::chrono::duration<double>(world.now - start).count();
  EXPECT_GT(seconds, 8);  // virtual time
  EXPECT_LT(seconds, 14);
}

TEST(Engine, UnderADownloadLimitNoPartnerTakesAll) {
  Content c(2000000, 21);
  EngineOptions options;
  options.download_limit = 400000;
  Node cache(1, c, true, true), seed(3, c, true, true), ue(2, c, false, true, Appetite::all, options);
  World world({}, {&cache, &seed, &ue});
  world.connect(ue, cache, c.id, true);
  world.run(200ms);  // the cache is ahead
  world.connect(ue, seed, c.id, true, true, PartnerKind::ue);
  world.run(60s, [&] { return whole(ue, c); });
  ASSERT_TRUE(whole(ue, c));
  auto traffic = ue.engine.traffic(c.id);
  EXPECT_GT(traffic.received_from_caches, 500000u);
  EXPECT_GT(traffic.received_from_ues, 500000u);
}

// The limiter has something again at times that one partner's timer may always be the first to meet.
TEST(Engine, UnderADownloadLimitNobodysTurnIsMissed) {
  Content c(1500000, 22);
  EngineOptions options;
  options.download_limit = 400000;
  for (auto behind : {1us, 137us, 1'003us, 7'777us, 29'000us}) {
    Node cache(1, c, true, true), seed(3, c, true, true), ue(2, c, false, true, Appetite::all, options);
    World world({0, 0, 20us}, {&cache, &seed, &ue});
    world.connect(ue, cache, c.id, true);
    world.run(500ms + behind);
    world.connect(ue, seed, c.id, true, true, PartnerKind::ue);
    world.run(60s, [&] { return whole(ue, c); });
    EXPECT_GT(ue.engine.traffic(c.id).received_from_ues, 300000u) << behind.count();
  }
}

TEST(Engine, ClosingIsTold) {
  Content c(1000, 14);
  Node cache(1, c, true, true), ue(2, c, false, true);
  World world({}, {&cache, &ue});
  auto id = world.connect(ue, cache, c.id, true);
  world.run(1s);
  ue.engine.remove_association(world.now, id);
  world.run(1s);
  EXPECT_EQ(cache.count(EventKind::channel_closed), 1);
  EXPECT_TRUE(ue.engine.associations().empty());
}

// Its third bad run is found bad only later, when the hash that proves it comes with another run: the channel goes
// while it is being worked on.
TEST(Engine, APartnerMayBeFoundLyingByTheHashesOfAnotherRun) {
  Content c(128 * 1152, 16);
  Node ue(1, c, false, true);
  Script liar;
  Instant now{1s};
  auto id = liar.meet(ue, now);
  ASSERT_TRUE(ue.engine.open_channel(now, id, c.id));
  liar.listen(ue, now);
  ASSERT_NE(liar.channel, 0u);
  liar.say(ue, now, [&](Writer& w) {
    ppspp::write_handshake(w, {5, std::nullopt, 1152});
    ppspp::write_range(w, ppspp::MessageType::have, {0, 127});
  });
  auto prove = [&](std::uint32_t run) {
    auto node = content::bin::at(5, run);
    liar.say(ue, now, [&](Writer& w) {
      for (auto b : {node, content::bin::sibling(node), content::bin::sibling(content::bin::parent(node))})
        ppspp::write_integrity(w, {b, c.nodes[b]});
    });
  };
  prove(0);
  liar.send_run(ue, now, c, 0, false);
  liar.send_run(ue, now, c, 1, false);
  liar.send_run(ue, now, c, 2, false);
  liar.send_run(ue, now, c, 3, true);
  prove(3);
  while (auto event = ue.engine.poll_event()) ue.events.push_back(std::move(*event));
  EXPECT_EQ(ue.engine.held(c.id)->count(), 0u);  // the good run came behind the third bad one
  for (int i = 0; i < 60; ++i) {
    liar.listen(ue, now);
    now += 100ms;
    ue.engine.on_deadline(now);
    while (auto event = ue.engine.poll_event()) ue.events.push_back(std::move(*event));
  }
  EXPECT_EQ(ue.count(EventKind::integrity_failure), 3);
  EXPECT_EQ(ue.count(EventKind::channel_closed), 1);
}

// What one is not asked for any more, another is, without waiting for a datagram or for a timer of its own.
TEST(Engine, WhatAPartnerGivesUpIsAskedOfTheOthersSoon) {
  Content c(160 * 1152, 16);
  Node ue(1, c, false, true);
  Script first, second;
  second.address.port = 10;
  Instant now{1s};
  first.open(ue, now, c.id, {0, 127});
  first.listen(ue, now);
  ASSERT_EQ(first.heard_ranges(ppspp::MessageType::request).size(), 4u);
  second.open(ue, now, c.id, {0, 159});
  second.listen(ue, now);
  ASSERT_EQ(second.heard_ranges(ppspp::MessageType::request), std::vector{(ChunkRange{128, 159})});
  second.heard.clear();
  first.say(ue, now, [](Writer& w) { w.u8(static_cast<std::uint8_t>(ppspp::MessageType::choke)); });
  for (auto end = now + 100ms; now < end;) {
    now = std::max(now + 1ms, std::min(end, ue.engine.deadline()));
    ue.engine.on_deadline(now);
    second.listen(ue, now);
  }
  EXPECT_EQ(second.heard_ranges(ppspp::MessageType::request).size(), 3u);  // its window is four
}

TEST(Engine, APartnerGetsOneChannelForASwarm) {
  Content c(64 * 1152, 18);
  Node cache(1, c, true, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(cache, now);
  cache.engine.admit(id, c.id);
  partner.channel = 0;
  for (std::uint32_t source : {11u, 12u, 13u, 11u})
    partner.say(cache, now, [&](Writer& w) { ppspp::write_handshake(w, {source, c.id, 1152}); });
  auto answers = 0;
  for (; cache.engine.output(now); ++answers) {
  }
  EXPECT_EQ(answers, 1);
}

// Runs under way bring the same hashes high in the tree again and again: they must not crowd out those that only one
// run needs.
TEST(Engine, RepeatedHashesDoNotCrowdOutOthers) {
  Content c(128 * 1152, 17);
  Node ue(1, c, false, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(ue, now);
  ASSERT_TRUE(ue.engine.open_channel(now, id, c.id));
  partner.listen(ue, now);
  partner.say(ue, now, [&](Writer& w) {
    ppspp::write_handshake(w, {5, std::nullopt, 1152});
    ppspp::write_range(w, ppspp::MessageType::have, {0, 127});
  });
  auto send = [&](content::Bin b) {
    partner.say(ue, now, [&](Writer& w) { ppspp::write_integrity(w, {b, c.nodes[b]}); });
  };
  for (int i = 0; i < 200; ++i) send(content::bin::at(6, 1));
  for (std::uint32_t run : {1u, 0u}) send(content::bin::at(5, run));
  partner.send_run(ue, now, c, 0, true);
  EXPECT_TRUE(ue.engine.held(c.id)->test(ChunkRange{0, 31}));
}

TEST(Engine, NothingIsOpenedOnAnAssociationThatLeaves) {
  Content c(1000, 17);
  Node cache(1, c, true, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(cache, now);
  cache.engine.admit(id, c.id);
  cache.engine.remove_association(now, id);
  EXPECT_FALSE(cache.engine.open_channel(now, id, c.id));
  partner.say(cache, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
  partner.listen(cache, now);
  EXPECT_EQ(partner.channel, 0u);
  EXPECT_TRUE(cache.engine.associations().empty());
}

TEST(Engine, GarbageFromTheNetworkIsHarmless) {
  Content c(100000, 15);
  Node cache(1, c, true, false), ue(2, c, false, false);
  World world({}, {&cache, &ue});
  SeededRandom random(99);
  world.tamper = [&](Bytes& octets, const Endpoint&) {
    if (random.u32() % 3 == 0 && octets.size() > 13)
      octets[12 + random.u32() % (octets.size() - 12)] = static_cast<std::uint8_t>(random.u32());
  };
  world.connect(ue, cache, c.id, false);
  world.run(20s);
  world.tamper = nullptr;
  world.connect(ue, cache, c.id, false);  // what a plain association lost in forged control, a new one brings
  world.run(300s, [&] { return whole(ue, c); });
  EXPECT_TRUE(whole(ue, c));
}

}  // namespace
}  // namespace sealcast::swarm
