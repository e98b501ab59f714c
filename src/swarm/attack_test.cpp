// What a partner, or a stranger on a plain association, may say and do; and what it costs: steps, not time.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

using ppspp::MessageType;
namespace bin = content::bin;

void take_events(Node& node) {
  while (auto event = node.engine.poll_event()) node.events.push_back(std::move(*event));
}
void pass(Node& node, Script& partner, Instant& now, Duration time) {
  for (auto end = now + time; now < end; now += 100ms) {
    if (node.engine.deadline() <= now) node.engine.on_deadline(now);
    partner.listen(node, now);
    take_events(node);
  }
}

// 10 GiB of which nobody holds an octet: the memory is only addressed.
class Huge : public testing::Test {
 protected:
  Huge()
      : geometry(*content::Geometry::make(std::uint64_t{10} << 30, 1152)),
        count(MerkleTree::octets(geometry.chunks()) / 32),
        nodes(static_cast<content::Digest*>(std::calloc(count, 32)), &std::free),
        small(1152, 1),
        node(1, small, true, true) {
    id[0] = 9;
    SwarmConfig config{id, geometry, true, {nodes.get(), count}, content::Bitmap(geometry.chunks())};
    config.storage = &node.storage;
    config.appetite = Appetite::all;
    EXPECT_TRUE(node.engine.add_swarm(std::move(config)));
    partner.open(node, now, id, {0, geometry.chunks() - 1});
  }
  // Datagrams full of what `write` says. Each step may cost a logarithm; nothing may cost the length of the object.
  void costs_its_octets(const char* what, const std::function<void(Writer&, std::uint32_t)>& write) {
    constexpr std::uint64_t k_each_octet = 8, k_each_datagram = 1000;
    std::uint64_t all = 0;
    std::size_t octets = 0;
    std::uint32_t n = 0;
    for (int datagram = 0; datagram < 400; ++datagram) {
      auto before = node.engine.work();
      auto size = partner.say(node, now, [&](Writer& w) {
        // Alternately full and with a single message.
        do write(w, n++);
        while (datagram % 2 == 0 && w.size() < 1100);
      });
      auto cost = node.engine.work() - before;
      ASSERT_LE(cost, k_each_octet * size + k_each_datagram + (datagram == 0 ? 4000 : 0))
          << what << " in datagram " << datagram;
      all += cost;
      octets += size;
      if (datagram % 50 == 0) partner.listen(node, now);
      take_events(node);
    }
    // What goes beyond the octets comes out of the association's allowance.
    EXPECT_LE(all, k_each_octet * octets + 20000) << what;
  }
  content::Geometry geometry;
  std::uint64_t count;
  std::unique_ptr<content::Digest, decltype(&std::free)> nodes;
  Content small;
  Node node;
  Script partner;
  SwarmId id{};
  Instant now{1s};
};

TEST_F(Huge, AnyMessageCostsWhatItsOctetsCost) {
  auto chunks = geometry.chunks();
  auto spread = [&](std::uint32_t n) { return static_cast<std::uint32_t>(n * 2654435761u) % chunks; };
  for (auto type : {MessageType::have, MessageType::request, MessageType::cancel}) {
    auto name = std::to_string(static_cast<int>(type));
    costs_its_octets((name + " of all").c_str(), [&](Writer& w, std::uint32_t) {
      ppspp::write_range(w, type, {0, chunks - 1});
    });
    costs_its_octets((name + " of one").c_str(), [&](Writer& w, std::uint32_t n) {
      ppspp::write_range(w, type, {spread(n), spread(n)});
    });
    costs_its_octets((name + " of half").c_str(), [&](Writer& w, std::uint32_t n) {
      ppspp::write_range(w, type, {n % 1000, chunks - 1 - n % 977});
    });
  }
  costs_its_octets("ACK", [&](Writer& w, std::uint32_t n) { ppspp::write_ack(w, {n % 5, chunks - 1}, 0); });
  costs_its_octets("CHOKE", [&](Writer& w, std::uint32_t n) {
    w.u8(static_cast<std::uint8_t>(n % 2 == 0 ? MessageType::choke : MessageType::unchoke));
  });
  costs_its_octets("CANCEL and REQUEST", [&](Writer& w, std::uint32_t n) {
    ppspp::write_range(w, n % 2 == 0 ? MessageType::request : MessageType::cancel, {n % 64 * 32, chunks - 1});
  });
  costs_its_octets("INTEGRITY", [&](Writer& w, std::uint32_t n) {
    ppspp::write_integrity(w, {bin::at(static_cast<int>(n % 24), spread(n) >> (n % 24)), {1}});
  });
  costs_its_octets("KEYINFO", [&](Writer& w, std::uint32_t n) { ppspp::write_keyinfo(w, std::to_string(n)); });
  costs_its_octets("HANDSHAKE", [&](Writer& w, std::uint32_t n) { ppspp::write_handshake(w, {n + 1, id, 1152}); });
}

// Memory too: small intervals without end.
TEST_F(Huge, FragmentsAreBounded) {
  for (std::uint32_t n = 0; n < 100000;) {
    partner.say(node, now, [&](Writer& w) {
      for (; w.size() < 1100; ++n) ppspp::write_range(w, MessageType::cancel, {n * 4, n * 4});
    });
  }
  partner.say(node, now, [&](Writer& w) { ppspp::write_range(w, MessageType::request, {0, geometry.chunks() - 1}); });
  auto before = node.engine.work();
  partner.listen(node, now);
  EXPECT_LE(node.engine.work() - before, 5000u);
}

TEST(Attack, OpeningAndClosingWithoutEndWaits) {
  Content c(64 * 1152, 18);
  Node cache(1, c, true, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(cache, now);
  cache.engine.admit(id, c.id);
  for (int i = 0; i < 1000; ++i) {
    partner.say_as(partner.sequence++, cache, now, 0, [&](Writer& w) {
      ppspp::write_handshake(w, {static_cast<ppspp::ChannelId>(i + 1), c.id, 1152});
    });
    partner.listen(cache, now);
    partner.say(cache, now, [](Writer& w) { ppspp::write_closing(w); });
  }
  take_events(cache);
  EXPECT_LT(cache.count(EventKind::channel_closed), 200);
  EXPECT_GT(cache.count(EventKind::channel_closed), 20);
}

TEST(Attack, AChokeThatStaysIsAStallAndOthersAreAsked) {
  Content c(128 * 1152, 3);
  for (bool secured : {true, false}) {
    Node ue(1, c, false, false);
    Script partner(secured);
    Instant now{1s};
    partner.open(ue, now, c.id, {0, 127});
    pass(ue, partner, now, 200ms);
    EXPECT_FALSE(partner.heard_ranges(MessageType::request).empty());
    auto choke = [&] { partner.say(ue, now, [](Writer& w) { w.u8(10); }); };
    choke();
    pass(ue, partner, now, 9s);
    EXPECT_EQ(ue.count(EventKind::stalled), 0);
    choke();  // saying it again is no excuse
    pass(ue, partner, now, 2s);
    EXPECT_EQ(ue.count(EventKind::stalled), 1);
    EXPECT_EQ(ue.events.back().text.empty(), false);
  }
}

// A deadline that has passed and that nothing answers would keep the loop busy.
TEST(Attack, NoPartnerKeepsTheTimerBusy) {
  Content c(128 * 1152, 3);
  for (bool secured : {true, false}) {
    Node ue(1, c, false, false);
    Script partner(secured);
    Instant now{1s};
    partner.open(ue, now, c.id, {0, 127});
    pass(ue, partner, now, 7s);
    partner.say(ue, now, [](Writer& w) { w.u8(10); });
    int timers = 0;
    for (auto end = now + 60s; now < end; ++timers) {
      now = std::max(now + 200us, std::min(end, ue.engine.deadline()));
      if (ue.engine.deadline() <= now) ue.engine.on_deadline(now);
      partner.listen(ue, now);
      partner.report(ue, now);
    }
    EXPECT_LT(timers, 3000);
  }
}

TEST(Attack, UnchokeGoesOn) {
  Content c(128 * 1152, 3);
  Node ue(1, c, false, true);
  Script partner;
  Instant now{1s};
  partner.open(ue, now, c.id, {0, 127});
  partner.say(ue, now, [](Writer& w) { w.u8(10); });
  pass(ue, partner, now, 2s);
  partner.heard.clear();
  partner.say(ue, now, [](Writer& w) { w.u8(11); });
  pass(ue, partner, now, 1s);
  EXPECT_FALSE(partner.heard_ranges(MessageType::request).empty());
}

// Whatever it says and sends, what does not verify is no progress; and it is given up.
TEST(Attack, DripsHandshakesAndHavesAreNoProgress) {
  Content c(128 * 1152, 3);
  Node ue(1, c, false, true);
  Script partner;
  Instant now{1s};
  partner.open(ue, now, c.id, {0, 127});
  EXPECT_EQ(ue.engine.progress(now, c.id).verified, Instant{});
  for (int i = 0; i < 120; ++i) {
    pass(ue, partner, now, 500ms);
    partner.say(ue, now, [&](Writer& w) {
      ppspp::write_handshake(w, {5, std::nullopt, 1152});
      ppspp::write_range(w, MessageType::have, {0, 127});
      w.u8(11);
    });
  }
  EXPECT_EQ(ue.engine.progress(now, c.id).verified, Instant{});
  EXPECT_FALSE(ue.engine.progress(now, c.id).held_by_limit);
  EXPECT_GE(ue.count(EventKind::stalled), 1);
  EXPECT_LE(ue.count(EventKind::stalled), 4);  // it rests longer each time
}

TEST(Attack, ProgressIsWhatVerified) {
  Content c(128 * 1152, 3);
  Node cache(1, c, true, true), ue(2, c, false, true);
  World world({}, {&cache, &ue});
  world.connect(ue, cache, c.id, true);
  world.run(10s, [&] { return whole(ue, c); });
  auto verified = ue.engine.progress(world.now, c.id).verified;
  EXPECT_GT(verified, Instant{1s});
  world.run(20s);
  EXPECT_EQ(ue.engine.progress(world.now, c.id).verified, verified);
}

TEST(Attack, OwnLimitIsNoStall) {
  Content c(128 * 1152, 3);
  EngineOptions options;
  options.download_limit = 1000;
  Node cache(1, c, true, true), ue(2, c, false, true, Appetite::all, options);
  World world({}, {&cache, &ue});
  world.connect(ue, cache, c.id, true);
  world.run(30s);
  EXPECT_GT(ue.engine.progress(world.now, c.id).verified, Instant{});
  EXPECT_TRUE(ue.engine.progress(world.now, c.id).held_by_limit);
  EXPECT_EQ(ue.count(EventKind::stalled), 0);
}

TEST(Attack, WhoLiesIsNamedOnlyWhenItIsCertain) {
  Content c(128 * 1152, 16);  // all its runs are asked for at once
  for (bool secured : {true, false}) {
    Node ue(1, c, false, false);
    Script liar(secured);
    Instant now{1s};
    liar.open(ue, now, c.id, {0, 127});
    for (std::uint32_t run = 0; run < 3; ++run) {
      liar.say(ue, now, [&](Writer& w) {
        for (auto b = bin::at(5, run); b != bin::at(7, 0); b = bin::parent(b))
          ppspp::write_integrity(w, {bin::sibling(b), c.nodes[bin::sibling(b)]});
      });
      liar.send_run(ue, now, c, run, false);
    }
    pass(ue, liar, now, 1s);
    EXPECT_EQ(ue.count(EventKind::lied), secured ? 1 : 0);
    EXPECT_EQ(ue.count(EventKind::channel_closed), secured ? 1 : 0);
    EXPECT_EQ(ue.count(EventKind::integrity_failure), 3);
  }
}

// ---- A stranger who can write to a plain association, one datagram at a time.

struct Plain {
  Content c{400 * 1152, 9};
  Node cache{1, c, true, false}, ue{2, c, false, false};
  World world{{}};
  std::uint32_t to_ue_ssrc = 0, to_cache_ssrc = 0;
  ppspp::ChannelId to_ue_channel = 0, to_cache_channel = 0;
  std::uint16_t to_ue_sequence = 0, to_cache_sequence = 0;
  Plain() {
    world.add(cache);
    world.add(ue);
    world.tamper = [this](Bytes& octets, const Endpoint& from) {
      if (rtp::classify(octets) != rtp::PacketKind::rtp) return;
      Reader r(octets);
      r.u16();
      auto sequence = r.u16();
      r.u32();
      auto ssrc = r.u32();
      auto channel = r.u32();
      bool to_ue = from == cache.address;
      (to_ue ? to_ue_ssrc : to_cache_ssrc) = ssrc;
      (to_ue ? to_ue_sequence : to_cache_sequence) = sequence;
      if (channel != 0) (to_ue ? to_ue_channel : to_cache_channel) = channel;
    };
    world.connect(ue, cache, c.id, false);
  }
  void forge(bool at_ue, std::uint16_t sequence, const std::function<void(Writer&)>& messages) {
    Bytes room(2000);
    Writer w(MutableByteView(room).subspan(12));
    w.u32(at_ue ? to_ue_channel : to_cache_channel);
    messages(w);
    rtp::write_header({98, sequence, 0, at_ue ? to_ue_ssrc : to_cache_ssrc}, room.data());
    auto& victim = at_ue ? ue : cache;
    victim.engine.input(world.now,
                        {(at_ue ? cache : ue).address, 12 + w.size(), MutableByteView(room).first(12 + w.size())});
  }
  // Until something is there, and long before all of it.
  void begin() {
    world.run(1s, [&] { return ue.engine.held(c.id)->count() >= 32; });
    ASSERT_FALSE(whole(ue, c));
    ASSERT_NE(to_ue_channel, 0u);
  }
  void arrives(const char* what, Duration patience = 8s) {
    world.run(patience, [&] { return whole(ue, c); });
    EXPECT_TRUE(whole(ue, c)) << what;
    EXPECT_EQ(ue.count(EventKind::stalled), 0) << what;
    EXPECT_EQ(ue.count(EventKind::channel_closed), 0) << what;
    EXPECT_EQ(cache.count(EventKind::channel_closed), 0) << what;
  }
};

TEST(Stranger, AJumpOfTheSequenceStopsNothing) {
  for (bool at_ue : {true, false})
    for (int jump : {400, 511, 600, 2000, 20000, 32767, -600, -30000}) {
      Plain p;
      p.begin();
      auto sequence = static_cast<std::uint16_t>((at_ue ? p.to_ue_sequence : p.to_cache_sequence) + jump);
      p.forge(at_ue, sequence, [](Writer&) {});
      p.arrives(("jump " + std::to_string(jump)).c_str(), 3s);
    }
}

TEST(Stranger, TwoJumpsInOrderDelayNoLongerThanThePartnersNextTwo) {
  Plain p;
  p.begin();
  for (int i = 0; i < 2; ++i) p.forge(true, static_cast<std::uint16_t>(p.to_ue_sequence + 20000 + i), [](Writer&) {});
  p.arrives("two jumps", 3s);
}

// The partner's own packets with these numbers are not taken for duplicates.
TEST(Stranger, NumbersThatAreTakenAwayLoseNothing) {
  Plain p;
  p.begin();
  for (int i = 1; i < 300; ++i) p.forge(true, static_cast<std::uint16_t>(p.to_ue_sequence + i), [](Writer&) {});
  p.arrives("numbers", 3s);
}

TEST(Stranger, WordsThatThePartnerDidNotSayStopNothing) {
  using Say = std::function<void(Writer&)>;
  auto ranged = [](MessageType type, ChunkRange range) {
    return Say([=](Writer& w) { ppspp::write_range(w, type, range); });
  };
  const std::vector<std::tuple<const char*, bool, Say>> words{
      {"HAVE all at the cache", false, ranged(MessageType::have, {0, 399})},
      {"ACK of all at the cache", false,
       [](Writer& w) {
         ppspp::write_ack(w, {0, 399}, 0);
       }},
      {"CANCEL of all at the cache", false, ranged(MessageType::cancel, {0, 399})},
      {"REQUEST of all at the cache", false, ranged(MessageType::request, {0, 399})},
      {"farewell at the cache", false, [](Writer& w) { ppspp::write_closing(w); }},
      {"farewell at the UE", true, [](Writer& w) { ppspp::write_closing(w); }},
      {"CHOKE at the UE", true, [](Writer& w) { w.u8(10); }},
      {"CHOKE at the cache", false, [](Writer& w) { w.u8(10); }},
      {"HANDSHAKE at the UE", true,
       [](Writer& w) {
         ppspp::write_handshake(w, {77, std::nullopt, 1152});
       }},
      {"INTEGRITY at the UE", true,
       [](Writer& w) {
         for (int layer = 5; layer < 9; ++layer)
           for (std::uint64_t at = 0; at < (256u >> layer); ++at) ppspp::write_integrity(w, {bin::at(layer, at), {1}});
       }},
      {"DATA at the UE", true, [](Writer& w) { ppspp::write_data(w, 200, 0, Bytes(1152)); }},
  };
  for (auto& [what, at_ue, say] : words) {
    Plain p;
    p.begin();
    p.forge(at_ue, static_cast<std::uint16_t>((at_ue ? p.to_ue_sequence : p.to_cache_sequence) + 1), say);
    p.arrives(what, 20s);
  }
}

// An acknowledgement of what was never sent is nothing; one of what was sent and lost is made good when it is asked for
// again.
TEST(Stranger, HashesAreLeftOutOnlyForWhatWasSentAndNotWhenItIsAskedForAgain) {
  Content c(128 * 1152, 21);
  Node cache(1, c, true, false);
  Script partner(false);
  Instant now{1s};
  partner.call(cache, now, c.id);
  auto hashes_of = [&](std::uint32_t run) {
    partner.heard.clear();
    partner.say(cache, now, [&](Writer& w) { ppspp::write_range(w, MessageType::request, {run * 32, run * 32 + 31}); });
    for (int i = 0; i < 20; ++i) {
      partner.listen(cache, now);
      partner.report(cache, now);
      now += 300ms;
      cache.engine.on_deadline(now);
    }
    return partner.heard_ranges(MessageType::integrity).size();
  };
  partner.say(cache, now, [](Writer& w) {
    ppspp::write_range(w, MessageType::have, {0, 127});
    ppspp::write_ack(w, {0, 127}, 0);
  });
  auto first = hashes_of(0);
  EXPECT_GE(first, 3u);  // the run's own, and two uncles
  partner.say(cache, now, [](Writer& w) { ppspp::write_ack(w, {0, 31}, 0); });
  auto second = hashes_of(1);
  EXPECT_LT(second, 3u);  // the partner has verified its sibling
  EXPECT_GE(hashes_of(1), 3u);
}

TEST(Stranger, KeyinfoOfOthersDoesNotTakeThePlaceOfTheTrueOne) {
  Content c(1152, 3);
  Node ue(1, c, false, false);
  Script partner(false);
  Instant now{1s};
  partner.open(ue, now, c.id, {0, 0});
  for (int i = 0; i < 100; ++i)
    partner.say(ue, now, [&](Writer& w) { ppspp::write_keyinfo(w, "forged" + std::to_string(i)); });
  take_events(ue);
  EXPECT_LT(ue.count(EventKind::keyinfo), 20);
  now += 1s;
  for (int i = 0; i < 2; ++i) partner.say(ue, now, [&](Writer& w) { ppspp::write_keyinfo(w, "true"); });
  take_events(ue);
  EXPECT_EQ(std::count_if(ue.events.begin(), ue.events.end(), [](auto& e) { return e.text == "true"; }), 1);
}

TEST(Stranger, AHandshakeOfAnotherSourceDoesNotShutOutThePartner) {
  Content c(64 * 1152, 18);
  Node cache(1, c, true, false);
  Script partner(false);
  Instant now{1s};
  auto id = partner.meet(cache, now);
  cache.engine.admit(id, c.id);
  for (std::uint32_t source : {111u, 5u})
    partner.say_as(partner.sequence++, cache, now, 0, [&](Writer& w) {
      ppspp::write_handshake(w, {source, c.id, 1152});
    });
  while (auto batch = cache.engine.output(now)) {
    Reader r(batch->data.subspan(12));
    if (r.u32() != 5) continue;  // for the other source
    ppspp::Decoder decoder(r.rest());
    partner.channel = decoder.next()->handshake.source;
  }
  ASSERT_NE(partner.channel, 0u);
  partner.say(cache, now, [](Writer& w) { ppspp::write_range(w, MessageType::request, {0, 31}); });
  for (int i = 0; i < 20; ++i, now += 50ms) partner.listen(cache, now);
  EXPECT_FALSE(partner.heard_ranges(MessageType::data).empty());
  // Bounded: a fifth source is not answered.
  auto channels = 0;
  for (std::uint32_t source = 200; source < 300; ++source)
    partner.say_as(partner.sequence++, cache, now, 0, [&](Writer& w) {
      ppspp::write_handshake(w, {source, c.id, 1152});
    });
  while (cache.engine.output(now)) ++channels;
  EXPECT_LE(channels, 4);
}

TEST(Stranger, AFarewellThatNothingFollowsIsBelieved) {
  Content c(1000, 14);
  Node cache(1, c, true, false), ue(2, c, false, false);
  World world({}, {&cache, &ue});
  auto id = world.connect(ue, cache, c.id, false);
  world.run(1s);
  ue.engine.remove_association(world.now, id);
  world.run(2s);
  EXPECT_EQ(cache.count(EventKind::channel_closed), 0);
  world.run(3s);
  EXPECT_EQ(cache.count(EventKind::channel_closed), 1);
}

// ---- Paths and sizes

// Climbs from a chunk to the root with what was heard before it.
bool proven(const Content& c, std::uint32_t chunk, ByteView data,
            const std::map<content::Bin, content::Digest>& heard) {
  auto hash = crypto::sha256(data);
  for (auto at = bin::leaf(chunk);; at = bin::parent(at)) {
    if (hash == c.id) return true;
    auto sibling = heard.find(bin::sibling(at));
    if (sibling == heard.end()) return false;
    Bytes both(64);
    auto& left = bin::sibling(at) < at ? sibling->second : hash;
    auto& right = bin::sibling(at) < at ? hash : sibling->second;
    std::copy(left.begin(), left.end(), both.begin());
    std::copy(right.begin(), right.end(), both.begin() + 32);
    hash = crypto::sha256(both);
  }
}

TEST(Path, WhoDidNotSayRunsGetsEachChunkWithWhatProvesIt) {
  Content c(128 * 1152, 9);
  Node cache(1, c, true, true);
  Script partner;
  partner.runs = false;
  Instant now{1s};
  partner.call(cache, now, c.id);
  partner.say(cache, now, [](Writer& w) { ppspp::write_range(w, MessageType::request, {32, 63}); });
  for (int i = 0; i < 100; ++i) {
    now += 20ms;
    if (cache.engine.deadline() <= now) cache.engine.on_deadline(now);
    partner.listen(cache, now);
    partner.report(cache, now);
  }
  std::map<content::Bin, content::Digest> heard;
  std::set<std::uint32_t> chunks;
  for (auto& payload : partner.heard) {
    ppspp::Decoder decoder(ByteView(payload).subspan(4));
    while (auto m = decoder.next()) {
      if (m->type == MessageType::integrity) heard[*ppspp::node_of(m->range)] = m->hash;
      if (m->type != MessageType::data) continue;
      EXPECT_TRUE(proven(c, m->range.first, m->data, heard)) << m->range.first;
      chunks.insert(m->range.first);
    }
  }
  EXPECT_EQ(chunks.size(), 32u);
}

TEST(Path, TooSmallForDataIsNamed) {
  Content c(400 * 1152, 9);
  for (bool secured : {true, false}) {
    Node cache(1, c, true, false), ue(2, c, false, false);
    LinkOptions narrow;
    narrow.largest = 1172;
    narrow.fragments = false;
    World world(narrow, {&cache, &ue});
    world.connect(ue, cache, c.id, secured);
    world.run(15s);
    ASSERT_EQ(ue.count(EventKind::path_too_small), 1);
    auto event =
        std::find_if(ue.events.begin(), ue.events.end(), [](auto& e) { return e.kind == EventKind::path_too_small; });
    EXPECT_NE(event->text.find(secured ? "1229" : "1213"), std::string::npos) << event->text;
    EXPECT_NE(event->text.find("--chunk-size"), std::string::npos) << event->text;
    EXPECT_GE(ue.count(EventKind::stalled), 1);
    EXPECT_EQ(ue.engine.progress(world.now, c.id).verified, Instant{});
  }
}

TEST(Path, ThatBecomesTooSmallIsNamedToo) {
  Content c(3000 * 1152, 9);
  Node cache(1, c, true, false), ue(2, c, false, false);
  LinkOptions wide, narrow;
  wide.rate = 50000000;
  narrow = wide;
  narrow.largest = 1172;
  narrow.fragments = false;
  World world(wide, {&cache, &ue});
  world.connect(ue, cache, c.id, true);
  world.run(100ms);
  ASSERT_NE(ue.engine.progress(world.now, c.id).verified, Instant{});
  world.link(cache.address, ue.address) = sim::Link(narrow);
  world.run(15s);
  EXPECT_FALSE(whole(ue, c));
  EXPECT_EQ(ue.count(EventKind::path_too_small), 1);
  EXPECT_EQ(cache.count(EventKind::path_too_small), 1);
}

// From the beginning, and when it becomes so in the middle: nobody waits for a stall.
TEST(Path, WhatDoesNotPassWholePassesInFragments) {
  Content c(3000 * 1152, 9);
  for (auto narrow_from : {0ms, 100ms}) {
    Node cache(1, c, true, false), ue(2, c, false, false);
    LinkOptions wide, narrow;
    wide.rate = 50000000;
    narrow = wide;
    narrow.largest = 1172;
    World world(wide, {&cache, &ue});
    world.connect(ue, cache, c.id, true);
    world.run(narrow_from);
    ASSERT_FALSE(whole(ue, c));
    world.link(cache.address, ue.address) = sim::Link(narrow);
    world.run(5s, [&] { return whole(ue, c); });
    EXPECT_TRUE(whole(ue, c));
    EXPECT_EQ(ue.count(EventKind::stalled) + ue.count(EventKind::path_too_small), 0);
    EXPECT_EQ(cache.count(EventKind::path_too_small), 0);
  }
}

// It first lets the network cut what does not pass whole.
TEST(Path, WhatTheSystemRefusesIsNamedOnce) {
  Content c(1000, 9);
  Node cache(1, c, true, false), ue(2, c, false, false);
  World world({}, {&cache, &ue});
  world.connect(ue, cache, c.id, true);
  cache.engine.too_large({IpAddress::v4(127, 0, 0, 9), 1}, 1201, false);
  for (int i = 0; i < 3; ++i) cache.engine.too_large(ue.address, 1201, false);
  take_events(cache);
  EXPECT_EQ(cache.count(EventKind::path_too_small), 0);
  for (int i = 0; i < 3; ++i) cache.engine.too_large(ue.address, 1201, true);
  take_events(cache);
  EXPECT_EQ(cache.count(EventKind::path_too_small), 1);
}

TEST(Path, ChunksThatDoNotFitThePartnersDatagramsAreRefused) {
  Content c(64 * 1200, 9, 1200);
  Node node(1, c, true, true);
  Script partner;
  Instant now{1s};
  auto id = partner.meet(node, now, 1220);
  auto opened = node.engine.open_channel(now, id, c.id);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().rule, "fmtp-mismatch");
  node.engine.admit(id, c.id);
  partner.say(node, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1200}); });
  EXPECT_FALSE(node.engine.output(now));
  Node other(1, c, true, true);
  Script fitting;
  fitting.meet(other, now, 1221);
  EXPECT_TRUE(other.engine.open_channel(now, 1, c.id));
}

}  // namespace
}  // namespace sealcast::swarm
