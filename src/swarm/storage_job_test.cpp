// Runs on their way into storage: the job alone, and what the engine makes of answers that come late, in another order,
// twice, or when nobody waits for them any more.
#include "swarm/storage_job.hpp"

#include <gtest/gtest.h>

#include "swarm/buffer_pool.hpp"
#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

using ppspp::MessageType;
namespace bin = content::bin;

// ---- The job

class Job : public testing::Test {
 protected:
  StorageJob job(std::optional<content::Digest> expected) {
    StorageJob out;
    out.storage = &storage;
    out.offset = 32 * 1152;
    out.chunk_size = 1152;
    out.layer = 5;
    out.buffer = bytes_of(ByteView(c.octets).subspan(32 * 1152));
    out.expected = expected;
    return out;
  }
  Content c{50 * 1152 - 5, 4};
  MemoryStorage storage{c.octets.size()};
  content::Bin node = bin::at(5, 1);
};

TEST_F(Job, WritesWhatHasTheExpectedHashAndGivesTheBufferBack) {
  auto done = run(job(c.nodes[node]));
  EXPECT_EQ(done.status, JobStatus::written);
  EXPECT_EQ(done.nodes->root(), c.nodes[node]);
  EXPECT_TRUE(equal(ByteView(storage.octets).subspan(32 * 1152), ByteView(c.octets).subspan(32 * 1152)));
  EXPECT_EQ(done.buffer.size(), 18u * 1152 - 5);
}

TEST_F(Job, WritesNothingElse) {
  auto wrong = c.nodes[node];
  wrong[31] ^= 1;
  for (auto expected : {std::optional(wrong), std::optional<content::Digest>()}) {
    auto done = run(job(expected));
    EXPECT_EQ(done.status, JobStatus::different);
    EXPECT_EQ(done.nodes->root(), c.nodes[node]);
    EXPECT_EQ(storage.octets, Bytes(c.octets.size()));
  }
}

TEST_F(Job, SaysWhatStorageSays) {
  storage.full = true;
  auto done = run(job(c.nodes[node]));
  EXPECT_EQ(done.status, JobStatus::failed);
  EXPECT_EQ(done.error.code, ErrorCode::disk_full);
}

// ---- Buffers

TEST(BufferPool, WhatIsReservedIsCountedUntilItGoes) {
  constexpr auto k_beside = BufferPool::k_beside;
  BufferPool pool(8 * k_beside);
  EXPECT_TRUE(pool.room(100 * k_beside)) << "the only one";
  {
    BufferPool::Buffer a(pool, 60);
    EXPECT_FALSE(pool.room(4 * k_beside - 59));
    EXPECT_TRUE(pool.room(4 * k_beside - 60));
    EXPECT_FALSE(pool.room_for_first(6 * k_beside - 59));
    EXPECT_TRUE(pool.room_for_first(6 * k_beside - 60));
    a.octets()[59] = 1;
    auto taken = a.take();
    auto moved = std::move(a);
    EXPECT_EQ(pool.reserved(), k_beside + 60);
    moved.put(std::move(taken));
    EXPECT_EQ(moved.octets()[59], 1);
    moved = BufferPool::Buffer(pool, 10);
    EXPECT_EQ(pool.reserved(), k_beside + 10);
  }
  EXPECT_EQ(pool.reserved(), 0u);
}

// ---- The engine, whose jobs the test does

class PolledJobs : public testing::Test {
 protected:
  static EngineOptions polled() {
    EngineOptions out;
    out.storage_jobs = StorageJobs::polled;
    return out;
  }
  void SetUp() override { open(ue, partner); }
  void open(Node& node, Script& script) {
    script.open(node, now, c.id, {0, 319});
    script.listen(node, now);
  }
  void prove(std::uint32_t run, bool with_own = true) {
    partner.say(ue, now, [&](Writer& w) {
      for (auto b = bin::at(5, run); b != bin::at(9, 0); b = bin::parent(b))
        ppspp::write_integrity(w, {bin::sibling(b), c.nodes[bin::sibling(b)]});
      if (with_own) ppspp::write_integrity(w, {bin::at(5, run), c.nodes[bin::at(5, run)]});
    });
  }
  // The runs that were asked for, in this order.
  std::vector<std::uint32_t> asked() {
    std::vector<std::uint32_t> out;
    for (auto range : partner.heard_ranges(MessageType::request)) out.push_back(range.first / 32);
    return out;
  }
  void bring(std::uint32_t run) {
    prove(run);
    partner.send_run(ue, now, c, run, true);
  }
  std::vector<StorageJob> jobs() {
    std::vector<StorageJob> out;
    while (auto job = ue.engine.poll_job()) out.push_back(std::move(*job));
    return out;
  }
  void take_events() {
    while (auto event = ue.engine.poll_event()) ue.events.push_back(std::move(*event));
    ue.engine.check();
  }
  void done(StorageJob job) {
    ue.engine.job_done(now, run(std::move(job)));
    take_events();
    partner.listen(ue, now);
  }
  bool held(std::uint32_t run) { return ue.engine.held(c.id)->test(ChunkRange{run * 32, run * 32 + 31}); }
  std::size_t acks() { return partner.heard_ranges(MessageType::ack).size(); }

  Content c{320 * 1152, 41};  // ten runs
  Node ue{1, c, false, true, Appetite::all, polled()};
  Script partner;
  Instant now{1s};
};

TEST_F(PolledJobs, ARunIsHeldAndToldWhenItHasComeBackAndNotBefore) {
  auto run = asked().at(0);
  bring(run);
  auto job = jobs();
  ASSERT_EQ(job.size(), 1u);
  EXPECT_EQ(job[0].expected, c.nodes[bin::at(5, run)]);
  EXPECT_FALSE(held(run));
  partner.listen(ue, now);
  EXPECT_EQ(acks(), 0u);
  done(std::move(job[0]));
  EXPECT_TRUE(held(run));
  EXPECT_EQ(acks(), 1u);
  EXPECT_EQ(ue.count(EventKind::chunks_verified), 1);
  EXPECT_EQ(ue.engine.traffic(c.id).received_from_caches, 32u * 1152);
}

TEST_F(PolledJobs, AnswersMayComeInAnyOrder) {
  auto runs = asked();
  ASSERT_EQ(runs.size(), 4u);
  for (auto run : runs) bring(run);
  auto all = jobs();
  ASSERT_EQ(all.size(), 4u);
  for (auto n : {2u, 0u, 3u, 1u}) {
    done(std::move(all[n]));
    EXPECT_TRUE(held(runs[n]));
  }
  EXPECT_EQ(acks(), 4u);
}

TEST_F(PolledJobs, WhatIsWithStorageCountsInTheWindow) {
  for (auto run : asked()) bring(run);
  partner.listen(ue, now);
  EXPECT_EQ(asked().size(), 4u);
  auto all = jobs();
  done(std::move(all[0]));
  EXPECT_EQ(asked().size(), 6u);  // one came back, and the window grew by one
}

TEST_F(PolledJobs, AWrongRunIsBlamedWhenItComesBack) {
  auto run = asked().at(0);
  prove(run);
  partner.send_run(ue, now, c, run, false);
  EXPECT_EQ(ue.engine.associations().at(0).integrity_failures, 0u);
  auto job = jobs();
  ASSERT_EQ(job.size(), 1u);
  done(std::move(job[0]));
  EXPECT_EQ(ue.count(EventKind::integrity_failure), 1);
  EXPECT_FALSE(held(run));
  EXPECT_EQ(ue.storage.octets, Bytes(c.octets.size()));
}

TEST_F(PolledJobs, WithoutTheHashOfTheRunItselfItIsHashedFirst) {
  auto run = asked().at(0);
  prove(run, false);
  partner.send_run(ue, now, c, run, true);
  auto job = jobs();
  ASSERT_EQ(job.size(), 1u);
  EXPECT_FALSE(job[0].expected);
  done(std::move(job[0]));
  EXPECT_FALSE(held(run));
  EXPECT_EQ(ue.storage.octets, Bytes(c.octets.size()));
  job = jobs();
  ASSERT_EQ(job.size(), 1u);
  EXPECT_EQ(job[0].expected, c.nodes[bin::at(5, run)]);
  done(std::move(job[0]));
  EXPECT_TRUE(held(run));
  EXPECT_EQ(ue.count(EventKind::chunks_verified), 1);
}

TEST_F(PolledJobs, WhatStorageRefusesEndsTheAppetite) {
  bring(asked().at(0));
  ue.storage.full = true;
  auto job = jobs();
  done(std::move(job.at(0)));
  EXPECT_EQ(ue.count(EventKind::storage_failed), 1);
  EXPECT_TRUE(ue.engine.held(c.id)->empty());
}

TEST_F(PolledJobs, ARemovedSwarmForgetsWhatIsWithStorage) {
  auto runs = asked();
  bring(runs[0]);
  auto handed_out = jobs();
  bring(runs[1]);
  ue.engine.remove_swarm(now, c.id);
  EXPECT_FALSE(ue.engine.poll_job());  // what was not handed out never is
  SwarmConfig config{c.id,        c.geometry,   true, ue.nodes, content::Bitmap(c.geometry.chunks()),
                     &ue.storage, Appetite::all};
  ASSERT_TRUE(ue.engine.add_swarm(std::move(config)));
  done(std::move(handed_out.at(0)));
  EXPECT_TRUE(ue.engine.held(c.id)->empty());
  EXPECT_EQ(ue.count(EventKind::chunks_verified), 0);
}

TEST_F(PolledJobs, TheRunOfAPartnerWhoIsGoneIsKept) {
  auto runs = asked();
  bring(runs[0]);
  bring(runs[1]);
  auto all = jobs();
  partner.say(ue, now, [](Writer& w) { ppspp::write_closing(w); });
  done(std::move(all.at(0)));
  ue.engine.remove_association(now, ue.engine.associations().at(0).id);
  while (ue.engine.output(now)) {
  }
  ASSERT_TRUE(ue.engine.associations().empty());
  done(std::move(all.at(1)));
  EXPECT_TRUE(held(runs[0]) && held(runs[1]));
  EXPECT_EQ(ue.engine.traffic(c.id).received_from_caches, 64u * 1152);
}

TEST_F(PolledJobs, AnAnswerThatNobodyWaitsForIsNothing) {
  auto run_number = asked().at(0);
  bring(run_number);
  auto job = jobs();
  auto id = job.at(0).id;
  done(std::move(job[0]));
  ASSERT_TRUE(held(run_number));
  for (JobId wrong : {id, JobId{id.place, id.generation + 1}, JobId{id.place + 100, 1}}) {
    JobDone again;
    again.id = wrong;
    again.status = JobStatus::written;
    ue.engine.job_done(now, std::move(again));
    take_events();
  }
  EXPECT_EQ(ue.count(EventKind::chunks_verified), 1);
}

// ---- Slow storage in a scene

TEST(SlowStorage, AnswersLateAndInAnyOrderAndEverythingArrives) {
  Content c(3000001, 42);
  EngineOptions options;
  options.storage_jobs = StorageJobs::polled;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Node cache(1, c, true, true), alice(2, c, false, true, Appetite::all, options),
        bob(3, c, false, true, Appetite::all, options);
    World world({0.01, 0.01, 5ms, 3ms}, seed);
    for (auto* node : {&cache, &alice, &bob}) world.add(*node);
    world.set_storage(alice.address, 0ms, 40ms);
    world.set_storage(bob.address, 100ms, 300ms);
    world.connect(alice, cache, c.id, true);
    world.connect(bob, cache, c.id, true);
    world.connect(bob, alice, c.id, true, true, PartnerKind::ue);
    world.run(300s, [&] { return whole(alice, c) && whole(bob, c); });
    EXPECT_TRUE(whole(alice, c) && whole(bob, c)) << seed;
    EXPECT_EQ(alice.count(EventKind::integrity_failure) + bob.count(EventKind::integrity_failure), 0);
    EXPECT_EQ(alice.count(EventKind::stalled) + bob.count(EventKind::stalled), 0);
    auto traffic = bob.engine.traffic(c.id);
    EXPECT_EQ(traffic.received_from_caches + traffic.received_from_ues, c.octets.size());
  }
}

// Storage that takes seconds slows the one whose it is and nobody else.
TEST(SlowStorage, OthersKeepTheirRate) {
  Content c(3000001, 43);
  EngineOptions options;
  options.storage_jobs = StorageJobs::polled;
  auto alone = [&](bool with_slow) {
    Node cache(1, c, true, true), fast(2, c, false, true), slow(3, c, false, true, Appetite::all, options);
    LinkOptions link;
    link.rate = 20000000;
    World world(link, {&cache, &fast, &slow});
    world.set_storage(slow.address, 2s, 5s);
    if (with_slow) world.connect(slow, cache, c.id, true);
    world.run(1s);
    auto begin = world.now;
    world.connect(fast, cache, c.id, true);
    world.run(60s, [&] { return whole(fast, c); });
    EXPECT_TRUE(whole(fast, c));
    return world.now - begin;
  };
  EXPECT_LT(alone(true), alone(false) * 10 / 9);
}

}  // namespace
}  // namespace sealcast::swarm
