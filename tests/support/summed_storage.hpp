#pragma once
// Chunks in memory that remember what was verified, as a store with checksums does; and what they were asked.
#include <unordered_map>

#include "crypto/hash.hpp"
#include "tests/support/memory_storage.hpp"

namespace sealcast::test {

class SummedStorage final : public swarm::ChunkStorage {
 public:
  explicit SummedStorage(std::uint64_t size) : memory(size) {}
  Status read(std::uint64_t offset, MutableByteView out) override {
    ++reads;
    return memory.read(offset, out);
  }
  Status write(std::uint64_t offset, ByteView data) override { return memory.write(offset, data); }
  bool keeps_sums() const override { return sums_kept; }
  bool unchanged(std::uint64_t offset, ByteView run) override {
    return sums_kept && sums.contains(offset) && sums.at(offset) == crypto::sha256(run);
  }
  void verified(std::uint64_t offset, ByteView run) override {
    ++hashed;
    sums[offset] = crypto::sha256(run);
  }
  MemoryStorage memory;
  bool sums_kept = true;
  std::unordered_map<std::uint64_t, crypto::Digest> sums;
  int reads = 0, hashed = 0;
};

}  // namespace sealcast::test
