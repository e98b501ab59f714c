#include "base/bounded_table.hpp"

#include <gtest/gtest.h>

namespace sealcast {
namespace {

using Table = BoundedTable<int, std::string>;

Instant at(int seconds) {
  return Instant(std::chrono::seconds(seconds));
}

Table table() {
  return Table({6, 2, {{"subscriber", 3}, {"address", 4}}});
}

TEST(BoundedTable, OneOwnerMeetsHisShareAndOthersStillFindRoom) {
  auto t = table();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(t.add(i, {{"alice", "1"}}, at(9), "x"));
  auto refusal = t.add(3, {{"alice", "2"}}, at(9), "x");
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->why, TableRefusal::Why::share);
  EXPECT_STREQ(refusal->scope, "subscriber");
  EXPECT_FALSE(t.add(3, {{"bob", "1"}}, at(9), "x"));
  EXPECT_STREQ(t.add(4, {{"carol", "1"}}, at(9), "x")->scope, "address");
  EXPECT_EQ(t.counters().refused_share, 2u);
}

TEST(BoundedTable, AReservedPartIsForServicesOnly) {
  auto t = table();
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(t.add(i, {{std::to_string(i), ""}}, at(9), "x"));
  EXPECT_EQ(t.add(4, {{"next", ""}}, at(9), "x")->why, TableRefusal::Why::total);
  EXPECT_FALSE(t.add(4, {{"tracker"}, true}, at(9), "x"));
  EXPECT_FALSE(t.add(5, {{"tracker"}, true}, at(9), "x"));
  EXPECT_EQ(t.add(6, {{"tracker"}, true}, at(9), "x")->why, TableRefusal::Why::total);
  EXPECT_EQ(t.size(), 6u);
}

TEST(BoundedTable, WhatIsOverMakesRoomInOrderOfTime) {
  auto t = table();
  ASSERT_FALSE(t.add(1, {{"alice"}}, at(5), "late"));
  ASSERT_FALSE(t.add(2, {{"alice"}}, at(3), "soon"));
  ASSERT_FALSE(t.add(3, {{"alice"}}, at(4), "kept"));
  t.prolong(3, at(100));
  EXPECT_FALSE(t.take_expired(at(2)));
  EXPECT_EQ(t.next_expiry(), at(3));
  EXPECT_EQ(t.take_expired(at(5))->second, "soon");
  EXPECT_EQ(t.take_expired(at(5))->second, "late");
  EXPECT_FALSE(t.take_expired(at(5)));
  EXPECT_EQ(t.count_of(0, "alice"), 1u);
  EXPECT_EQ(t.keys_of(0, "alice"), std::vector<int>{3});
  EXPECT_TRUE(t.erase(3));
  EXPECT_FALSE(t.erase(3));
  EXPECT_EQ(t.count_of(0, "alice"), 0u);
}

TEST(BoundedTable, AKeyThatIsTakenKeepsItsEntryAndIsCountedOnce) {
  auto t = table();
  ASSERT_FALSE(t.add(1, {{"alice"}}, at(5), "first"));
  EXPECT_EQ(t.add(1, {{"bob"}}, at(5), "second")->why, TableRefusal::Why::duplicate);
  EXPECT_EQ(*t.find(1), "first");
  EXPECT_EQ(t.count_of(0, "bob"), 0u);
}

TEST(BoundedTable, AnEntryTakesItsWeight) {
  Table t({10, 0, {{"subscriber", 6}}});
  EXPECT_FALSE(t.add(1, {{"alice"}}, at(9), "x", 4));
  EXPECT_EQ(t.add(2, {{"alice"}}, at(9), "x", 3)->why, TableRefusal::Why::share);
  EXPECT_FALSE(t.add(2, {{"alice"}}, at(9), "x", 2));
  EXPECT_EQ(t.add(3, {{"bob"}}, at(9), "x", 5)->why, TableRefusal::Why::total);
  EXPECT_TRUE(t.erase(1));
  EXPECT_EQ(t.weight(), 2u);
  EXPECT_FALSE(t.add(3, {{"bob"}}, at(9), "x", 5));
  EXPECT_EQ(t.count_of(0, "bob"), 5u);
}

}  // namespace
}  // namespace sealcast
