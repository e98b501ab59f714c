#include "io/file_lock.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "io/file.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;

struct Locks : ::testing::Test {
  fs::path at(const char* name) const { return directory.path() / name; }
  bool taken(const char* name, LockKind kind) const {
    auto lock = FileLock::try_take(at(name), kind);
    return lock.has_value() && lock->has_value();
  }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory.path()), {}));
  }
  test::TemporaryDirectory directory;
};

TEST_F(Locks, OneHolderOrManyWhoShare) {
  {
    auto mine = FileLock::try_take(at("lock"), LockKind::exclusive).value();
    ASSERT_TRUE(mine);
    EXPECT_FALSE(taken("lock", LockKind::exclusive));
    EXPECT_FALSE(taken("lock", LockKind::shared));
    EXPECT_EQ(FileLock::holder(at("lock")), "process " + std::to_string(::getpid()));
    ASSERT_TRUE(mine->share());
    EXPECT_TRUE(taken("lock", LockKind::shared));
    EXPECT_FALSE(taken("lock", LockKind::exclusive));
  }
  EXPECT_TRUE(taken("lock", LockKind::exclusive));
  EXPECT_EQ(FileLock::holder(at("none")), "another process");
}

TEST_F(Locks, AFileThatGoesLeavesNothingAndMayBeTakenAgain) {
  for (int round = 0; round < 3; ++round) {
    auto mine = FileLock::try_take(at("lock"), LockKind::exclusive, LockFile::goes).value();
    ASSERT_TRUE(mine);
    EXPECT_FALSE(taken("lock", LockKind::exclusive));
    mine.reset();
    EXPECT_EQ(count(), 0u);
  }
}

TEST_F(Locks, AKilledHolderLeavesNoLock) {
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  auto child = ::fork();
  if (child == 0) {
    auto mine = FileLock::try_take(at("lock"), LockKind::exclusive);
    (void)!::write(told[1], "x", 1);
    ::pause();
    ::_exit(mine ? 0 : 1);
  }
  char octet;
  ASSERT_EQ(::read(told[0], &octet, 1), 1);
  EXPECT_FALSE(taken("lock", LockKind::exclusive));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(taken("lock", LockKind::exclusive));
  ::close(told[0]);
  ::close(told[1]);
}

TEST_F(Locks, AFileIsMadeOnceByManyAtOnceAndIsNeverHalf) {
  constexpr int k_writers = 16;
  std::vector<pid_t> children;
  for (int i = 0; i < k_writers; ++i) {
    auto child = ::fork();
    if (child == 0) {
      std::string text(4096, static_cast<char>('a' + i));
      auto made = write_file_once(at("key"), view_of(text), 0600);
      ::_exit(made ? (*made ? 1 : 0) : 2);
    }
    children.push_back(child);
  }
  int makers = 0;
  for (auto child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_LT(WEXITSTATUS(status), 2);
    makers += WEXITSTATUS(status);
  }
  EXPECT_EQ(makers, 1);
  auto octets = read_file(at("key"), 1 << 16).value();
  EXPECT_EQ(octets.size(), 4096u);
  EXPECT_EQ(std::count(octets.begin(), octets.end(), octets.front()), 4096);
  struct stat about {};
  ASSERT_EQ(::stat(at("key").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  EXPECT_EQ(count(), 1u) << "nothing else stays";
}

}  // namespace
}  // namespace sealcast::io
