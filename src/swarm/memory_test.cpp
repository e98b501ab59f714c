// One limit for what an engine keeps because of others. Engine::check(), which runs between the calls here, holds the
// books against it.
#include "swarm/memory.hpp"

#include <malloc.h>

#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

using ppspp::MessageType;

EngineOptions least() {
  EngineOptions out;
  out.memory_limit = k_least_memory_limit;
  return out;
}

TEST(MemoryLimit, BoundsRunsThatAreAskedForAndKeepsSomeForTheFirstOfEachChannel) {
  constexpr std::uint32_t k_chunk = 8192;  // a run is a quarter of what may be asked for
  Content c(32 * 32 * k_chunk, 41, k_chunk);
  Node ue(1, c, false, true, Appetite::all, least());
  Instant now{1s};
  std::vector<std::unique_ptr<Script>> partners;
  auto asked = [&] {
    auto& script = *partners.emplace_back(std::make_unique<Script>());
    script.address.port = static_cast<std::uint16_t>(100 + partners.size());
    auto id = script.meet(ue, now, k_chunk + 100);
    EXPECT_TRUE(ue.engine.open_channel(now, id, c.id));
    script.listen(ue, now);
    script.say(ue, now, [&](Writer& w) {
      ppspp::write_handshake(w, {5, std::nullopt, k_chunk});
      ppspp::write_range(w, MessageType::have, {0, c.geometry.chunks() - 1});
    });
    script.listen(ue, now);
    ue.engine.check();
    return script.heard_ranges(MessageType::request).size();
  };
  EXPECT_EQ(asked(), 2u);
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(asked(), 0u);
  // Who does not answer gives back what it holds, and the others are asked.
  for (int step = 0; step < 150; ++step) {
    now += 100ms;
    ue.engine.on_deadline(now);
    partners.back()->listen(ue, now);  // takes what the others are told, too
    ue.engine.check();
  }
  EXPECT_GE(partners.back()->heard_ranges(MessageType::request).size(), 1u);
}

// Three that fetch and serve each other, with packets lost: less of everything, and all of it comes.
TEST(MemoryLimit, TransfersEndUnderTheLeastOne) {
  Content c(3'000'001, 42);
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Node cache(1, c, true, true, Appetite::all, least()), alice(2, c, false, true, Appetite::all, least()),
        bob(3, c, false, true, Appetite::all, least());
    World world({0.02, 0.02, 5ms, 3ms}, seed);
    for (auto* node : {&cache, &alice, &bob}) world.add(*node);
    for (auto* node : {&alice, &bob}) world.connect(*node, cache, c.id, true);
    world.connect(alice, bob, c.id, true, true, PartnerKind::ue);
    world.run(300s, [&] { return whole(alice, c) && whole(bob, c); });
    EXPECT_TRUE(whole(alice, c) && whole(bob, c)) << seed;
  }
}

TEST(MemoryLimit, RefusesAssociationsAndChannelsAndSaysWhy) {
  Content c(320 * 1152, 43);
  Node cache(1, c, true, true, Appetite::all, least());
  Instant now{1s};
  std::vector<std::unique_ptr<Script>> partners;
  std::string refused;
  std::size_t channels = 0;
  for (std::uint16_t port = 100; port < 400 && refused.empty(); ++port) {
    auto& script = *partners.emplace_back(std::make_unique<Script>());
    script.address.port = port;
    AssociationConfig config;
    config.remote = script.address;
    config.local_ssrc = 8;
    config.remote_ssrc = 7;
    config.send_key = script.theirs.duplicate();
    config.receive_key = script.ours.duplicate();
    auto id = cache.engine.add_association(now, std::move(config));
    if (!id) {
      refused = id.error().message;
      break;
    }
    cache.engine.admit(*id, c.id);
    script.say(cache, now, [&](Writer& w) { ppspp::write_handshake(w, {5, c.id, 1152}); });
    script.listen(cache, now);
    channels += script.channel != 0;
    cache.engine.check();
  }
  EXPECT_NE(refused.find("the memory limit (4194304 octets) has no room for an association more"), std::string::npos)
      << refused;
  EXPECT_GE(channels, 30u);
  EXPECT_LE(cache.engine.memory().associations, cache.engine.memory().limit / 4);
  // Whoever goes makes room.
  auto before = cache.engine.memory().associations;
  cache.engine.remove_association(now, 1);
  partners.front()->listen(cache, now);
  EXPECT_EQ(cache.engine.memory().associations, before - k_octets_an_association - k_octets_a_channel);
}

// Partners that say that they have every other chunk, ask for everything, and never acknowledge anything.
TEST(MemoryLimit, HostilePartnersDoNotExceedItAndAnHonestOneIsServed) {
  Content c(4096 * 1152, 44);
  Node cache(1, c, true, true, Appetite::all, least()), alice(2, c, false, true);
  World world({}, {&cache, &alice});
  std::vector<std::unique_ptr<Script>> hostile;
  for (std::uint16_t i = 0; i < 30; ++i) {
    auto& script = *hostile.emplace_back(std::make_unique<Script>());
    script.address.port = static_cast<std::uint16_t>(100 + i);
    script.call(cache, world.now, c.id);
    for (std::uint32_t chunk = 0; chunk < 4096; chunk += 128)
      script.say(cache, world.now, [&](Writer& w) {
        for (auto at = chunk; at < chunk + 128; at += 2) ppspp::write_range(w, MessageType::have, {at, at});
      });
    for (std::uint32_t run = 0; run < 128; ++run)
      script.say(cache, world.now, [&](Writer& w) {
        ppspp::write_range(w, MessageType::request, {run * 32, run * 32 + 31});
      });
    script.listen(cache, world.now);
    cache.engine.check();
  }
  auto use = cache.engine.memory();
  EXPECT_GT(use.intervals, use.limit / 5);
  EXPECT_GT(use.in_flight, 0u);
  world.connect(alice, cache, c.id, true);
  world.run(120s, [&] {
    cache.engine.check();
    return whole(alice, c);
  });
  EXPECT_TRUE(whole(alice, c));
  cache.engine.check();
}

// A run that is being sent is let go of when there is no room for it, and read again.
TEST(MemoryLimit, RunsOfManyPartnersAreSentOutOfASmallShare) {
  Content c(640 * 1152, 45);
  Node cache(1, c, true, true, Appetite::all, least());
  std::vector<std::unique_ptr<Node>> ues;
  World world({0, 0, 20ms, 0ms}, {&cache});
  for (std::uint16_t i = 0; i < 30; ++i) {
    world.add(*ues.emplace_back(std::make_unique<Node>(static_cast<std::uint16_t>(100 + i), c, false, true)));
    world.connect(*ues.back(), cache, c.id, true);
  }
  std::size_t most = 0;
  world.run(120s, [&] {
    most = std::max(most, cache.engine.memory().serving);
    return std::all_of(ues.begin(), ues.end(), [&](auto& each) { return whole(*each, c); });
  });
  for (auto& ue : ues) EXPECT_TRUE(whole(*ue, c));
  EXPECT_GT(most, 0u);
  EXPECT_LE(most, k_least_memory_limit / 16 + 32 * 1152);
}

TEST(MemoryLimit, ABitmapInManyPiecesIsToldPieceByPiece) {
  constexpr std::uint32_t k_chunks = 8192;
  Content c(k_chunks * 1152, 46);
  Node cache(1, c, true, true);
  Node alice(2, c, false, true, Appetite::none, least());
  for (std::uint32_t chunk = 0; chunk < k_chunks; chunk += 2)
    alice.engine.add_chunks(Instant{1s}, c.id, {chunk, chunk});
  World world({}, {&cache, &alice});
  Script partner;
  partner.call(alice, world.now, c.id);
  // Each one that comes meanwhile is told, too.
  for (std::uint32_t chunk = 1; chunk < k_chunks; chunk += 4) alice.engine.add_chunks(world.now, c.id, {chunk, chunk});
  EXPECT_LT(alice.engine.memory().queues, 65536u);
  for (int round = 0; round < 200; ++round) {
    partner.listen(alice, world.now);
    partner.report(alice, world.now);
  }
  content::Bitmap told(k_chunks);
  for (auto range : partner.heard_ranges(MessageType::have)) told.set(range);
  EXPECT_EQ(told.words(), alice.engine.held(c.id)->words());
}

// What is charged for an association and its channel is what they take, and not more than twice of it.
TEST(MemoryLimit, AtRestAnAssociationTakesWhatIsCharged) {
  if (::mallinfo2().uordblks == 0) GTEST_SKIP() << "a sanitizer has its own heap";
  Content c(320 * 1152, 47);
  Node cache(1, c, true, true);
  std::vector<std::unique_ptr<Script>> partners;
  for (std::uint16_t i = 0; i < 201; ++i) {
    partners.push_back(std::make_unique<Script>());
    partners.back()->address.port = static_cast<std::uint16_t>(100 + i);
    partners.back()->heard.reserve(8);
  }
  Instant now{1s};
  partners[200]->call(cache, now, c.id);
  partners[200]->listen(cache, now);
  auto before = ::mallinfo2().uordblks;
  for (std::size_t i = 0; i < 200; ++i) {
    partners[i]->call(cache, now, c.id);
    partners[i]->listen(cache, now);
    partners[i]->report(cache, now);
    partners[i]->heard.clear();
  }
  auto each = (::mallinfo2().uordblks - before) / 200;
  EXPECT_LE(each, k_octets_an_association + k_octets_a_channel);
  EXPECT_GE(each, (k_octets_an_association + k_octets_a_channel) / 4);
  RecordProperty("octets", std::to_string(each));
}

}  // namespace
}  // namespace sealcast::swarm
