#include "io/media_driver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "io/batch_socket.hpp"
#include "os/clock.hpp"
#include "tests/support/memory_storage.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::io {
namespace {

using content::MerkleTree;
using swarm::Event;
using swarm::EventKind;

using test::MemoryStorage;

struct Content {
  explicit Content(std::uint64_t length)
      : octets(length),
        geometry(*content::Geometry::make(length, 1152)),
        nodes(MerkleTree::octets(geometry.chunks()) / 32) {
    test::SeededRandom(length).fill(octets);
    content::MerkleTreeBuilder builder(nodes, geometry.chunks());
    for (std::uint32_t i = 0; i < geometry.chunks(); ++i)
      builder.add(crypto::sha256(ByteView(octets).subspan(geometry.offset_of(i), geometry.size_of(i))));
    id = builder.finish();
  }
  Bytes octets;
  content::Geometry geometry;
  std::vector<content::Digest> nodes;
  swarm::SwarmId id{};
};

struct Node {
  Node(Loop& loop, const Content& c, bool seed, bool secured, std::uint64_t random_seed)
      : random(random_seed),
        engine(random, {}),
        nodes(MerkleTree::octets(c.geometry.chunks()) / 32),
        storage(c.octets.size()),
        driver(loop, engine, [this](const Event& event) {
          events.push_back(event);
          if (on_event) on_event(event);
        }) {
    if (seed) {
      nodes = c.nodes;
      storage.octets = c.octets;
    }
    EXPECT_TRUE(engine.add_swarm({c.id,
                                  c.geometry,
                                  secured,
                                  nodes,
                                  content::Bitmap(c.geometry.chunks(), seed),
                                  &storage,
                                  swarm::Appetite::all,
                                  {}}));
  }
  int count(EventKind kind) const {
    return static_cast<int>(std::count_if(events.begin(), events.end(), [&](auto& e) { return e.kind == kind; }));
  }
  test::SeededRandom random;
  swarm::Engine engine;
  std::vector<content::Digest> nodes;
  MemoryStorage storage;
  std::vector<Event> events;
  std::function<void(const Event&)> on_event;
  MediaDriver driver;
};

rtp::SrtpKey make_key(std::uint64_t seed) {
  rtp::SrtpKey key{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)};
  test::SeededRandom(seed).fill(key.key_and_salt.fill());
  return key;
}

// Associations both ways; `ue` opens a channel to `cache`.
swarm::AssociationId connect(Node& ue, Node& cache, const swarm::SwarmId& swarm, bool secured) {
  swarm::AssociationConfig mine, theirs;
  mine.remote = cache.driver.local();
  theirs.remote = ue.driver.local();
  mine.local_ssrc = theirs.remote_ssrc = 1001;
  mine.remote_ssrc = theirs.local_ssrc = 2001;
  mine.initiator = true;
  theirs.partner = swarm::PartnerKind::ue;
  if (secured) {
    mine.send_key = make_key(1), theirs.receive_key = make_key(1);
    mine.receive_key = make_key(2), theirs.send_key = make_key(2);
  }
  auto now = os::monotonic_now();
  auto here = ue.engine.add_association(now, std::move(mine));
  auto there = cache.engine.add_association(now, std::move(theirs));
  EXPECT_TRUE(here && there);
  cache.engine.admit(*there, swarm);
  EXPECT_TRUE(ue.engine.open_channel(now, *here, swarm));
  return *here;
}

struct Case {
  const char* local;
  bool secured;
  MediaOptions options;
};
class EveryWay : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Ways, EveryWay,
                         testing::Values(Case{"127.0.0.1:0", true, {}}, Case{"127.0.0.1:0", false, {}},
                                         Case{"[::1]:0", true, {}}, Case{"127.0.0.1:0", true, {false, false}},
                                         Case{"127.0.0.1:0", false, {false, true}},
                                         Case{"[::1]:0", false, {true, false}}));

TEST_P(EveryWay, AnObjectGoesFromEngineToEngine) {
  auto [local, secured, options] = GetParam();
  Content c(3'000'001);
  Loop loop;
  Node cache(loop, c, true, secured, 1), ue(loop, c, false, secured, 2);
  ASSERT_TRUE(cache.driver.open(*parse_endpoint(local), options));
  ASSERT_TRUE(ue.driver.open(*parse_endpoint(local), options));
  EXPECT_NE(ue.driver.local().port, 0);
  bool in_pump = false;
  ue.on_event = [&](const Event& event) {
    EXPECT_FALSE(in_pump);
    ue.driver.pump();
    if (event.kind == EventKind::swarm_complete) loop.stop();
  };
  loop.after(20s, [&] { loop.stop(); });
  connect(ue, cache, c.id, secured);
  in_pump = true;
  ue.driver.pump();
  in_pump = false;
  loop.run();
  EXPECT_EQ(ue.count(EventKind::swarm_complete), 1);
  EXPECT_EQ(ue.storage.octets, c.octets);
  EXPECT_EQ(cache.driver.segmentation(), options.segmentation);
  auto& sent = cache.driver.counters();
  EXPECT_GE(sent.sent_segments, c.geometry.chunks());
  EXPECT_EQ(sent.send_errors, 0u);
  if (options.segmentation) {
    EXPECT_LT(sent.sent_batches, sent.sent_segments);
  }
  EXPECT_GE(ue.driver.counters().received_segments, c.geometry.chunks());
}

class FullSocket : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Segmentation, FullSocket, testing::Bool());

TEST_P(FullSocket, LosesNothing) {
  Content c(1'000'000);
  Loop loop;
  Node cache(loop, c, true, true, 1), ue(loop, c, false, true, 2);
  int calls = 0;
  MediaOptions options;
  options.send_messages = [&](int fd, mmsghdr* messages, unsigned count, int flags) {
    if (++calls % 3 == 0) return ::sendmmsg(fd, messages, std::min(count, 5u), flags);
    errno = EAGAIN;
    return -1;
  };
  options.segmentation = GetParam();
  ASSERT_TRUE(cache.driver.open(*parse_endpoint("127.0.0.1:0"), options));
  ASSERT_TRUE(ue.driver.open(*parse_endpoint("127.0.0.1:0")));
  ue.on_event = [&](const Event& event) {
    if (event.kind == EventKind::swarm_complete) loop.stop();
  };
  loop.after(20s, [&] { loop.stop(); });
  connect(ue, cache, c.id, true);
  ue.driver.pump();
  loop.run();
  EXPECT_EQ(ue.storage.octets, c.octets);
  EXPECT_GT(cache.driver.counters().send_waits, 0u);
  EXPECT_EQ(cache.driver.counters().send_errors, 0u);
  EXPECT_EQ(cache.engine.associations().front().packets_lost, 0u);
  EXPECT_EQ(ue.engine.associations().front().authentication_failures, 0u);
}

TEST(MediaDriver, CloseSaysFarewellAndNothingComesAfter) {
  Content c(1000);
  Loop loop;
  Node cache(loop, c, true, true, 1), ue(loop, c, false, true, 2);
  ASSERT_TRUE(cache.driver.open(*parse_endpoint("127.0.0.1:0")));
  ASSERT_TRUE(ue.driver.open(*parse_endpoint("127.0.0.1:0")));
  swarm::AssociationId association = 0;
  std::size_t at_close = 0;
  ue.on_event = [&](const Event& event) {
    if (event.kind != EventKind::swarm_complete) return;
    ue.engine.remove_association(os::monotonic_now(), association);
    ue.driver.close();  // out of its own callback
    ue.driver.close();
    ue.driver.pump();
    at_close = ue.events.size();
  };
  cache.on_event = [&](const Event& event) {
    if (event.kind == EventKind::channel_closed) loop.stop();
  };
  loop.after(10s, [&] { loop.stop(); });
  association = connect(ue, cache, c.id, true);
  ue.driver.pump();
  loop.run();
  EXPECT_EQ(cache.count(EventKind::channel_closed), 1);
  EXPECT_EQ(ue.events.size(), at_close);
  EXPECT_GT(at_close, 0u);
}

TEST(MediaDriver, ADriverMayGoWhileItsWorkIsPosted) {
  Content c(1000);
  Loop loop;
  auto node = std::make_unique<Node>(loop, c, false, true, 1);
  ASSERT_TRUE(node->driver.open(*parse_endpoint("127.0.0.1:0")));
  node->driver.pump();
  node.reset();
  loop.post([&] { loop.stop(); });
  loop.run();
}

TEST(MediaDriver, TimersRunUnderAFloodOfDatagrams) {
  Content c(1000);
  Loop loop;
  Node node(loop, c, false, true, 1);
  ASSERT_TRUE(node.driver.open(*parse_endpoint("127.0.0.1:0")));
  BatchSocket stranger;
  ASSERT_TRUE(stranger.open(*parse_endpoint("127.0.0.1:0"), {}));
  MediaCounters counters;
  Bytes data(60000, 0x80);
  // More before every turn than a turn takes.
  loop.on_turn([&] {
    for (int i = 0; i < 100; ++i) stranger.send({node.driver.local(), 1000, data}, counters);
  });
  int ticks = 0;
  std::function<void()> tick = [&] {
    if (++ticks == 5)
      loop.stop();
    else
      loop.after(1ms, tick);
  };
  tick();
  loop.run();
  EXPECT_EQ(ticks, 5);
  EXPECT_GT(node.driver.counters().received_segments, 0u);
}

}  // namespace
}  // namespace sealcast::io
