// Files that grow hidden, get their name, and are the user's then.
#include "io/placed_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/temporary_directory.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;

struct Placed : ::testing::Test {
  test::TemporaryDirectory directory;
  fs::path at(const char* name) const { return directory.path() / name; }
  fs::path hidden(const char* name) const { return PlacedFile::hidden_name(at(name), "tag"); }
  static unsigned mode(const fs::path& path) {
    struct stat about {};
    EXPECT_EQ(::stat(path.c_str(), &about), 0);
    return about.st_mode & 0777;
  }
  static std::string text(const fs::path& path) { return string_of(read_file(path, 1000).value()); }
  static void put(const fs::path& path, const std::string& what) { std::ofstream(path) << what; }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory.path()), {}));
  }
  PlacedFile made(const char* name, std::string_view what = "content") {
    auto out = PlacedFile::make(hidden(name), what.size()).value();
    EXPECT_TRUE(out.write(0, view_of(what)));
    return out;
  }
};

TEST_F(Placed, GrowsHiddenAndGetsItsName) {
  auto file = PlacedFile::make(hidden("film"), 7).value();
  EXPECT_EQ(hidden("film").filename().string().front(), '.');
  EXPECT_EQ(mode(hidden("film")), 0600u);
  ASSERT_TRUE(file.write(4, view_of("ent")));
  ASSERT_TRUE(file.write(0, view_of("cont")));
  EXPECT_FALSE(fs::exists(at("film")));
  ASSERT_TRUE(file.commit(at("film"), Replace::never));
  EXPECT_EQ(count(), 1u);
  EXPECT_EQ(text(at("film")), "content");
  auto mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(mode(at("film")), 0666u & ~mask);
  Bytes out(4);
  ASSERT_TRUE(file.read(0, out));  // the descriptor stays
  EXPECT_EQ(string_of(out), "cont");
}

TEST_F(Placed, IsFoundAgainByWhatItIs) {
  FileId id;
  {
    auto file = made("film");
    id = file.id();
    EXPECT_EQ(PlacedFile::id_of(hidden("film")).value(), id);
  }
  EXPECT_TRUE(PlacedFile::open(hidden("film"), id, 7, Owner::ours));
  EXPECT_FALSE(PlacedFile::open(hidden("film"), id, 8, Owner::ours));
  EXPECT_FALSE(PlacedFile::open(hidden("film"), {id.device, id.inode + 1}, 7, Owner::ours));
  fs::create_symlink(hidden("film"), at("link"));
  EXPECT_FALSE(PlacedFile::open(at("link"), id, 7, Owner::user));
  // What is in the way of a new one goes; a link is not followed.
  put(at("victim"), "precious");
  fs::remove(hidden("film"));
  fs::create_symlink(at("victim"), hidden("film"));
  made("film");
  EXPECT_EQ(text(at("victim")), "precious");
}

TEST_F(Placed, TheUsersFileIsNeverWrittenAndChangesEndIt) {
  Bytes out(7);
  {
    auto file = made("a");
    ASSERT_TRUE(file.commit(at("a"), Replace::never));
    EXPECT_FALSE(file.write(0, view_of("x")));
    ASSERT_TRUE(file.read(0, out));
    put(at("a"), "CONTENT");
    auto read = file.read(0, out);
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().message.find("changed"), std::string::npos) << read.error().message;
  }
  {
    auto file = made("b");
    ASSERT_TRUE(file.commit(at("b"), Replace::never));
    fs::resize_file(at("b"), 3);
    EXPECT_FALSE(file.read(0, out));
  }
  {
    auto file = made("c");
    ASSERT_TRUE(file.commit(at("c"), Replace::never));
    fs::rename(at("c"), at("d"));
    EXPECT_FALSE(file.read(0, out));
  }
  auto file = made("e");
  auto id = file.id();
  ASSERT_TRUE(file.commit(at("e"), Replace::never));
  auto again = PlacedFile::open(at("e"), id, 7, Owner::user).value();
  ASSERT_TRUE(again.read(0, out));
  fs::permissions(at("e"), fs::perms::owner_read);
  EXPECT_FALSE(again.read(0, out));
  EXPECT_EQ(text(at("e")), "content");
}

TEST_F(Placed, ReplacesWhatMayBeReplaced) {
  put(at("film"), "old");
  ::chmod(at("film").c_str(), 0640);
  auto refused = made("film");
  EXPECT_EQ(refused.commit(at("film"), Replace::never).error().code, ErrorCode::usage);
  EXPECT_EQ(mode(hidden("film")), 0600u);
  EXPECT_EQ(text(at("film")), "old");
  ASSERT_TRUE(refused.commit(at("film"), Replace::allowed));
  EXPECT_EQ(text(at("film")), "content");
  EXPECT_EQ(mode(at("film")), 0640u);
  fs::create_symlink(at("film"), at("link"));
  fs::create_directory(at("directory"));
  for (auto* name : {"link", "directory"}) {
    auto file = made(name);
    EXPECT_FALSE(file.commit(at(name), Replace::allowed));
    EXPECT_EQ(file.owner(), Owner::ours);
    EXPECT_TRUE(file.remove());
  }
  EXPECT_EQ(count(), 3u);
}

TEST_F(Placed, MovesToAnotherHiddenName) {
  auto file = made("a");
  EXPECT_FALSE(file.move(hidden("b"), [](auto&) { return Status(fail("no record")); }));
  EXPECT_EQ(file.path(), hidden("a"));
  ASSERT_TRUE(file.move(hidden("b"), [&](const FileId& id) {
    EXPECT_EQ(PlacedFile::id_of(hidden("a")), id) << "recorded before it moves";
    return Status{};
  }));
  ASSERT_TRUE(file.commit(at("b"), Replace::never));
  EXPECT_EQ(text(at("b")), "content");
  EXPECT_EQ(count(), 1u);
}

}  // namespace
}  // namespace sealcast::io
