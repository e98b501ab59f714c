#include "swarm/swarm_state.hpp"

#include <gtest/gtest.h>

#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

namespace bin = content::bin;

class SwarmStateTest : public testing::Test {
 protected:
  SwarmState make(bool held) {
    nodes = held ? c.nodes : std::vector<content::Digest>(c.nodes.size());
    storage.octets = held ? c.octets : Bytes(c.octets.size());
    SwarmConfig config{c.id, c.geometry, true, nodes, content::Bitmap(c.geometry.chunks(), held), &storage};
    return SwarmState(std::move(config), work);
  }
  ByteView octets(ChunkRange range) const {
    return ByteView(c.octets).subspan(c.geometry.offset_of(range.first), c.geometry.size_of(range));
  }

  Work work;
  Content c{100 * 1152 - 5, 4};  // 100 chunks: a tree of 128 leaves
  std::vector<content::Digest> nodes;
  test::MemoryStorage storage{c.octets.size()};
};

TEST_F(SwarmStateTest, RunsAreAlignedAndTheLastIsCut) {
  auto s = make(true);
  EXPECT_EQ(s.runs.count(), 4u);
  EXPECT_EQ(s.runs.whole(0), (ChunkRange{0, 31}));
  EXPECT_EQ(s.runs.whole(3), (ChunkRange{96, 99}));
}

TEST_F(SwarmStateTest, OnlyAlignedRangesOfAtMostARunHaveANode) {
  auto s = make(true);
  EXPECT_EQ(s.runs.node_of({0, 31}), bin::at(5, 0));
  EXPECT_EQ(s.runs.node_of({4, 7}), bin::at(2, 1));
  EXPECT_EQ(s.runs.node_of({96, 99}), bin::at(2, 24));
  EXPECT_EQ(s.runs.node_of({99, 99}), bin::leaf(99));
  for (ChunkRange none : {ChunkRange{0, 63}, {1, 2}, {0, 2}, {2, 5}, {96, 100}, {100, 100}})
    EXPECT_FALSE(s.runs.node_of(none)) << none.first << ".." << none.last;
}

TEST_F(SwarmStateTest, ADamagedChunkIsNamedAndMissingFromThenOn) {
  auto s = make(true);
  s.completion_told = true;
  storage.octets[40 * 1152 + 3] ^= 1;
  std::vector<std::uint32_t> corrupt;
  EXPECT_FALSE(s.read_checked({32, 63}, corrupt));
  EXPECT_EQ(corrupt, std::vector<std::uint32_t>{40});
  EXPECT_FALSE(s.config.held.test(40u));
  EXPECT_EQ(s.config.held.count(), 99u);
  EXPECT_FALSE(s.completion_told);
  corrupt.clear();
  auto rest = s.read_checked({32, 39}, corrupt);
  ASSERT_TRUE(rest);
  EXPECT_TRUE(equal(*rest, octets({32, 39})));
}

TEST_F(SwarmStateTest, WhatCannotBeReadIsMissing) {
  auto s = make(true);
  storage.octets.resize(50 * 1152);
  std::vector<std::uint32_t> corrupt;
  EXPECT_FALSE(s.read_checked({64, 95}, corrupt));
  EXPECT_EQ(corrupt.size(), 32u);
  EXPECT_EQ(s.config.held.count(), 68u);
}

TEST_F(SwarmStateTest, ADamagedLeafIsSetRightAndTheChunkStays) {
  auto s = make(true);
  nodes[bin::leaf(40)][0] ^= 1;
  std::vector<std::uint32_t> corrupt;
  EXPECT_TRUE(s.read_checked({32, 63}, corrupt));
  EXPECT_EQ(nodes, c.nodes);
  EXPECT_TRUE(s.config.held.full());
}

TEST_F(SwarmStateTest, ALeafThatIsDamagedBehindTheFirstReadIsSetRightToo) {
  auto s = make(true);
  std::vector<std::uint32_t> corrupt;
  EXPECT_TRUE(s.read_checked({32, 63}, corrupt));
  nodes[bin::leaf(40)][0] ^= 1;
  EXPECT_TRUE(s.read_checked({32, 63}, corrupt));
  EXPECT_EQ(nodes, c.nodes);
}

// The leaves fit the octets, but nothing leads to the root.
TEST_F(SwarmStateTest, WhatFitsItsLeavesAloneIsNotServed) {
  auto s = make(true);
  storage.octets[40 * 1152] ^= 1;
  nodes[bin::leaf(40)] = crypto::sha256(ByteView(storage.octets).subspan(40 * 1152, 1152));
  std::vector<std::uint32_t> corrupt;
  EXPECT_FALSE(s.read_checked({32, 63}, corrupt));
  EXPECT_EQ(corrupt.size(), 32u);
}

}  // namespace
}  // namespace sealcast::swarm
