#include "io/guarded_mapping.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <numeric>
#include <thread>

#include "os/descriptor.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::io {
namespace {

// Octets of files that this process has in memory.
std::size_t mapped() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0, resident = 0, of_files = 0;
  statm >> all >> resident >> of_files;
  return of_files * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

struct Mappings : testing::Test {
  GuardedMapping map(const char* name, std::size_t octets) {
    const auto path = directory.path() / name;
    os::Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(octets)), 0);
    auto made = GuardedMapping::make(file.get(), octets, path);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  test::TemporaryDirectory directory;
};

constexpr std::size_t k_page = 4096;
constexpr std::size_t k_slack = std::size_t{20} << 20;  // a few huge pages more, and what else of files is touched

std::uint64_t* at(const GuardedMapping& mapping, std::size_t octet) {
  return static_cast<std::uint64_t*>(mapping.data()) + octet / sizeof(std::uint64_t);
}

TEST_F(Mappings, a_large_one_has_a_bounded_part_of_memory_and_loses_nothing) {
  constexpr std::size_t k_octets = 4 * GuardedMapping::k_most_mapped;
  auto mapping = map("large", k_octets);
  const auto before = mapped();
  std::size_t most = 0;
  for (bool write : {true, false}) {
    for (std::size_t octet = 0; octet < k_octets; octet += k_page) {
      mapping.used();
      if (write)
        *at(mapping, octet) = octet + 1;
      else
        ASSERT_EQ(*at(mapping, octet), octet + 1);
      most = std::max(most, octet % (16 * k_page) == 0 ? mapped() : 0);
    }
  }
  EXPECT_LE(most, before + GuardedMapping::k_most_mapped + k_slack);
  EXPECT_FALSE(mapping.broken());
}

TEST_F(Mappings, many_have_no_more_between_them) {
  constexpr std::size_t k_each = GuardedMapping::k_most_mapped / 4, k_count = 16;
  std::vector<GuardedMapping> all;
  for (std::size_t i = 0; i < k_count; ++i) all.push_back(map(std::to_string(i).c_str(), k_each));
  const auto before = mapped();
  std::size_t most = 0;
  for (int round = 0; round < 2; ++round) {
    for (auto& mapping : all) {
      for (std::size_t octet = 0; octet < k_each; octet += k_page) {
        mapping.used();
        *at(mapping, octet) += octet;
      }
      most = std::max(most, mapped());
    }
  }
  EXPECT_LE(most, before + GuardedMapping::k_most_mapped + k_slack);
  for (auto& mapping : all) EXPECT_EQ(*at(mapping, k_each - k_page), 2 * (k_each - k_page));
}

TEST_F(Mappings, it_is_the_same_from_any_thread) {
  constexpr std::size_t k_octets = 4 * GuardedMapping::k_most_mapped;
  auto mapping = map("shared", k_octets);
  const auto before = mapped();
  std::atomic<std::size_t> most = 0;
  auto write = [&](std::size_t begin, std::size_t end) {
    for (auto octet = begin; octet < end; octet += k_page) {
      mapping.used();
      *at(mapping, octet) = octet + 1;
      if (octet % (64 * k_page) == 0) most = std::max(most.load(), mapped());
    }
  };
  std::thread other(write, 0, k_octets / 2);
  write(k_octets / 2, k_octets);
  other.join();
  EXPECT_LE(most, before + GuardedMapping::k_most_mapped + k_slack);
  for (std::size_t octet = 0; octet < k_octets; octet += k_page) ASSERT_EQ(*at(mapping, octet), octet + 1);
}

TEST_F(Mappings, who_says_so_need_not_be_who_uses_it) {
  constexpr std::size_t k_part = GuardedMapping::k_most_mapped / 4;
  auto mapping = map("split", 16 * k_part);
  const auto before = mapped();
  for (std::size_t begin = 0; begin < mapping.size(); begin += k_part) {
    std::thread other([&] {
      for (auto octet = begin; octet < begin + k_part; octet += k_page) *at(mapping, octet) = octet + 1;
    });
    other.join();
    mapping.used();
    EXPECT_LE(mapped(), before + GuardedMapping::k_most_mapped + k_slack);
  }
}

TEST_F(Mappings, one_that_is_gone_is_let_alone) {
  auto other = map("other", 2 * GuardedMapping::k_most_mapped);
  {
    auto gone = map("gone", GuardedMapping::k_most_mapped);
    gone.used();
    auto moved = std::move(gone);
    moved.used();
  }
  // What is allocated now lies where it was, and would be lost if that were still on a list.
  Bytes heap(GuardedMapping::k_most_mapped - k_slack, 7);
  for (std::size_t octet = 0; octet < other.size(); octet += k_page) {
    other.used();
    *at(other, octet) = 1;
  }
  EXPECT_EQ(std::accumulate(heap.begin(), heap.end(), std::uint64_t{0}), heap.size() * 7);
}

}  // namespace
}  // namespace sealcast::io
