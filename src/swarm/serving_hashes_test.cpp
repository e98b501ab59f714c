// What a partner can make a cache hash: by asking again, by asking for parts, by asking and taking it back, and where
// the octets are damaged.
#include <gtest/gtest.h>

#include "tests/support/summed_storage.hpp"
#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

using ppspp::MessageType;

class Serving : public testing::Test {
 protected:
  Serving() {
    cache.engine.remove_swarm(now, c.id);
    SwarmConfig config{c.id, c.geometry, true, cache.nodes, content::Bitmap(c.geometry.chunks(), true), &storage};
    EXPECT_TRUE(cache.engine.add_swarm(std::move(config)));
    storage.memory.octets = c.octets;
    partner.call(cache, now, c.id);
  }
  void listen() {
    partner.heard.clear();
    partner.listen(cache, now);
    data += partner.heard_ranges(MessageType::data).size();
    if (partner.packets_heard > 0) partner.report(cache, now);
    partner.packets_heard = 0;
    now += 20ms;
    if (cache.engine.deadline() <= now) cache.engine.on_deadline(now);
  }
  void ask(ChunkRange range) {
    partner.say(cache, now, [&](Writer& w) { ppspp::write_range(w, MessageType::request, range); });
  }
  std::uint64_t runs_hashed() const { return cache.engine.serving_hashes().octets / c.geometry.size_of({0, 31}); }

  Content c{128 * 1152, 9};
  Instant now{100s};
  Node cache{1, c, true, true};
  test::SummedStorage storage{128 * 1152};
  Script partner;
  std::size_t data = 0;  // chunks that came
};

TEST_F(Serving, ARunThatIsAskedForTenThousandTimesIsHashedOnce) {
  for (int i = 0; i < 10000; ++i) {
    ask({32, 63});
    if (i % 10 == 0) listen();
  }
  EXPECT_GT(data, 5000u) << "and served again and again";
  EXPECT_EQ(runs_hashed(), 1u);
}

TEST_F(Serving, NothingIsReadWhenARequestArrives) {
  storage.reads = 0;
  for (int i = 0; i < 10000; ++i) ask({32, 63});
  EXPECT_EQ(storage.reads, 0);
  listen();
  EXPECT_LE(storage.reads, 2);
}

TEST_F(Serving, PartsOfARunAreNoWayToHaveItHashedAgain) {
  for (std::uint32_t i = 0; i < 5000; ++i) {
    ask({32 + i % 32, 32 + i % 32});
    if (i % 10 == 0) listen();
  }
  EXPECT_GT(data, 2000u);
  EXPECT_EQ(runs_hashed(), 1u);
}

TEST_F(Serving, AskingAndTakingItBackHashesNothingAgain) {
  for (int i = 0; i < 5000; ++i) {
    ask({32, 63});
    partner.listen(cache, now);
    partner.say(cache, now, [](Writer& w) { ppspp::write_range(w, MessageType::cancel, {0, 127}); });
    if (i % 10 == 0) listen();
  }
  EXPECT_EQ(runs_hashed(), 1u);
}

TEST_F(Serving, ADamagedRunIsHashedOnceAndWhatIsGoodOfItGoesOn) {
  storage.memory.octets[40 * 1152] ^= 1;
  for (std::uint32_t i = 0; i < 10000; ++i) {
    ask({32, 63});
    ask({40, 40});
    if (i % 10 == 0) listen();
  }
  EXPECT_EQ(cache.engine.held(c.id)->count(), 127u);
  EXPECT_EQ(runs_hashed(), 1u);
  EXPECT_EQ(data, 0u);
  listen();
  ask({41, 41});
  listen();
  EXPECT_EQ(data, 1u);
}

}  // namespace
}  // namespace sealcast::swarm
