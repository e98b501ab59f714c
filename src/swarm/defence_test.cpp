// Each line of the engine that holds something back, one by one: what gets through when it goes.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

using ppspp::MessageType;

void take_events(Node& node) {
  while (auto event = node.engine.poll_event()) node.events.push_back(std::move(*event));
}

// A key that is used up silences its association: no datagram goes out that it does not protect.
TEST(Defence, NothingGoesOutUnprotected) {
  Content c(400 * 1152, 9);
  Node cache(1, c, true, true);
  Script partner;
  Instant now{1s};
  AssociationConfig config;
  config.remote = partner.address;
  config.local_ssrc = 8;
  config.remote_ssrc = 7;
  config.send_key = partner.theirs.duplicate();
  config.receive_key = partner.ours.duplicate();
  config.srtp.lifetime = 20;
  auto id = *cache.engine.add_association(now, std::move(config));
  cache.engine.admit(id, c.id);
  partner.say(cache, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
  partner.listen(cache, now);
  partner.say(cache, now, [](Writer& w) { ppspp::write_range(w, MessageType::request, {0, 399}); });
  std::size_t all = 0;
  for (int i = 0; i < 200; ++i, now += 50ms) {
    while (auto batch = cache.engine.output(now))
      for (std::size_t at = 0; at < batch->data.size(); at += batch->segment) {
        auto octets = bytes_of(batch->data.subspan(at, std::min(batch->segment, batch->data.size() - at)));
        rtp::PacketSlot slot{octets.data(), static_cast<std::uint32_t>(octets.size()),
                             static_cast<std::uint32_t>(octets.size()), false};
        if (rtp::classify(octets) == rtp::PacketKind::rtcp) continue;
        partner.receiver.unprotect({&slot, 1});
        EXPECT_TRUE(slot.ok);
        if (partner.packets_heard++ == 0) partner.first_heard = rtp::parse_header(octets)->sequence;
        ++all;
      }
    partner.report(cache, now);
    if (cache.engine.deadline() <= now) cache.engine.on_deadline(now);
  }
  take_events(cache);
  EXPECT_GT(all, 5u);
  EXPECT_LE(all, 20u);
  EXPECT_EQ(cache.count(EventKind::key_exhausted), 1);
}

TEST(Defence, AssociationsAreMadeWithBothKeysOrNoneAndOnceEach) {
  Content c(1000, 9);
  EngineOptions options;
  options.max_associations = 2;
  Node node(1, c, true, true, Appetite::all, options);
  auto make = [&](std::uint16_t port, bool send, bool receive) {
    AssociationConfig config;
    config.remote = {IpAddress::v4(127, 0, 0, 1), port};
    config.remote_ssrc = 7;
    rtp::SrtpKey key{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)};
    if (send) config.send_key = key.duplicate();
    if (receive) config.receive_key = key.duplicate();
    return node.engine.add_association(Instant{1s}, std::move(config)).has_value();
  };
  EXPECT_FALSE(make(10, true, false));
  EXPECT_FALSE(make(10, false, true));
  EXPECT_TRUE(make(10, true, true));
  EXPECT_FALSE(make(10, true, true));
  EXPECT_TRUE(make(11, true, true));
  EXPECT_FALSE(make(12, true, true));
}

TEST(Defence, WeakAssociationsOpenNoChannelOfAStrongSwarm) {
  Content c(1000, 9);
  Node node(1, c, true, true);
  Script partner(false);
  Instant now{1s};
  auto id = partner.meet(node, now);
  auto opened = node.engine.open_channel(now, id, c.id);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().rule, "sdes-required");
  node.engine.admit(id, c.id);
  partner.say(node, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
  EXPECT_FALSE(node.engine.output(now));
}

TEST(Defence, WhatBecomesStrongClosesItsWeakChannels) {
  Content c(1000, 9);
  Node cache(1, c, true, false);
  Script plain(false), secured;
  secured.address.port = 10;
  Instant now{1s};
  auto weak = plain.call(cache, now, c.id);
  secured.call(cache, now, c.id);
  take_events(cache);
  EXPECT_EQ(cache.count(EventKind::channel_open), 2);
  cache.engine.set_secured_only(c.id);
  take_events(cache);
  EXPECT_EQ(cache.count(EventKind::channel_closed), 1);
  EXPECT_EQ(cache.events.back().association, weak);
}

TEST(Defence, HandshakesThatDoNotFitAreNotAnswered) {
  Content c(64 * 1152, 9);
  SwarmId other{};
  other[3] = 7;
  Node cache(1, c, true, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(cache, now);
  cache.engine.admit(id, c.id);
  for (auto& handshake : {ppspp::Handshake{5, c.id, 1024}, {5, other, 1152}, {5, std::nullopt, 1152}}) {
    partner.say_as(partner.sequence++, cache, now, 0, [&](Writer& w) { ppspp::write_handshake(w, handshake); });
    EXPECT_FALSE(cache.engine.output(now)) << handshake.chunk_size;
  }
  partner.say_as(partner.sequence++, cache, now, 0, [](Writer& w) { ppspp::write_closing(w); });
  EXPECT_FALSE(cache.engine.output(now));
  partner.say_as(partner.sequence++, cache, now, 0, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
  EXPECT_TRUE(cache.engine.output(now));
}

TEST(Defence, AnAnswerWithOtherChunksOpensNothing) {
  Content c(64 * 1152, 9);
  Node ue(1, c, false, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(ue, now);
  ASSERT_TRUE(ue.engine.open_channel(now, id, c.id));
  partner.listen(ue, now);
  partner.say(ue, now, [](Writer& w) {
    ppspp::write_range(w, MessageType::have, {0, 63});  // before its handshake it says nothing that counts
    ppspp::write_handshake(w, {5, std::nullopt, 1024});
    ppspp::write_range(w, MessageType::have, {0, 63});
  });
  take_events(ue);
  EXPECT_EQ(ue.count(EventKind::channel_open), 0);
  EXPECT_EQ(ue.count(EventKind::bitmap), 0);
  partner.say(ue, now, [](Writer& w) { ppspp::write_handshake(w, {5, std::nullopt, 1152}); });
  take_events(ue);
  EXPECT_EQ(ue.count(EventKind::channel_open), 1);
}

TEST(Defence, RangesBeyondTheContentAreNothing) {
  Content c(64 * 1152, 9);
  Node ue(1, c, false, true);
  Script partner;
  Instant now{1s};
  partner.open(ue, now, c.id, {0, 64});
  partner.say(ue, now, [](Writer& w) {
    ppspp::write_range(w, MessageType::have, {64, UINT32_MAX});
    ppspp::write_ack(w, {0, UINT32_MAX}, 0);
    ppspp::write_range(w, MessageType::request, {64, UINT32_MAX});
    ppspp::write_range(w, MessageType::cancel, {64, UINT32_MAX});
    ppspp::write_data(w, 64, 0, Bytes(1152));
  });
  partner.heard.clear();
  partner.listen(ue, now);
  take_events(ue);
  EXPECT_EQ(ue.count(EventKind::bitmap), 0);
  EXPECT_TRUE(partner.heard_ranges(MessageType::request).empty());
}

TEST(Defence, ALongRequestIsServedToTheEndOfTheContentAndNothingThatIsNotHere) {
  Content c(70 * 1152, 9);
  Node seed(1, c, true, true), empty(2, c, false, true, Appetite::none);
  for (auto* node : {&seed, &empty}) {
    Script partner;
    Instant now{1s};
    partner.call(*node, now, c.id);
    partner.say(*node, now, [](Writer& w) { ppspp::write_range(w, MessageType::request, {0, UINT32_MAX}); });
    for (int i = 0; i < 50; ++i, now += 50ms) {
      partner.listen(*node, now);
      partner.report(*node, now);
    }
    take_events(*node);
    EXPECT_EQ(partner.heard_ranges(MessageType::data).size(), node == &seed ? 70u : 0u);
    EXPECT_EQ(node->count(EventKind::storage_corrupt), 0);
  }
}

TEST(Defence, DataOfAnotherSizeIsNotTaken) {
  Content c(32 * 1152, 9);
  Node ue(1, c, false, true);
  Script partner;
  Instant now{1s};
  partner.open(ue, now, c.id, {0, 31});
  for (std::size_t size : {1u, 1151u, 1153u})
    partner.say(ue, now, [&](Writer& w) { ppspp::write_data(w, 0, 0, Bytes(size)); });
  partner.send_run(ue, now, c, 0, true);
  take_events(ue);
  EXPECT_TRUE(whole(ue, c));
  EXPECT_EQ(ue.count(EventKind::integrity_failure), 0);
}

TEST(Defence, OnlyTheNegotiatedPacketsAreTaken) {
  Content c(64 * 1152, 9);
  Node cache(1, c, true, false);
  Script partner(false);
  Instant now{1s};
  auto id = partner.meet(cache, now);
  cache.engine.admit(id, c.id);
  auto packet = [&](std::uint8_t type, std::uint8_t first) {
    Bytes room(200);
    Writer w(MutableByteView(room).subspan(12));
    w.u32(0);
    ppspp::write_handshake(w, {5, c.id, 1152});
    rtp::write_header({type, 1, 0, 7}, room.data());
    room[0] = first;
    room.resize(12 + w.size());
    return room;
  };
  auto answered = [&](Bytes octets, const Endpoint& from) {
    cache.engine.input(now, {from, octets.size(), octets});
    return cache.engine.output(now).has_value();
  };
  EXPECT_FALSE(answered(packet(97, 0x80), partner.address));
  EXPECT_FALSE(answered(packet(98, 0x90), partner.address));
  EXPECT_FALSE(answered(packet(98, 0x80), {partner.address.address, 77}));
  auto foreign = packet(98, 0x80);
  foreign[11] = 6;
  EXPECT_FALSE(answered(foreign, partner.address));
  EXPECT_TRUE(answered(packet(98, 0x80), partner.address));
}

TEST(Defence, PlainPacketsAreNothingOnASecuredAssociation) {
  Content c(64 * 1152, 9);
  Node cache(1, c, true, true);
  Script secured, plain(false);
  Instant now{1s};
  auto id = secured.meet(cache, now);
  cache.engine.admit(id, c.id);
  plain.say(cache, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
  EXPECT_FALSE(cache.engine.output(now));
  EXPECT_EQ(cache.engine.associations().front().authentication_failures, 1u);
  secured.say(cache, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
  while (cache.engine.output(now)) {
  }
  EXPECT_GT(cache.engine.associations().front().in_flight, 0u);
  for (std::uint32_t begin = 0; begin < 65536; begin += 1024) {  // reports of everything, in clear
    rtp::Feedback f{7, 8, static_cast<std::uint16_t>(begin), std::vector<rtp::FeedbackReport>(1024, {true, 0}), 0};
    Bytes room(rtp::feedback_octets(1024));
    rtp::write_feedback(f, room);
    cache.engine.input(now, {plain.address, room.size(), room});
  }
  EXPECT_GT(cache.engine.associations().front().in_flight, 0u);
}

TEST(Defence, FeedbackAboutAnotherStreamIsNothing) {
  Content c(64 * 1152, 9);
  Node cache(1, c, true, false);
  Script partner(false);
  Instant now{1s};
  partner.call(cache, now, c.id);
  partner.listen(cache, now);
  auto in_flight = [&] { return cache.engine.associations().front().in_flight; };
  ASSERT_GT(in_flight(), 0u);
  for (std::uint32_t media : {9u, 8u}) {
    rtp::Feedback f{7, media, partner.first_heard, std::vector<rtp::FeedbackReport>(partner.packets_heard, {true, 0}),
                    0};
    Bytes room(rtp::feedback_octets(f.reports.size()));
    rtp::write_feedback(f, room);
    cache.engine.input(now, {partner.address, room.size(), room});
    EXPECT_EQ(in_flight() > 0, media == 9) << media;
  }
}

TEST(Defence, ChannelsAreBounded) {
  Content c(1000, 9);
  for (bool half_open : {true, false}) {
    EngineOptions options;
    (half_open ? options.max_half_open : options.max_channels) = 2;
    Node cache(1, c, true, true, Appetite::none, options);
    std::vector<std::vector<content::Digest>> trees;
    std::vector<SwarmId> ids{c.id};
    for (std::uint8_t i = 1; i < 5; ++i) {
      ids.push_back({i});
      trees.push_back(c.nodes);
      SwarmConfig config{ids.back(), c.geometry, true, trees.back(), content::Bitmap(1)};
      config.storage = &cache.storage;
      EXPECT_TRUE(cache.engine.add_swarm(std::move(config)));
    }
    Script partner;
    Instant now{1s};
    auto id = partner.meet(cache, now);
    for (auto& swarm : ids) {
      cache.engine.admit(id, swarm);
      partner.say_as(partner.sequence++, cache, now, 0, [&](Writer& w) {
        ppspp::write_handshake(w, {5, swarm, 1152});
      });
    }
    partner.listen(cache, now);
    EXPECT_EQ(partner.packets_heard, 2);
  }
}

TEST(Defence, AdmissionEndsWithTheSwarm) {
  Content c(1000, 9);
  Node cache(1, c, true, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(cache, now);
  cache.engine.admit(id, c.id);
  cache.engine.remove_swarm(now, c.id);
  SwarmConfig config{c.id, c.geometry, true, cache.nodes, content::Bitmap(c.geometry.chunks(), true)};
  config.storage = &cache.storage;
  ASSERT_TRUE(cache.engine.add_swarm(std::move(config)));
  partner.say(cache, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
  EXPECT_FALSE(cache.engine.output(now));
}

TEST(Defence, FeedbackIsProtected) {
  Content c(1000, 9);
  Node cache(1, c, true, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(cache, now);
  cache.engine.admit(id, c.id);
  partner.say(cache, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
  now += 10ms;
  auto reports = 0;
  while (auto batch = cache.engine.output(now)) {
    auto octets = bytes_of(batch->data.first(batch->segment));
    if (rtp::classify(octets) != rtp::PacketKind::rtcp) continue;
    rtp::PacketSlot slot{octets.data(), static_cast<std::uint32_t>(octets.size()),
                         static_cast<std::uint32_t>(octets.size()), false};
    partner.receiver.unprotect_rtcp(slot);
    EXPECT_TRUE(slot.ok);
    ++reports;
  }
  EXPECT_EQ(reports, 1);
}

// News in each datagram, of nothing that is wanted: the searches are paid out of one allowance.
TEST(Defence, SearchesSpendTheAllowance) {
  auto geometry = *content::Geometry::make(std::uint64_t{10} << 30, 1152);
  auto chunks = geometry.chunks();
  Content small(1152, 1);
  Node node(1, small, true, true);
  auto count = MerkleTree::octets(chunks) / 32;
  std::unique_ptr<content::Digest, decltype(&std::free)> nodes(static_cast<content::Digest*>(std::calloc(count, 32)),
                                                               &std::free);
  SwarmConfig config{SwarmId{9}, geometry, true, {nodes.get(), count}, content::Bitmap(chunks, true)};
  config.held.reset(chunks - 1);
  config.storage = &node.storage;
  config.appetite = Appetite::all;
  ASSERT_TRUE(node.engine.add_swarm(std::move(config)));
  Script partner;
  Instant now{1s};
  partner.open(node, now, SwarmId{9}, {0, chunks / 2});
  auto before = node.engine.work();
  for (std::uint32_t n = 1; n <= 2000; ++n)
    partner.say(node, now, [&](Writer& w) {
      ppspp::write_range(w, MessageType::have, {chunks / 2 + 2 * n, chunks / 2 + 2 * n});
    });
  EXPECT_LT(node.engine.work() - before, 8192u * 14 + 2000 * 20);
}

}  // namespace
}  // namespace sealcast::swarm
