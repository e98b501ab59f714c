#include "roles/common/open_pool.hpp"

#include <gtest/gtest.h>

namespace sealcast::roles {
namespace {

const crypto::Digest k_one{1}, k_two{2}, k_three{3};

TEST(OpenPool, TheLongestUnusedGoesFirst) {
  OpenPool pool(2);
  EXPECT_EQ(pool.room().room, OpenPool::Room::free);
  pool.use(k_one);
  pool.use(k_two);
  EXPECT_EQ(pool.room().room, OpenPool::Room::none) << "both are in use";
  pool.leave(k_two, Instant(1s));
  pool.leave(k_one, Instant(2s));
  ASSERT_EQ(pool.room().room, OpenPool::Room::after_closing);
  EXPECT_EQ(pool.room().close, k_two);
  pool.use(k_two);  // again
  EXPECT_EQ(pool.room().close, k_one);
  pool.closed(k_one);
  EXPECT_FALSE(pool.contains(k_one));
  EXPECT_EQ(pool.room().room, OpenPool::Room::free);
  pool.use(k_three);
  EXPECT_EQ(pool.size(), 2u);
}

TEST(OpenPool, WhatNobodyUsesForLongIsOverdue) {
  OpenPool pool(8);
  for (auto& root : {k_one, k_two, k_three}) pool.use(root);
  pool.leave(k_one, Instant(1s));
  pool.leave(k_two, Instant(5s));
  pool.leave(k_two, Instant(50s));  // it was unused already
  EXPECT_TRUE(pool.overdue(Instant(60s)).empty());
  EXPECT_EQ(pool.overdue(Instant(62s)), std::vector{k_one});
  EXPECT_EQ(pool.overdue(Instant(65s)), (std::vector{k_one, k_two}));
}

TEST(OpenPool, TheBoundFollowsTheDescriptors) {
  EXPECT_EQ(OpenPool::most_for(64), 8u);
  EXPECT_EQ(OpenPool::most_for(1024), 128u);
  EXPECT_EQ(OpenPool::most_for(1 << 20), 512u);
}

}  // namespace
}  // namespace sealcast::roles
