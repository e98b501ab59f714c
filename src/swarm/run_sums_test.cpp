// What a run costs before it is sent, and what must not slip through.
#include <gtest/gtest.h>

#include "swarm/swarm_state.hpp"
#include "tests/support/memory_storage.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::swarm {
namespace {

using content::ChunkRange;
namespace bin = content::bin;

// Remembers what was verified, as a store with checksums does.
class SummedStorage final : public ChunkStorage {
 public:
  explicit SummedStorage(std::uint64_t size) : memory(size) {}
  Status read(std::uint64_t offset, MutableByteView out) override { return memory.read(offset, out); }
  Status write(std::uint64_t offset, ByteView data) override { return memory.write(offset, data); }
  bool unchanged(std::uint64_t offset, ByteView run) override {
    ++asked;
    return sums.contains(offset) && sums.at(offset) == crypto::sha256(run);
  }
  void verified(std::uint64_t offset, ByteView run) override {
    ++hashed;
    sums[offset] = crypto::sha256(run);
  }
  test::MemoryStorage memory;
  std::unordered_map<std::uint64_t, crypto::Digest> sums;
  int asked = 0, hashed = 0;
};

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
  }
  bool good(std::uint32_t run, SwarmState::Check check = SwarmState::Check::by_sum) {
    corrupt.clear();
    return state->read_checked(state->runs.whole(run), corrupt, check).has_value();
  }

  content::Geometry geometry = *content::Geometry::make(300'001, 1024);
  std::vector<crypto::Digest> nodes =
      std::vector<crypto::Digest>(content::MerkleTree::octets(geometry.chunks()) / sizeof(crypto::Digest));
  SummedStorage storage{300'001};
  Work work;
  std::unique_ptr<SwarmState> state;
  std::vector<std::uint32_t> corrupt;
};

TEST_F(SwarmStates, a_run_is_hashed_once_and_known_by_its_checksum_afterwards) {
  for (int round = 0; round < 3; ++round)
    for (std::uint32_t run = 0; run < state->runs.count(); ++run) EXPECT_TRUE(good(run));
  EXPECT_EQ(storage.hashed, static_cast<int>(state->runs.count()));
  EXPECT_TRUE(good(2, SwarmState::Check::by_hash));
  EXPECT_EQ(storage.hashed, static_cast<int>(state->runs.count()) + 1) << "when asked for, it is hashed all the same";
}

TEST_F(SwarmStates, a_changed_octet_is_found_by_the_checksum_and_named_by_the_hash) {
  EXPECT_TRUE(good(1));
  storage.memory.octets[40 * 1024 + 5] ^= 1;
  EXPECT_FALSE(good(1));
  EXPECT_EQ(corrupt, std::vector<std::uint32_t>{40});
  EXPECT_FALSE(state->config.held.test(40));
  EXPECT_TRUE(state->config.held.test(41));
}

TEST_F(SwarmStates, parts_of_a_run_have_no_checksum) {
  EXPECT_TRUE(good(1));
  const int asked = storage.asked;
  storage.memory.octets[40 * 1024 + 5] ^= 1;
  EXPECT_FALSE(state->read_checked({40, 40}, corrupt));
  EXPECT_EQ(storage.asked, asked);
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
    EXPECT_TRUE(later.read_checked(later.runs.whole(1), corrupt)) << node;
    EXPECT_EQ(nodes[node], right) << "mended: " << node;
    EXPECT_EQ(storage.hashed, 1) << node;
  }
}

}  // namespace
}  // namespace sealcast::swarm
