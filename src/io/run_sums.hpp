#pragma once
// A checksum for each run of an object's chunks, made when the run was verified: whoever serves it again need not hash
// it again to know that a disk has not changed it. It finds accidents only: who writes to the file can write the sums.
#include <filesystem>
#include <optional>

#include "base/bytes.hpp"
#include "io/guarded_mapping.hpp"

namespace sealcast::io {

class RunSums {
 public:
  // The file is made when missing, 8 octets a run; what another object left in it matches nothing. Without room for it,
  // or when it cannot be read, there are no sums: everything is hashed then.
  RunSums(const std::filesystem::path& path, std::uint64_t runs);
  // `octets` of run `run` have been verified just now.
  void set(std::uint64_t run, ByteView octets);
  void forget(std::uint64_t run);
  bool matches(std::uint64_t run, ByteView octets);

 private:
  std::uint64_t* at(std::uint64_t run);

  std::optional<GuardedMapping> sums_;
};

}  // namespace sealcast::io
