// Sealed objects that lie opened in a file.
#include "roles/ue/opened_object.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/seeded_random.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;

struct Opened : ::testing::Test {
  Opened() {
    test::SeededRandom random(4);
    random.fill(key.fill());
    random.fill(plain);
    header = content::make_sealed_header({9}, key);
    sealed.assign(header.begin(), header.end());
    content::RecordSealer sealer(header, key);
    sealer.seal(ByteView(plain).first(content::k_record_plain), false, sealed);
    sealer.seal(ByteView(plain).subspan(content::k_record_plain), true, sealed);
  }
  Opening opening() const { return {sealed.size(), plain.size(), &header, &key}; }
  fs::path out() const { return directory.path() / "film"; }
  fs::path base() const { return directory.path() / "object"; }
  std::unique_ptr<OpenedObject> make() {
    return OpenedObject::make(base(), {out(), io::PlacedFile::hidden_name(out(), "t"), {}, false}, opening()).value();
  }
  Bytes all(OpenedObject& object) {
    Bytes octets(sealed.size());
    EXPECT_TRUE(object.read(0, octets));
    return octets;
  }
  test::TemporaryDirectory directory;
  content::ContentKey key;
  content::SealedHeader header{};
  Bytes plain = Bytes(100000), sealed;
};

TEST_F(Opened, FromChunkToFileAndBack) {
  auto object = make();
  ASSERT_TRUE(object->write(50000, ByteView(sealed).subspan(50000)));
  ASSERT_TRUE(object->write(0, ByteView(sealed).first(50000)));
  ASSERT_TRUE(object->sync());
  while (object->check_some().value()) continue;
  ASSERT_TRUE(object->commit(io::Replace::never));
  EXPECT_EQ(io::read_file(out(), 1 << 20).value(), plain);
  EXPECT_EQ(all(*object), sealed);
  object.reset();
  auto again = OpenedObject::find(base(), opening()).value();
  EXPECT_TRUE(again->place().whole);
  EXPECT_EQ(all(*again), sealed);
  // The user's from now on.
  OpenedObject::remove(base());
  EXPECT_TRUE(fs::exists(out()));
  EXPECT_FALSE(OpenedObject::is_at(base()));
}

TEST_F(Opened, MovesAndIsFoundWhereItIs) {
  make();
  const auto other = directory.path() / "other", hidden = directory.path() / ".other.hidden";
  {
    auto object = OpenedObject::find(base(), opening()).value();
    ASSERT_TRUE(object->move(other, hidden));
  }
  EXPECT_EQ(OpenedObject::find(base(), opening()).value()->path(), hidden);
  // A process that ended between the record and the rename.
  fs::rename(hidden, io::PlacedFile::hidden_name(out(), "t"));
  auto object = OpenedObject::find(base(), opening()).value();
  EXPECT_EQ(object->path(), io::PlacedFile::hidden_name(out(), "t"));
  ASSERT_TRUE(object->move(other, hidden));
  ASSERT_TRUE(object->commit(io::Replace::never));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(Opened, ATagThatDoesNotFitIsAnIntegrityError) {
  auto object = make();
  sealed.back() ^= 1;
  ASSERT_TRUE(object->write(0, sealed));
  auto checked = object->check_some();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::integrity);
  object.reset();
  OpenedObject::remove(base());
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST_F(Opened, TakesTheSameFileInPlaceOfItsOwn) {
  auto object = make();
  ASSERT_TRUE(object->write(0, sealed));
  std::ofstream(out(), std::ios::binary).write(reinterpret_cast<const char*>(plain.data()), 99999) << 'x';
  EXPECT_FALSE(object->adopt().value());
  std::ofstream(out(), std::ios::binary)
      .write(reinterpret_cast<const char*>(plain.data()), static_cast<std::streamsize>(plain.size()));
  EXPECT_TRUE(object->adopt().value());
  object.reset();
  auto again = OpenedObject::find(base(), opening()).value();
  EXPECT_EQ(again->path(), out());
  EXPECT_EQ(all(*again), sealed);
}

TEST_F(Opened, ARecordThatIsDamagedIsAnError) {
  make();
  std::ofstream(base().string() + ".place") << "{}";
  EXPECT_FALSE(OpenedObject::find(base(), opening()));
  EXPECT_FALSE(OpenedObject::mend_place(base()));
}

}  // namespace
}  // namespace sealcast::roles
