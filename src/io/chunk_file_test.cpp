#include "io/chunk_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "io/file.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;
using content::Bitmap;
using content::Geometry;
using content::MerkleTree;

struct ChunkFiles : testing::Test {
  Result<std::unique_ptr<ChunkFile>> open() const { return ChunkFile::open(base, geometry, root); }
  fs::path file(const char* extension) const { return base.string() + extension; }
  void write_at(const char* extension, std::streamoff at, char octet) const {
    std::fstream f(file(extension), std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(at);
    f.put(octet);
  }
  // A state with chunks 3..9 held.
  void make() {
    auto object = open();
    ASSERT_TRUE(object) << object.error().message;
    ASSERT_TRUE((*object)->write(geometry.offset_of(3),
                                 ByteView(octets).subspan(geometry.offset_of(3), geometry.size_of({3, 9}))));
    (*object)->nodes()[6].fill(0xab);
    Bitmap held(geometry.chunks());
    held.set({3, 9});
    ASSERT_TRUE((*object)->save(held));
  }
  void expect_refused(const char* extension, const char* reason) const {
    auto object = open();
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().message.find(file(extension).string()), 0u) << object.error().message;
    EXPECT_NE(object.error().message.find(reason), std::string::npos) << object.error().message;
    EXPECT_NE(object.error().message.find("remove " + base.string() + ".data"), std::string::npos)
        << object.error().message;
  }
  ChunkFiles() { test::SeededRandom(1).fill(octets); }
  test::TemporaryDirectory directory;
  fs::path base = directory.path() / "object";
  Geometry geometry = *Geometry::make(100'001, 1024);
  content::Digest root{1, 2, 3};
  Bytes octets = Bytes(100'001);
};

TEST_F(ChunkFiles, a_run_that_was_verified_whole_is_known_again_until_it_changes) {
  constexpr std::uint64_t k_run = 32 * 1024;
  const auto run = [&](std::uint64_t i) {
    return ByteView(octets).subspan(i * k_run).first(std::min<std::size_t>(k_run, octets.size() - i * k_run));
  };
  {
    auto object = open();
    ASSERT_TRUE(object);
    ASSERT_TRUE((*object)->write(0, octets));
    EXPECT_FALSE((*object)->unchanged(0, run(0))) << "written, not verified";
    (*object)->verified(0, ByteView(octets).first(2 * k_run + 1024));
    (*object)->verified(2 * k_run + 1024, run(2).subspan(1024));
    (*object)->verified(3 * k_run, run(3));  // the short last one
    ASSERT_TRUE((*object)->save(Bitmap(geometry.chunks())));
  }
  auto object = open();
  ASSERT_TRUE(object);
  for (std::uint64_t i : {0, 1, 3}) EXPECT_TRUE((*object)->unchanged(i * k_run, run(i))) << i;
  EXPECT_FALSE((*object)->unchanged(2 * k_run, run(2))) << "verified in parts";
  (*object)->verified(2 * k_run, run(2));
  EXPECT_TRUE((*object)->unchanged(2 * k_run, run(2)));
  EXPECT_FALSE((*object)->unchanged(0, run(0).first(1024))) << "a part";
  EXPECT_FALSE((*object)->unchanged(1024, run(0))) << "not where a run begins";
  auto changed = bytes_of(run(1));
  changed[77] ^= 1;
  EXPECT_FALSE((*object)->unchanged(k_run, changed));
  ASSERT_TRUE((*object)->write(k_run + 1024, run(1).subspan(1024, 1024)));
  EXPECT_FALSE((*object)->unchanged(k_run, run(1))) << "written over in part";
}

TEST_F(ChunkFiles, sums_of_another_object_or_none_at_all_do_no_harm) {
  make();
  for (const char* left : {"", "sums of something else", "-"}) {
    if (*left == '-') {
      fs::remove(file(".sums"));
      fs::create_directory(file(".sums"));
    } else {
      std::ofstream(file(".sums")) << left;
    }
    auto object = open();
    ASSERT_TRUE(object) << object.error().message;
    EXPECT_FALSE((*object)->unchanged(0, ByteView(octets).first(32 * 1024)));
    // Known from now on, in memory where there is no file for it: it is hashed once.
    (*object)->verified(0, ByteView(octets).first(32 * 1024));
    EXPECT_TRUE((*object)->unchanged(0, ByteView(octets).first(32 * 1024)));
  }
  fs::remove(file(".sums"));
}

TEST_F(ChunkFiles, WhatWasSavedIsThereAgain) {
  make();
  auto object = open();
  ASSERT_TRUE(object) << object.error().message;
  auto& held = (*object)->held_at_open();
  EXPECT_EQ(held.ranges(), (std::vector{content::ChunkRange{3, 9}}));
  Bytes out(geometry.size_of({3, 9}));
  ASSERT_TRUE((*object)->read(geometry.offset_of(3), out));
  EXPECT_TRUE(equal(out, ByteView(octets).subspan(geometry.offset_of(3), out.size())));
  EXPECT_EQ((*object)->nodes().size() * 32, MerkleTree::octets(geometry.chunks()));
  EXPECT_EQ((*object)->nodes()[6][31], 0xab);
  EXPECT_EQ((*object)->nodes()[7], content::Digest{});
}

TEST_F(ChunkFiles, FilesArePrivateSparseAndOfFullLength) {
  geometry = *Geometry::make(std::uint64_t{1} << 30, 8192);
  auto object = open();
  ASSERT_TRUE(object);
  struct stat about {};
  for (auto extension : {".data", ".tree"}) {
    ASSERT_EQ(::stat(file(extension).c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600u);
  }
  ::stat((*object)->data_path().c_str(), &about);
  EXPECT_EQ(about.st_size, 1 << 30);
  EXPECT_LT(about.st_blocks, 100);
  Bytes last{7};
  EXPECT_TRUE((*object)->write((1 << 30) - 1, last));
  ChunkFile::remove(base);
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST_F(ChunkFiles, ATreeFitsAndHasItsBlocksForEverySize) {
  for (std::uint32_t chunks : {1u, 2u, 3u, 5u, 1024u, 1025u, 65537u}) {
    geometry = *Geometry::make(std::uint64_t{chunks} * 512, 512);
    auto object = open();
    ASSERT_TRUE(object) << object.error().message;
    auto nodes = (*object)->nodes();
    content::MerkleTreeBuilder builder(nodes, chunks);
    for (std::uint32_t i = 0; i < chunks; ++i) builder.add(content::Digest{1});
    auto top = builder.finish();
    EXPECT_NE(top, content::Digest{});
    struct stat before {
    }, after{};
    ::stat(file(".tree").c_str(), &before);
    ASSERT_TRUE((*object)->save(Bitmap(chunks)));
    ::stat(file(".tree").c_str(), &after);
    EXPECT_EQ(before.st_blocks, after.st_blocks) << chunks;  // every node had its block
    if (chunks == 65537) {
      EXPECT_LT(after.st_blocks * 512, static_cast<blkcnt_t>(nodes.size_bytes() * 3 / 4));
    }
    ChunkFile::remove(base);
  }
}

TEST_F(ChunkFiles, ACrashBeforeTheFirstSaveBeginsAnew) {
  {
    auto object = open();
    ASSERT_TRUE((*object)->write(0, ByteView(octets).first(5000)));
    (*object)->nodes()[0].fill(1);
  }
  auto object = open();
  ASSERT_TRUE(object);
  EXPECT_TRUE((*object)->held_at_open().empty());
  EXPECT_EQ((*object)->nodes()[0], content::Digest{});
  object->reset();
  // Killed between creation and its size.
  fs::resize_file(file(".data"), 0);
  fs::resize_file(file(".tree"), 10);
  EXPECT_TRUE(open());
}

TEST_F(ChunkFiles, AForeignOrDamagedStateIsNamed) {
  make();
  auto whole = fs::file_size(file(".have"));
  for (auto extension : {".data", ".tree"}) {
    auto size = fs::file_size(file(extension));
    fs::resize_file(file(extension), size - 1);
    expect_refused(extension, "octets instead of");
    fs::resize_file(file(extension), size);
  }
  fs::resize_file(file(".data"), 0);
  expect_refused(".data", "has 0 octets");
  fs::resize_file(file(".data"), octets.size());
  write_at(".have", 60, 'x');
  expect_refused(".have", "wrong checksum");
  write_at(".have", 0, 'x');
  expect_refused(".have", "no record");
  fs::resize_file(file(".have"), whole - 1);
  expect_refused(".have", "wrong size");
  fs::remove(file(".have"));
  fs::create_symlink("elsewhere", file(".have"));
  expect_refused(".have", "no regular file");
  fs::remove(file(".have"));
  fs::resize_file(file(".data"), 5);
  expect_refused(".data", "has 5 octets");
}

TEST_F(ChunkFiles, AnotherRootOrGeometryIsAnotherObject) {
  make();
  root[5] = 1;
  expect_refused(".have", "another object");
  root[5] = 0;
  geometry = *Geometry::make(100'002, 1024);
  expect_refused(".have", "another object");
  geometry = *Geometry::make(100'001, 512);
  expect_refused(".have", "wrong size");
}

TEST_F(ChunkFiles, LinksAreNotFollowed) {
  std::ofstream(directory.path() / "victim") << "precious";
  for (auto extension : {".data", ".tree"}) {
    fs::create_symlink("victim", file(extension));
    EXPECT_FALSE(open());
    fs::remove(file(extension));
  }
  EXPECT_EQ(string_of(*read_file(directory.path() / "victim", 100)), "precious");
}

TEST_F(ChunkFiles, WriteErrorsAreErrors) {
  auto object = open();
  ASSERT_TRUE(object);
  // The nearest that a test without a disk of its own comes to one that is full.
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  auto previous = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small{4096, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  auto written = (*object)->write(50'000, ByteView(octets).first(1000));
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, previous);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("cannot write " + file(".data").string()), std::string::npos);
}

// The nodes are mapped: the kernel raises SIGBUS on whoever touches a page that is no longer in the file.
TEST_F(ChunkFiles, ATreeThatIsCutShortFailsItsObjectOnly) {
  make();
  auto object = open();
  ASSERT_TRUE(object) << object.error().message;
  auto other = ChunkFile::open(directory.path() / "other", geometry, root);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ((*object)->nodes()[6][0], 0xab);
  fs::resize_file(file(".tree"), 0);
  content::MerkleTree tree((*object)->nodes(), geometry.chunks(), root);
  EXPECT_EQ(tree.hash(6), content::Digest{});
  EXPECT_EQ(tree.root(), root);
  EXPECT_FALSE(tree.verify(6, content::Digest{9}, {}));
  EXPECT_FALSE(tree.mend(6, content::Digest{9}));
  EXPECT_TRUE((*object)->lost());
  Bytes out(10);
  auto read = (*object)->read(0, out);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find(file(".tree").string() + " became shorter"), std::string::npos);
  EXPECT_FALSE((*object)->write(0, out));
  EXPECT_FALSE((*object)->save(Bitmap(geometry.chunks())));
  EXPECT_EQ((*object)->trouble()->message, read.error().message);
  EXPECT_FALSE((*other)->lost());
  EXPECT_TRUE((*other)->save(Bitmap(geometry.chunks())));
}

TEST_F(ChunkFiles, DataThatIsCutShortIsNamedAndCanBeWrittenAnew) {
  make();
  auto object = open();
  fs::resize_file(file(".data"), 0);
  Bytes out(10);
  auto read = (*object)->read(geometry.offset_of(3), out);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find(file(".data").string() + " became shorter"), std::string::npos);
  EXPECT_EQ((*object)->trouble()->message, read.error().message);
  EXPECT_FALSE((*object)->lost());
  EXPECT_TRUE((*object)->write(0, ByteView(octets).first(10)));
  EXPECT_TRUE((*object)->save((*object)->held_at_open()));
  EXPECT_FALSE((*object)->trouble());
  object->reset();
  EXPECT_TRUE(open());
}

TEST_F(ChunkFiles, ManyOpenObjectsHaveFewDescriptors) {
  auto descriptors = [] { return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()); };
  const auto before = descriptors();
  std::vector<std::unique_ptr<ChunkFile>> objects;
  const auto small = *Geometry::make(1000, 1024);
  for (int i = 0; i < 600; ++i) {
    auto object = ChunkFile::open(directory.path() / std::to_string(i), small, root);
    ASSERT_TRUE(object) << object.error().message;
    ASSERT_TRUE((*object)->write(0, Bytes{static_cast<std::uint8_t>(i)}));
    objects.push_back(std::move(*object));
  }
  EXPECT_LE(descriptors() - before, 512);
  Bytes out(1);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    ASSERT_TRUE(objects[i]->read(0, out));
    EXPECT_EQ(out[0], static_cast<std::uint8_t>(i));
  }
  // Another file under its name, after the descriptor was given up, is not ours.
  auto data = directory.path() / "0.data";
  fs::rename(data, directory.path() / "gone");
  std::ofstream(data) << std::string(1000, 'x');
  auto read = objects[0]->read(0, out);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("was replaced"), std::string::npos);
  objects.clear();
  EXPECT_LE(descriptors(), before);
}

}  // namespace
}  // namespace sealcast::io
