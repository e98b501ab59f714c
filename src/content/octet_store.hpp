#pragma once
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace sealcast::content {

// Octets at their places: a file, a part of one, or a view of one. Ranges are inside of it.
class OctetStore {
 public:
  virtual ~OctetStore() = default;
  // Fills all of `out` or fails.
  virtual Status read(std::uint64_t offset, MutableByteView out) = 0;
  virtual Status write(std::uint64_t offset, ByteView data) = 0;
};

}  // namespace sealcast::content
