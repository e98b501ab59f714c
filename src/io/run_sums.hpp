#pragma once
// A checksum for each run of an object's chunks, made when the run was verified: whoever serves it again need not hash
// it again to know that a disk has not changed it. It finds accidents only: who writes to the file can write the sums.
#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "io/guarded_mapping.hpp"

namespace sealcast::io {

class RunSums {
 public:
  // The file is made when missing, 8 octets a run; what another object left in it matches nothing. Without room for it,
  // or when it cannot be read, the sums are in memory, and gone with it: what is served again and again must not be
  // hashed again and again because a disk is full.
  RunSums(const std::filesystem::path& path, std::uint64_t runs);
  // `octets` of run `run` have been verified just now.
  void set(std::uint64_t run, ByteView octets);
  void forget(std::uint64_t run);
  bool matches(std::uint64_t run, ByteView octets);

 private:
  std::uint64_t& at(std::uint64_t run);

  std::uint64_t runs_;
  std::optional<GuardedMapping> file_;
  std::once_flag memory_made_;
  std::vector<std::uint64_t> memory_;  // in place of it; runs may be written on another thread
};

}  // namespace sealcast::io
