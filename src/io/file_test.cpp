#include "io/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/temporary_directory.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;
using testing::Test;

struct Files : Test {
  fs::path at(const char* name) const { return directory.path() / name; }
  static void put(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }
  static std::string get(const fs::path& path) {
    auto octets = read_file(path, 1 << 20);
    return octets ? string_of(*octets) : "! " + octets.error().message;
  }
  static unsigned mode(const fs::path& path) {
    struct stat about {};
    EXPECT_EQ(::stat(path.c_str(), &about), 0);
    return about.st_mode & 07777;
  }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory.path()), {}));
  }
  test::TemporaryDirectory directory;
};

TEST_F(Files, ReadsUpToTheLimitAndNamesThePathInErrors) {
  put(at("a"), "hello");
  EXPECT_EQ(string_of(read_file(at("a"), 5).value()), "hello");
  auto more = read_file(at("a"), 4);
  ASSERT_FALSE(more);
  EXPECT_NE(more.error().message.find(at("a").string()), std::string::npos);
  put(at("empty"), "");
  EXPECT_TRUE(read_file(at("empty"), 0).value().empty());
  EXPECT_NE(get(at("none")).find("none: No such file"), std::string::npos);
  EXPECT_NE(get(directory.path()).find("Is a directory"), std::string::npos);
  std::string large(300000, 'x');
  put(at("large"), large);
  EXPECT_EQ(get(at("large")), large);
}

TEST_F(Files, ReadsAPipeToItsEnd) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::string text(20000, 'p');
  ASSERT_EQ(::write(ends[1], text.data(), text.size()), 20000);
  ::close(ends[1]);
  EXPECT_EQ(get("/dev/fd/" + std::to_string(ends[0])), text);
  ::close(ends[0]);
}

TEST_F(Files, AtomicWriteReplacesWithTheModeAndLeavesNothingElse) {
  auto old = ::umask(0077);
  ASSERT_TRUE(write_file_atomically(at("a"), view_of("one"), 0644));
  ::umask(old);
  EXPECT_EQ(mode(at("a")), 0644u);
  ASSERT_TRUE(write_file_atomically(at("a"), view_of("two"), 0600));
  EXPECT_EQ(get(at("a")), "two");
  EXPECT_EQ(mode(at("a")), 0600u);
  fs::create_directory(at("d"));
  auto refused = write_file_atomically(at("d"), view_of("x"), 0600);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find(at("d").string()), std::string::npos);
  EXPECT_FALSE(write_file_atomically(at("missing/a"), view_of("x"), 0600));
  EXPECT_EQ(count(), 2u);
}

TEST_F(Files, FullDiskHasItsOwnCode) {
  EXPECT_EQ(system_error("cannot write", "f", ENOSPC).code, ErrorCode::disk_full);
  EXPECT_EQ(system_error("cannot write", "f", EDQUOT).code, ErrorCode::disk_full);
  EXPECT_EQ(system_error("cannot write", "f", EIO).code, ErrorCode::unavailable) << "it may pass";
  EXPECT_EQ(system_error("cannot write", "f", EISDIR).code, ErrorCode::failure);
  EXPECT_EQ(system_error("cannot write", "f\n", ENOSPC).message, "cannot write f\\u{a}: No space left on device");
}

TEST_F(Files, MakesParentsWithTheSameModeAndNeverAFileIntoADirectory) {
  ASSERT_TRUE(make_directory(at("a/b/c"), 0700));
  EXPECT_EQ(mode(at("a")), 0700u);
  EXPECT_EQ(mode(at("a/b/c")), 0700u);
  EXPECT_TRUE(make_directory(at("a/b/c/"), 0755));
  EXPECT_EQ(mode(at("a/b/c")), 0700u);
  ASSERT_TRUE(make_directory(at("e/f/"), 0700));
  put(at("file"), "");
  EXPECT_FALSE(make_directory(at("file"), 0700));
  EXPECT_FALSE(make_directory(at("file/x"), 0700));
}

TEST_F(Files, ASecondProcessIsToldWhoHoldsTheLock) {
  {
    auto lock = DirectoryLock::take(directory.path());
    ASSERT_TRUE(lock);
    auto moved = std::move(*lock);
    // flock is per open file: a second take in this process is a second holder too.
    auto second = DirectoryLock::take(directory.path());
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid()) + ":"), std::string::npos)
        << second.error().message;
    EXPECT_NE(second.error().message.find(directory.path().string()), std::string::npos);
  }
  EXPECT_TRUE(DirectoryLock::take(directory.path()));
  EXPECT_FALSE(DirectoryLock::take(at("missing")));
}

TEST_F(Files, OutputAppearsOnlyWhenCommitted) {
  {
    auto out = OutputFile::create(at("film"));
    ASSERT_TRUE(out);
    ASSERT_TRUE(out->write(view_of("half")));
    EXPECT_FALSE(fs::exists(at("film")));
    EXPECT_EQ(count(), 1u);
  }
  EXPECT_EQ(count(), 0u);
  put(at("film"), "old");
  auto out = OutputFile::create(at("film"));
  ASSERT_TRUE(out->write(view_of("who")));
  auto moved = std::move(*out);
  ASSERT_TRUE(moved.write(view_of("le")));
  EXPECT_EQ(get(at("film")), "old");
  ASSERT_TRUE(moved.commit());
  EXPECT_EQ(get(at("film")), "whole");
  EXPECT_EQ(count(), 1u);
}

TEST_F(Files, OutputRefusesLinksDirectoriesAndDevices) {
  put(at("victim"), "precious");
  fs::create_symlink("victim", at("link"));
  fs::create_symlink("nowhere", at("dangling"));
  fs::create_directory(at("directory"));
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  for (auto name : {"link", "dangling", "directory", "fifo", "directory/", "missing/x"})
    EXPECT_FALSE(OutputFile::create(at(name))) << name;
  EXPECT_FALSE(OutputFile::create("/dev/null"));
  auto out = OutputFile::create(at("late"));
  ASSERT_TRUE(out);
  fs::create_symlink("victim", at("late"));
  EXPECT_FALSE(out->commit());
  EXPECT_EQ(get(at("victim")), "precious");
}

TEST_F(Files, OutputKeepsTheModeOfWhatItReplacesAndNeverWidensIt) {
  put(at("a"), "old");
  ASSERT_EQ(::chmod(at("a").c_str(), 0600), 0);
  auto out = OutputFile::create(at("a"));
  ASSERT_TRUE(out);
  ASSERT_TRUE(out->write(view_of("new")));
  ASSERT_TRUE(out->commit());
  EXPECT_EQ(mode(at("a")), 0600u);
  ASSERT_EQ(::chmod(at("a").c_str(), 0660), 0);
  out = OutputFile::create(at("a"));
  ASSERT_EQ(::chmod(at("a").c_str(), 0640), 0);  // meanwhile
  ASSERT_TRUE(out->commit());
  EXPECT_EQ(mode(at("a")), 0640u);
}

TEST_F(Files, OutputThatMayNotReplaceFindsAFileBeforeAndAfter) {
  put(at("a"), "precious");
  EXPECT_EQ(OutputFile::create(at("a"), Replace::never).error().code, ErrorCode::usage);
  EXPECT_FALSE(OutputFile::check(at("a"), Replace::never));
  EXPECT_TRUE(OutputFile::check(at("a")));
  EXPECT_TRUE(OutputFile::check(at("b"), Replace::never));
  auto out = OutputFile::create(at("b"), Replace::never);
  ASSERT_TRUE(out);
  put(at("b"), "quicker");
  EXPECT_FALSE(out->commit());
  EXPECT_EQ(get(at("b")), "quicker");
  out = OutputFile::create(at("c"), Replace::never);
  ASSERT_TRUE(out->write(view_of("new")));
  ASSERT_TRUE(out->commit());
  EXPECT_EQ(get(at("c")), "new");
  EXPECT_EQ(count(), 3u);
}

TEST_F(Files, LongNamesGetShortTemporaryNames) {
  std::string longest(255, 'n');
  auto out = OutputFile::create(at(longest.c_str()));
  ASSERT_TRUE(out);
  ASSERT_TRUE(out->commit());
  EXPECT_TRUE(fs::exists(at(longest.c_str())));
  EXPECT_TRUE(write_file_atomically(at(longest.c_str()), view_of("x"), 0600));
  EXPECT_EQ(OutputFile::check(at((longest + "n").c_str())).error().code, ErrorCode::usage);
}

TEST_F(Files, SourceIsReadWholeAndFoundUnchanged) {
  put(at("a"), "0123456789");
  fs::create_symlink("a", at("link"));
  auto source = SourceFile::open(at("link"));
  ASSERT_TRUE(source);
  EXPECT_EQ(source->size(), 10u);
  Bytes out(7);
  EXPECT_EQ(source->read(out).value(), 7u);
  auto moved = std::move(*source);
  EXPECT_EQ(moved.read(out).value(), 3u);
  EXPECT_EQ(out[0], '7');
  EXPECT_EQ(moved.read(out).value(), 0u);
  EXPECT_TRUE(moved.check_unchanged());
  ASSERT_TRUE(moved.seek(8));
  EXPECT_EQ(moved.read(out).value(), 2u);
  EXPECT_EQ(out[0], '8');
  EXPECT_TRUE(moved.seek(10));
  EXPECT_FALSE(moved.seek(11));
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  EXPECT_FALSE(SourceFile::open(at("fifo")));
  EXPECT_FALSE(SourceFile::open(directory.path()));
  EXPECT_FALSE(SourceFile::open(at("none")));
}

TEST_F(Files, SourceThatChangesIsNoticed) {
  Bytes out(100);
  for (std::string_view now : {"012", "0123456789abc"}) {
    put(at("a"), "0123456789");
    auto source = SourceFile::open(at("a"));
    put(at("a"), now);
    auto read = source->read(out);
    if (read) read = source->read(out);
    EXPECT_FALSE(read);
    EXPECT_FALSE(source->check_unchanged());
  }
  put(at("a"), "0123456789");
  auto source = SourceFile::open(at("a"));
  put(at("b"), "0123456789");
  fs::rename(at("b"), at("a"));
  EXPECT_FALSE(source->check_unchanged());
  // Same size, times put back: the change time betrays it.
  auto again = SourceFile::open(at("a"));
  struct stat about {};
  ::stat(at("a").c_str(), &about);
  struct timespec times[2] = {about.st_atim, about.st_mtim};
  for (struct stat now = about;
       now.st_ctim.tv_sec == about.st_ctim.tv_sec && now.st_ctim.tv_nsec == about.st_ctim.tv_nsec;
       ::stat(at("a").c_str(), &now))
    ::utimensat(AT_FDCWD, at("a").c_str(), times, 0);
  EXPECT_FALSE(again->check_unchanged());
}

TEST_F(Files, FreeSpaceIsThatOfTheParentToBe) {
  EXPECT_GT(free_space(directory.path()).value(), 0u);
  EXPECT_GT(free_space(at("not/made/yet")).value(), 0u);
  EXPECT_GT(free_space("not-made-yet").value(), 0u);
}

}  // namespace
}  // namespace sealcast::io
