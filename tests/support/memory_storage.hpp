#pragma once
// Chunks in memory, for engines without files.
#include <algorithm>

#include "swarm/storage.hpp"

namespace sealcast::test {

class MemoryStorage final : public swarm::ChunkStorage {
 public:
  explicit MemoryStorage(std::uint64_t size) : octets(size) {}
  Status read(std::uint64_t offset, MutableByteView out) override {
    if (offset + out.size() > octets.size()) return fail("read outside");
    std::copy_n(octets.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
  Status write(std::uint64_t offset, ByteView data) override {
    if (full) return fail(ErrorCode::disk_full, "disk full");
    if (offset + data.size() > octets.size()) return fail("write outside");
    std::copy(data.begin(), data.end(), octets.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  Bytes octets;
  bool full = false;
};

}  // namespace sealcast::test
