// Sealing into the spool, import at the cache, opening at the UE: the object's whole way without a network.
#include <gtest/gtest.h>

#include <fstream>

#include "crypto/ec.hpp"
#include "os/random.hpp"
#include "roles/cache/cache_library.hpp"
#include "roles/cache/object_import.hpp"
#include "roles/provider/object_spool.hpp"
#include "roles/ue/object_reader.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;

Bytes random_bytes(std::size_t size, std::uint64_t seed) {
  Bytes out(size);
  test::SeededRandom(seed).fill(out);
  return out;
}

void write(const fs::path& path, ByteView octets) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
}

Bytes read(const fs::path& path) {
  return *io::read_file(path, std::size_t{1} << 30);
}

// A published object in `directory`, and what is known about it.
struct Object {
  content::Description description;
  std::optional<content::ContentKey> key;
  Bytes octets;
  std::string jws;
  crypto::PrivateKey provider;

  Object(const fs::path& directory, ByteView plain, content::Protection protection, std::uint64_t seed = 1)
      : provider(make_key(seed)) {
    test::SeededRandom random(seed + 1);
    write(directory / "source", plain);
    auto& d = description;
    d.protection = protection;
    d.plain_length = d.length = plain.size();
    if (content::is_sealed(protection)) {
      content::ContentKey fresh;
      random.fill(fresh.fill());
      std::array<std::uint8_t, 16> salt;
      random.fill(salt);
      d.header = content::make_sealed_header(salt, fresh);
      d.key_service = provider.public_key();
      d.length = content::sealed_length(plain.size());
      key.emplace(std::move(fresh));
    }
    ObjectWriter writer(directory / "object", d, {});
    auto source = io::SourceFile::open(directory / "source");
    EXPECT_TRUE(source);
    auto root = writer.write(*source, key ? &*key : nullptr);
    EXPECT_TRUE(root) << root.error().message;
    d.root = *root;
    octets = read(directory / "object");
    d.content_id = "urn:sealcast:" + std::string(22, 'A');
    d.issued_at = 1000;
    d.expires_at = 100000;
    if (key)
      d.metadata = content::seal_metadata({"film.mp4", "video/mp4"}, *d.header, *key, d.root, {});
    else
      d.name = "film.mp4", d.type = "video/mp4";
    jws = content::sign_description(d, provider);
  }
  static crypto::PrivateKey make_key(std::uint64_t seed) {
    test::SeededRandom random(seed);
    return crypto::PrivateKey::generate(random);
  }
};

class ObjectSizes : public ::testing::TestWithParam<std::size_t> {};

TEST_P(ObjectSizes, SealedImportedAndOpenedItIsTheFileAgain) {
  for (auto protection : {content::Protection::sealed, content::Protection::session}) {
    if (GetParam() == 0 && protection == content::Protection::session) continue;
    test::TemporaryDirectory directory;
    auto plain = random_bytes(GetParam(), 5);
    Object object(directory.path(), plain, protection);
    ASSERT_EQ(object.octets.size(), object.description.length);
    auto import = ObjectImport::open(directory.path() / "imported", object.description);
    ASSERT_TRUE(import) << import.error().message;
    for (ByteView rest = object.octets; !rest.empty();) {
      auto part = rest.first(std::min<std::size_t>(rest.size(), 50000));
      ASSERT_TRUE((*import)->write(part));
      rest = rest.subspan(part.size());
    }
    ASSERT_TRUE((*import)->complete());
    ASSERT_TRUE((*import)->finish());
    auto file =
        io::ChunkFile::open(directory.path() / "imported", object.description.geometry(), object.description.root);
    ASSERT_TRUE(file);
    EXPECT_TRUE((*file)->held_at_open().full());
    ObjectReader reader(**file, (*file)->nodes(), object.description, object.key ? &*object.key : nullptr);
    Bytes opened;
    do {
      auto piece = reader.read((*file)->held_at_open(), opened.size());
      ASSERT_TRUE(piece) << piece.error().message;
      opened.insert(opened.end(), piece->begin(), piece->end());
    } while (opened.size() < reader.length());
    EXPECT_EQ(opened, plain);
  }
}
INSTANTIATE_TEST_SUITE_P(Sizes, ObjectSizes, ::testing::Values(0u, 1u, 1152u, 65519u, 65520u, 300000u, 5u << 20));

TEST(ObjectImport, GoesOnAfterARestartAndRefusesAWrongObject) {
  test::TemporaryDirectory directory;
  Object object(directory.path(), random_bytes(500000, 6), content::Protection::sealed);
  auto base = directory.path() / "imported";
  ByteView octets = object.octets;
  {
    auto import = ObjectImport::open(base, object.description);
    ASSERT_TRUE(import);
    ASSERT_TRUE((*import)->write(octets.first(200001)));
  }
  auto import = ObjectImport::open(base, object.description);
  ASSERT_TRUE(import);
  auto have = (*import)->have();
  EXPECT_GT(have, 150000u);
  EXPECT_LE(have, 200001u);
  EXPECT_EQ(have % 1152, 0u);
  EXPECT_FALSE((*import)->write(Bytes(octets.size())));  // more than there is
  ASSERT_TRUE((*import)->write(octets.subspan(have)));
  ASSERT_TRUE((*import)->finish());
  io::ChunkFile::remove(base);

  auto changed = object.octets;
  changed[123456] ^= 1;
  auto again = ObjectImport::open(base, object.description);
  ASSERT_TRUE((*again)->write(changed));
  auto finished = (*again)->finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ErrorCode::integrity);
  EXPECT_FALSE(fs::exists(base.string() + ".data"));
}

TEST(ObjectSpool, FindsWhatIsFinishedForThisVeryFileAndThrowsAttemptsAway) {
  test::TemporaryDirectory directory;
  write(directory.path() / "film", random_bytes(1000, 8));
  ObjectSpool spool(directory.path() / "spool");
  ASSERT_TRUE(spool.clean());
  auto identity = *SpoolRecord::identity_of(directory.path() / "film");
  fs::path finished, attempt;
  {
    auto place = spool.make_place("one");
    ASSERT_TRUE(place);
    finished = place->path;
    write(finished / "object", random_bytes(10, 1));
    content::ContentKey key;
    SpoolRecord record{finished, identity, "sealed", 1152, "jws", std::nullopt};
    record.key.emplace(std::move(key));
    ASSERT_TRUE(record.save());
    auto other = spool.make_place("two");
    ASSERT_TRUE(other);
    attempt = other->path;
    write(attempt / "object", random_bytes(10, 2));
    ASSERT_TRUE(spool.clean());
    EXPECT_TRUE(fs::exists(attempt)) << "it is worked on";
  }
  ASSERT_TRUE(spool.clean());
  EXPECT_FALSE(fs::exists(attempt));
  auto found = spool.find(identity, "sealed", 1152);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->key);
  EXPECT_FALSE(spool.find(identity, "session", 1152));
  write(directory.path() / "film", random_bytes(1001, 9));
  auto changed = *SpoolRecord::identity_of(directory.path() / "film");
  EXPECT_FALSE(spool.find(changed, "sealed", 1152));
  spool.forget_other_states(identity);
  EXPECT_TRUE(fs::exists(finished));
  spool.forget_other_states(changed);
  EXPECT_FALSE(fs::exists(finished));
}

TEST(CacheLibrary, KeepsKeysWrappedAndChecksThem) {
  test::TemporaryDirectory directory;
  Object object(directory.path(), random_bytes(3000, 10), content::Protection::sealed_session);
  os::SystemRandom random;
  auto root = object.description.root;
  {
    CacheLibrary library(directory.path() / "cache", directory.path() / "cache" / "master.key", random);
    ASSERT_TRUE(library.open({object.provider.public_key()}, 2000));
    EXPECT_FALSE(library.put_description("nonsense", 2000));
    ASSERT_TRUE(library.put_description(object.jws, 2000));
    content::ContentKey wrong;
    auto refused = library.put_key(root, wrong, 0);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::integrity);
    ASSERT_TRUE(library.put_key(root, *object.key, 0));
    ASSERT_TRUE(library.put_access(root, {false, {"sip:alice@sealcast.test"}}));
  }
  auto database = read(directory.path() / "cache" / "cache.db");
  auto needle = object.key->expose();
  EXPECT_EQ(std::search(database.begin(), database.end(), needle.begin(), needle.end()), database.end());
  CacheLibrary library(directory.path() / "cache", directory.path() / "cache" / "master.key", random);
  ASSERT_TRUE(library.open({object.provider.public_key()}, 2000));
  auto key = library.key(root);
  ASSERT_TRUE(key && *key);
  EXPECT_TRUE(**key == *object.key);
  EXPECT_TRUE(library.find(root)->access.allows("sip:alice@sealcast.test"));
  EXPECT_FALSE(library.find(root)->access.allows("sip:mallory@sealcast.test"));
  ASSERT_TRUE(library.revoke_key(root));
  EXPECT_FALSE(*library.key(root));
}

// As when the disk is full at the commit: memory must not say what the database does not hold.
TEST(CacheLibrary, WhatIsNotCommittedIsNotBelieved) {
  test::TemporaryDirectory directory;
  Object object(directory.path(), random_bytes(3000, 10), content::Protection::sealed_session);
  os::SystemRandom random;
  const auto root = object.description.root;
  CacheLibrary library(directory.path() / "cache", directory.path() / "cache" / "master.key", random);
  ASSERT_TRUE(library.open({object.provider.public_key()}, 2000));
  auto failing = [&](auto change) {
    EXPECT_FALSE(library.transaction([&]() -> Status {
      EXPECT_TRUE(change());
      return fail(ErrorCode::disk_full, "full");
    }));
  };
  failing([&] { return library.put_description(object.jws, 2000); });
  EXPECT_EQ(library.find(root), nullptr);
  EXPECT_FALSE(library.put_access(root, {true, {}})) << "a row that is not there takes nothing";
  ASSERT_TRUE(library.put_description(object.jws, 2000));
  failing([&] { return library.put_key(root, *object.key, 7); });
  failing([&] { return library.put_access(root, {true, {}}); });
  failing([&] { return library.mark(root, ObjectState::offered); });
  auto& content = *library.find(root);
  EXPECT_FALSE(content.key_held || content.access.everybody);
  EXPECT_EQ(content.not_before, 0);
  EXPECT_EQ(content.state, ObjectState::described);
  ASSERT_TRUE(library.transaction([&] { return library.put_key(root, *object.key, 0); }));
  failing([&] { return library.revoke_key(root); });
  EXPECT_TRUE(content.key_held);
  EXPECT_TRUE(*library.key(root));
}

TEST(CacheLibrary, DoesNotReplaceALostMasterKey) {
  test::TemporaryDirectory directory;
  Object object(directory.path(), random_bytes(3000, 10), content::Protection::sealed_session);
  os::SystemRandom random;
  const auto place = directory.path() / "cache";
  const auto master = place / "master.key";
  auto open = [&] {
    CacheLibrary library(place, master, random);
    return library.open({object.provider.public_key()}, 2000);
  };
  {
    CacheLibrary library(place, master, random);
    ASSERT_TRUE(library.open({object.provider.public_key()}, 2000));
    ASSERT_TRUE(library.put_description(object.jws, 2000));
    ASSERT_TRUE(library.put_key(object.description.root, *object.key, 0));
  }
  const auto kept = directory.path() / "kept";
  std::filesystem::rename(master, kept);
  auto missing = open();
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("is missing"), std::string::npos) << missing.error().message;
  EXPECT_FALSE(std::filesystem::exists(master));
  ASSERT_TRUE(io::write_file_atomically(master, Bytes(32, 7), 0600));
  auto other = open();
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("opens none of the 1 content keys"), std::string::npos);
  std::filesystem::rename(kept, master);
  EXPECT_TRUE(open());
}

TEST(CacheLibrary, ALockedDatabaseIsNoVerdict) {
  test::TemporaryDirectory directory;
  Object object(directory.path(), random_bytes(3000, 10), content::Protection::sealed_session);
  os::SystemRandom random;
  CacheLibrary library(directory.path() / "cache", directory.path() / "cache" / "master.key", random);
  ASSERT_TRUE(library.open({object.provider.public_key()}, 2000));
  ASSERT_TRUE(library.put_description(object.jws, 2000));
  auto backup = store::Database::open(directory.path() / "cache" / "cache.db", {"SELECT 1", "SELECT 1"});
  ASSERT_TRUE(backup->execute("BEGIN IMMEDIATE"));
  auto put = library.put_access(object.description.root, {true, {}});
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::unavailable);
  EXPECT_FALSE(library.find(object.description.root)->access.everybody);
  ASSERT_TRUE(backup->execute("ROLLBACK"));
  EXPECT_TRUE(library.put_access(object.description.root, {true, {}}));
}

TEST(CacheLibrary, RefusesAConflictingOrWeakerDescription) {
  test::TemporaryDirectory directory;
  Object object(directory.path(), random_bytes(3000, 11), content::Protection::sealed_session);
  os::SystemRandom random;
  CacheLibrary library(directory.path() / "cache", directory.path() / "cache" / "master.key", random);
  ASSERT_TRUE(library.open({object.provider.public_key()}, 2000));
  ASSERT_TRUE(library.put_description(object.jws, 2000));
  auto weaker = object.description;
  weaker.version = 2;
  weaker.protection = content::Protection::sealed;
  EXPECT_FALSE(library.put_description(content::sign_description(weaker, object.provider), 2000));
  auto conflicting = object.description;
  conflicting.chunk_size = 1024;
  EXPECT_FALSE(library.put_description(content::sign_description(conflicting, object.provider), 2000));
  auto newer = object.description;
  newer.version = 2;
  EXPECT_TRUE(library.put_description(content::sign_description(newer, object.provider), 2000));
  EXPECT_FALSE(library.put_description(object.jws, 2000)) << "an older version";
}

}  // namespace
}  // namespace sealcast::roles
