#include "store/catalogue.hpp"

#include <gtest/gtest.h>

#include "store/contents.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::store {
namespace {

const std::string k_alice = "sip:alice@sealcast.test", k_bob = "sip:bob@sealcast.test";

CatalogueRow row(std::uint8_t root, std::int64_t version, bool everybody = false) {
  return {{root}, "provider", "cid", version, "jws" + std::to_string(root), "{}", everybody};
}

std::vector<int> roots(const Result<std::vector<CatalogueRow>>& rows) {
  std::vector<int> out;
  for (auto& each : *rows) out.push_back(each.root[0]);
  return out;
}

TEST(Catalogue, AnswersByIndexWhoMaySeeWhat) {
  test::TemporaryDirectory directory;
  auto store = Catalogue::open(directory.path() / "c.db");
  ASSERT_TRUE(store) << store.error().message;
  ASSERT_TRUE(store->put(row(1, 1, true), {}));
  ASSERT_TRUE(store->put(row(2, 3), {k_alice}));
  ASSERT_TRUE(store->put(row(3, 2), {k_bob}));
  ASSERT_TRUE(store->put(row(4, 1, true), {k_alice}));
  EXPECT_EQ(roots(store->page(std::nullopt, k_alice, 9)), (std::vector{1, 2, 4}));
  EXPECT_EQ(roots(store->page(std::nullopt, k_alice, 2)), (std::vector{1, 2}));
  EXPECT_EQ(roots(store->page(crypto::Digest{2}, k_alice, 2)), (std::vector{4}));
  EXPECT_EQ(roots(store->page(crypto::Digest{1}, std::nullopt, 2)), (std::vector{2, 3}));
  EXPECT_EQ((*store->newest("provider", "cid"))->root[0], 2);
  EXPECT_FALSE(*store->newest("provider", "other"));
  EXPECT_TRUE((*store->entitlement({2}, k_alice))->allowed);
  EXPECT_FALSE((*store->entitlement({2}, k_bob))->allowed);
  EXPECT_TRUE((*store->entitlement({1}, k_bob))->allowed);
  EXPECT_FALSE(*store->entitlement({9}, k_bob));
  // Another list replaces the one before.
  ASSERT_TRUE(store->put(row(2, 3), {k_bob}));
  EXPECT_FALSE((*store->entitlement({2}, k_alice))->allowed);
  EXPECT_EQ(*store->size(), 4);
}

TEST(Catalogue, TakesOverWhatAnEarlierVersionWrote) {
  test::TemporaryDirectory directory;
  auto file = directory.path() / "c.db";
  {
    auto old = Contents::open(file);
    ASSERT_TRUE(old->put_description({7}, "jws"));
    ASSERT_TRUE(old->put_access({7}, "{\"public\":true}"));
  }
  auto store = Catalogue::open(file);
  ASSERT_TRUE(store) << store.error().message;
  auto rows = store->old_rows(9);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->front().description, "jws");
  EXPECT_TRUE(store->forget_old({7}));
  EXPECT_TRUE(store->old_rows(9)->empty());
  EXPECT_TRUE(store->audit_log().append({0, 1, "relay", "a", "b", "", "", 403, "no"}));
}

}  // namespace
}  // namespace sealcast::store
