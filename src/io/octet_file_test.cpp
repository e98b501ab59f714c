#include "io/octet_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "io/file.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::io {
namespace {

std::uint64_t room_of(const std::filesystem::path& path) {
  struct stat about {};
  EXPECT_EQ(::stat(path.c_str(), &about), 0);
  return static_cast<std::uint64_t>(about.st_blocks) * 512;
}

TEST(OctetFile, ZerosOverWhatWasThereAreZerosAndTakeNoRoom) {
  test::TemporaryDirectory directory;
  auto path = directory.path() / "object";
  auto file = OctetFile::open(path);
  ASSERT_TRUE(file);
  const Bytes octets(1 << 20, 7), zeros(1 << 20);
  ASSERT_TRUE(file->write(0, octets));
  auto full = room_of(path);
  ASSERT_TRUE(file->write(1000, ByteView(zeros).first(900000)));
  EXPECT_LT(room_of(path), full / 4);
  Bytes got(1 << 20);
  ASSERT_TRUE(file->read(0, got));
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], i < 1000 || i >= 901000 ? 7 : 0) << i;
}

TEST(OctetFile, ZerosBeyondTheEndMoveIt) {
  test::TemporaryDirectory directory;
  auto file = OctetFile::open(directory.path() / "object");
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write(5000, Bytes(20000)));
  Bytes got(25000, 1);
  ASSERT_TRUE(file->read(0, got));
  EXPECT_TRUE(is_zeros(got));
}

TEST(OutputFile, LeavesHolesAndCountsWhatIsNone) {
  test::TemporaryDirectory directory;
  auto path = directory.path() / "out";
  auto out = OutputFile::create(path);
  ASSERT_TRUE(out);
  const Bytes octets(100000, 7), zeros(1 << 20);
  for (auto* part : {&zeros, &octets, &zeros}) ASSERT_TRUE(out->write(*part));
  EXPECT_EQ(out->filled(), octets.size());
  ASSERT_TRUE(out->commit());
  EXPECT_LT(room_of(path), 300000U);
  auto got = read_file(path, 4 << 20);
  ASSERT_TRUE(got);
  Bytes expected = zeros;
  expected.insert(expected.end(), octets.begin(), octets.end());
  expected.insert(expected.end(), zeros.begin(), zeros.end());
  EXPECT_EQ(*got, expected);
}

}  // namespace
}  // namespace sealcast::io
