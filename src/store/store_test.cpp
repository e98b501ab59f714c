#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "store/contents.hpp"
#include "store/subscribers.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::store {
namespace {

TEST(Subscribers, KnowHa1AndTheFirstDevice) {
  test::TemporaryDirectory directory;
  auto file = directory.path() / "subscribers.db";
  {
    auto store = Subscribers::open(file);
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_TRUE(store->add("alice", "sealcast.test", "secret"));
    EXPECT_FALSE(store->add("alice", "sealcast.test", "other"));
    EXPECT_TRUE(store->add("bob", "sealcast.test", "secret"));
    EXPECT_TRUE(*store->enrol("alice", "t1"));
    EXPECT_FALSE(*store->enrol("alice", "t2"));
  }
  auto store = Subscribers::open(file);
  auto alice = *store->find("alice");
  ASSERT_TRUE(alice);
  // printf 'alice@sealcast.test:sealcast.test:secret' | md5sum, sha256sum
  EXPECT_EQ(alice->ha1_md5.size(), 32u);
  EXPECT_EQ(alice->ha1_sha256.size(), 64u);
  EXPECT_NE(alice->ha1_sha256, (*store->find("bob"))->ha1_sha256);
  EXPECT_EQ(alice->device, "t1");
  EXPECT_EQ(store->list()->size(), 2u);
  EXPECT_TRUE(store->remove("bob"));
  EXPECT_EQ(store->remove("bob").error().code, ErrorCode::not_found);
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(Database, ForeignTruncatedAndNewerFilesAreNamed) {
  test::TemporaryDirectory directory;
  auto file = directory.path() / "x.db";
  std::ofstream(file) << std::string(5000, 'x');
  auto foreign = Subscribers::open(file);
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message.find("x.db"), std::string::npos);
  std::filesystem::remove(file);
  {
    auto good = Database::open(file, std::vector<const char*>(99, "SELECT 1"));
    ASSERT_TRUE(good);
  }
  auto newer = Subscribers::open(file);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, ErrorCode::usage);
  EXPECT_FALSE(Subscribers::open(directory.path() / "none" / "x.db"));
}

TEST(Contents, KeepWhatTheyAreTold) {
  test::TemporaryDirectory directory;
  auto store = Contents::open(directory.path() / "c.db");
  ASSERT_TRUE(store) << store.error().message;
  crypto::Digest root{7};
  EXPECT_TRUE(store->put_description(root, "jws"));
  EXPECT_TRUE(store->put_access(root, "{}"));
  EXPECT_TRUE(store->put_key(root, Bytes{1, 2, 3}, 5));
  EXPECT_TRUE(store->put_state(root, "offered"));
  EXPECT_TRUE(store->put_description(root, "jws2"));
  auto row = *store->find(root);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->description, "jws2");
  EXPECT_EQ(row->wrapped_key, (Bytes{1, 2, 3}));
  EXPECT_EQ(row->state, "offered");
  EXPECT_TRUE(store->put_key(root, {}, 0));
  EXPECT_TRUE((*store->find(root))->wrapped_key.empty());
  EXPECT_FALSE(*store->find(crypto::Digest{8}));
}

AuditRow line(std::int64_t time, const std::string& event) {
  return {0, time, event, "uid 0", "sip:a", "root", "rid", 200, "released"};
}

TEST(Audit, GivesLinesInOrderAndTheLastOfAnEvent) {
  test::TemporaryDirectory directory;
  auto store = Contents::open(directory.path() / "c.db");
  auto log = store->audit_log();
  auto moved = std::move(*store);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(log.append(line(100 + i, i < 3 ? "entitle" : "key-request")));
  auto lines = *log.after(2, 2);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].sequence, 3);
  EXPECT_EQ(lines[0].time, 102);
  EXPECT_EQ(lines[0].event, "entitle");
  EXPECT_EQ(lines[0].who, "uid 0");
  EXPECT_EQ((*log.last("entitle"))->time, 102);
  EXPECT_FALSE(*log.last("publish"));
}

TEST(Audit, LinesOfTheFirstVersionStay) {
  test::TemporaryDirectory directory;
  auto file = directory.path() / "audit.db";
  {
    auto old = Database::open(file, {AuditLog::k_version_1});
    ASSERT_TRUE(
        old->execute("INSERT INTO audit (time, subscriber, root, request, status, reason) VALUES (1, 'sip:a', 'r', "
                     "'q', 403, 'no')"));
  }
  auto log = AuditLog::open(file);
  ASSERT_TRUE(log) << log.error().message;
  auto lines = *log->after(0, 10);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].event, "key-request");
  EXPECT_EQ(lines[0].who, "sip:a");
  EXPECT_EQ(lines[0].status, 403);
}

TEST(Audit, AChangeAndItsLineAreWrittenTogetherOrNotAtAll) {
  test::TemporaryDirectory directory;
  auto store = Contents::open(directory.path() / "c.db");
  crypto::Digest root{7};
  EXPECT_TRUE(store->put_description(root, "old"));
  auto done = store->transaction([&]() -> Status {
    SEALCAST_TRY(store->put_description(root, "new"));
    SEALCAST_TRY(store->audit_log().append(line(1, "publish")));
    return fail("no");
  });
  EXPECT_FALSE(done);
  EXPECT_EQ((*store->find(root))->description, "old");
  EXPECT_TRUE(store->audit_log().after(0, 10)->empty());
}

TEST(Audit, RefusalsDoNotGrowTheLogAtTheirSpeed) {
  AuditBrake brake;
  Instant now{};
  EXPECT_TRUE(brake.allows(now, "mallory", "403 not entitled"));
  EXPECT_FALSE(brake.allows(now, "mallory", "403 not entitled"));
  EXPECT_TRUE(brake.allows(now, "alice", "403 not entitled"));
  std::size_t lines = 1;
  for (int i = 0; i < 1000; ++i) lines += brake.allows(now, "mallory", std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(lines, AuditBrake::k_lines);
  EXPECT_TRUE(brake.allows(now + AuditBrake::k_while, "mallory", "403 not entitled"));
}

// A backup, or a person with sqlite3, holds the database.
TEST(Database, WhatIsLockedIsUnavailableForTheMoment) {
  test::TemporaryDirectory directory;
  auto file = directory.path() / "c.db";
  auto store = Contents::open(file);
  store->set_patience(1ms);
  crypto::Digest root{7};
  {
    auto other = Database::open(file, std::vector<const char*>(99, "SELECT 1"));
    ASSERT_TRUE(other) << other.error().message;
    ASSERT_TRUE(other->execute("BEGIN IMMEDIATE"));
    auto put = store->put_description(root, "jws");
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, ErrorCode::unavailable);
    EXPECT_EQ(store->transaction([] { return Status{}; }).error().code, ErrorCode::unavailable);
    ASSERT_TRUE(other->execute("ROLLBACK"));
  }
  EXPECT_TRUE(store->put_description(root, "jws"));
}

}  // namespace
}  // namespace sealcast::store
