// What a run costs before it is sent, and what must not slip through.
#include <gtest/gtest.h>

#include "swarm/swarm_state.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/summed_storage.hpp"

namespace sealcast::swarm {
namespace {

using content::ChunkRange;
namespace bin = content::bin;

class SwarmStates : public testing::Test {
 protected:
  SwarmStates() {
    test::SeededRandom(3).fill(storage.memory.octets);
    content::MerkleTreeBuilder builder(nodes, geometry.chunks());
    for (std::uint32_t i = 0; i < geometry.chunks(); ++i)
      builder.add(crypto::sha256(ByteView(storage.memory.octets).subspan(geometry.offset_of(i), geometry.size_of(i))));
    SwarmConfig config{builder.finish(), geometry};
    config.nodes = nodes;
    config.held = content::Bitmap(geometry.chunks());
    config.held.set({0, geometry.chunks() - 1});
    config.storage = &storage;
    state = std::make_unique<SwarmState>(std::move(config), work);
    original = storage.memory.octets;
  }
  std::optional<Bytes> serve(ChunkRange range) {
    corrupt.clear();
    return state->read_to_serve(now, range, budget, corrupt);
  }
  bool good(std::uint32_t run) { return serve(state->runs.whole(run)).has_value(); }
  bool right(std::uint32_t chunk) {
    auto octets = serve({chunk, chunk});
    return octets && equal(*octets, ByteView(original).subspan(geometry.offset_of(chunk), geometry.size_of(chunk)));
  }
  // What the disk has changed is fetched again.
  void repair(std::uint32_t run) {
    const auto range = state->runs.whole(run);
    const auto octets = ByteView(original).subspan(geometry.offset_of(range.first), geometry.size_of(range));
    ASSERT_TRUE(storage.write(geometry.offset_of(range.first), octets));
    storage.verified(geometry.offset_of(range.first), octets);
    storage.hashed = 0;
    state->config.held.set(range);
    state->gained(range);
  }
  void damage(std::uint32_t chunk) {
    const auto at = geometry.offset_of(chunk) + 5;
    storage.memory.octets[at] = original[at] ^ 1;
  }

  content::Geometry geometry = *content::Geometry::make(300'001, 1024);
  std::vector<crypto::Digest> nodes =
      std::vector<crypto::Digest>(content::MerkleTree::octets(geometry.chunks()) / sizeof(crypto::Digest));
  test::SummedStorage storage{300'001};
  Bytes original;
  Work work;
  HashBudget budget;
  Instant now{100s};
  std::unique_ptr<SwarmState> state;
  std::vector<std::uint32_t> corrupt;
};

TEST_F(SwarmStates, a_run_is_hashed_once_and_known_by_its_checksum_afterwards) {
  for (int round = 0; round < 3; ++round)
    for (std::uint32_t run = 0; run < state->runs.count(); ++run) EXPECT_TRUE(good(run));
  EXPECT_EQ(storage.hashed, static_cast<int>(state->runs.count()));
  EXPECT_EQ(budget.octets(), original.size());
  EXPECT_TRUE(state->read_checked(state->runs.whole(2), corrupt));
  EXPECT_EQ(storage.hashed, static_cast<int>(state->runs.count()) + 1) << "when asked for, it is hashed all the same";
}

TEST_F(SwarmStates, a_changed_octet_is_found_by_the_checksum_and_named_by_the_hash) {
  EXPECT_TRUE(good(1));
  now += 2min;
  damage(40);
  EXPECT_FALSE(good(1));
  EXPECT_EQ(corrupt, std::vector<std::uint32_t>{40});
  EXPECT_FALSE(state->config.held.test(40));
  EXPECT_TRUE(state->config.held.test(41));
}

TEST_F(SwarmStates, parts_of_a_run_are_cut_out_of_what_its_checksum_says) {
  for (int round = 0; round < 10; ++round)
    for (std::uint32_t chunk = 32; chunk < 64; ++chunk) EXPECT_TRUE(right(chunk));
  EXPECT_EQ(storage.hashed, 1);
  EXPECT_TRUE(right(geometry.chunks() - 1)) << "the short one at the end";
}

// A checksum does not speak for the leaves, which go with a part.
TEST_F(SwarmStates, nodes_inside_of_a_run_are_proven_before_a_part_of_it_goes) {
  EXPECT_TRUE(good(1));
  const auto leaf = bin::leaf(40);
  const auto sound = nodes[leaf];
  nodes[leaf][3] ^= 1;
  SwarmConfig config{state->id(), geometry};
  config.nodes = nodes;
  config.held = state->config.held;
  config.storage = &storage;
  state = std::make_unique<SwarmState>(std::move(config), work);
  EXPECT_TRUE(right(40));
  EXPECT_EQ(nodes[leaf], sound);
}

TEST_F(SwarmStates, a_good_chunk_is_served_beside_a_damaged_one) {
  damage(40);
  EXPECT_TRUE(right(41));
  EXPECT_EQ(corrupt, std::vector<std::uint32_t>{40});
  EXPECT_FALSE(right(40));
}

// ---- What it may cost

TEST_F(SwarmStates, what_a_disk_changes_again_and_again_is_hashed_once_a_minute) {
  int hashed = 0;
  const auto begin = budget.octets();
  for (int i = 0; i < 10000; ++i, now += 30ms) {  // five minutes
    damage(40);
    if (good(1)) ++hashed;
    if (!corrupt.empty()) repair(1);
  }
  EXPECT_EQ(hashed, 0) << "never was it right";
  // And once more each time, because of the repair.
  EXPECT_LE(budget.octets() - begin, 12 * geometry.size_of(state->runs.whole(1)));
  EXPECT_GE(budget.octets() - begin, 8 * geometry.size_of(state->runs.whole(1)));
  EXPECT_GT(budget.times_put_off(), 9000u);
}

TEST_F(SwarmStates, a_run_that_rests_is_not_read) {
  for (int i = 0; i < 2; ++i) {
    for (int each = 0; each < 2; ++each) {
      damage(40);
      EXPECT_FALSE(good(1));
      EXPECT_FALSE(corrupt.empty());
      repair(1);
    }
    damage(40);
    EXPECT_FALSE(good(1));
    EXPECT_TRUE(corrupt.empty());
    storage.reads = 0;
    EXPECT_FALSE(good(1));
    EXPECT_FALSE(right(41));
    EXPECT_EQ(storage.reads, 0);
    EXPECT_TRUE(good(2)) << "others go on";
    repair(1);
    now += 62s;
    EXPECT_TRUE(good(1));
    now += 62s;
  }
}

// It has no checksum then: its other chunks were verified when the damage was found, and not since.
TEST_F(SwarmStates, a_run_that_was_repaired_in_parts_is_served_at_once) {
  EXPECT_TRUE(good(1));
  damage(40);
  now += 2min;
  EXPECT_FALSE(good(1));
  EXPECT_EQ(corrupt, std::vector<std::uint32_t>{40});
  const auto octets = ByteView(original).subspan(geometry.offset_of(40), geometry.size_of(40));
  ASSERT_TRUE(storage.write(geometry.offset_of(40), octets));
  storage.sums.clear();
  state->config.held.set({40, 40});
  state->gained({40, 40});
  now += 1s;
  EXPECT_TRUE(good(1));
}

TEST_F(SwarmStates, chunks_of_a_run_that_is_not_whole_are_paid_from_the_budget) {
  state->config.held.reset(33);
  const auto end = now + 10s;
  std::uint64_t served = 0, asked = 0;
  for (; now < end; now += 10us, ++asked)
    if (right(32)) ++served;
  EXPECT_LT(served, asked);
  EXPECT_LE(served * 1024, 11 * HashBudget::k_octets_a_second);
  EXPECT_GE(served * 1024, 9 * HashBudget::k_octets_a_second);
  EXPECT_TRUE(corrupt.empty());
}

TEST_F(SwarmStates, the_first_time_is_free) {
  while (budget.take(now, 1 << 20)) {
  }
  for (std::uint32_t run = 0; run < state->runs.count(); ++run) EXPECT_TRUE(good(run));
}

TEST_F(SwarmStates, what_is_hashed_again_is_paid_by_all_together) {
  for (std::uint32_t run = 0; run < state->runs.count(); ++run) EXPECT_TRUE(good(run));
  now += 2min;
  while (budget.take(now, 1 << 20)) {
  }
  damage(40);
  EXPECT_FALSE(good(1));
  EXPECT_TRUE(corrupt.empty()) << "not now";
  storage.reads = 0;
  EXPECT_FALSE(good(1));
  EXPECT_EQ(storage.reads, 0);
  now += 3s;
  EXPECT_FALSE(good(1));
  EXPECT_EQ(corrupt, std::vector<std::uint32_t>{40});
}

// What is a user's is hashed whenever it leaves.
TEST_F(SwarmStates, storage_without_checksums_is_hashed_each_time_and_without_a_budget) {
  storage.sums_kept = false;
  for (int round = 0; round < 3; ++round) EXPECT_TRUE(good(1));
  EXPECT_EQ(storage.hashed, 3);
  damage(40);
  EXPECT_FALSE(good(1));
  EXPECT_EQ(corrupt, std::vector<std::uint32_t>{40});
}

// The partner would blame us for siblings that a disk has changed.
TEST_F(SwarmStates, a_checksum_is_not_enough_where_the_nodes_above_do_not_lead_to_the_root) {
  for (std::uint32_t run = 0; run < state->runs.count(); ++run) EXPECT_TRUE(good(run));
  auto sums = storage.sums;
  for (auto node : {bin::at(5, 1), bin::at(5, 0), bin::at(6, 1), bin::at(7, 0), bin::at(7, 1)}) {
    const auto right = nodes[node];
    nodes[node][7] ^= 1;
    SwarmConfig config{state->id(), geometry};
    config.nodes = nodes;
    config.held = state->config.held;
    config.storage = &storage;
    SwarmState later(std::move(config), work);
    storage.hashed = 0;
    EXPECT_TRUE(later.read_to_serve(now, later.runs.whole(1), budget, corrupt)) << node;
    EXPECT_EQ(nodes[node], right) << "mended: " << node;
    EXPECT_EQ(storage.hashed, 1) << node;
  }
}

}  // namespace
}  // namespace sealcast::swarm
