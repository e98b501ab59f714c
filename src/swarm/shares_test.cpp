#include "swarm/shares.hpp"

#include <gtest/gtest.h>

namespace sealcast::swarm {
namespace {

TEST(Shares, EachRunIsOneNodesWhoeverAsks) {
  const std::vector<std::uint64_t> nodes{40001, 40002, 40003, 40004, 77};
  std::vector<int> shares(nodes.size());
  for (std::uint32_t run = 0; run < 5000; ++run) {
    int owners = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      auto others = nodes;
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
      if (!Shares(nodes[i], others).ours(run)) continue;
      ++owners;
      ++shares[i];
    }
    ASSERT_EQ(owners, 1) << run;
  }
  for (auto share : shares) EXPECT_NEAR(share, 1000, 120);
}

TEST(Shares, WhoIsAloneHasAll) {
  Shares alone(5, {});
  EXPECT_TRUE(alone.alone());
  for (std::uint32_t run = 0; run < 100; ++run) EXPECT_TRUE(alone.ours(run));
}

}  // namespace
}  // namespace sealcast::swarm
