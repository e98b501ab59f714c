#pragma once
#include <algorithm>

#include "content/octet_store.hpp"

namespace sealcast::test {

// Octets in memory; what was never written is zero. The memory can be full.
template <class Interface>
class InMemory final : public Interface {
 public:
  explicit InMemory(std::uint64_t size) : octets(size) {}
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

using MemoryOctets = InMemory<content::OctetStore>;

}  // namespace sealcast::test
