#pragma once
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace sealcast::swarm {

// Where the octets of one object lie: a file in io, memory in tests. Ranges are inside the object. Calls may block as a
// page cache does.
class ChunkStorage {
 public:
  virtual ~ChunkStorage() = default;
  // Fills all of `out` or fails.
  virtual Status read(std::uint64_t offset, MutableByteView out) = 0;
  // Only verified octets are written.
  virtual Status write(std::uint64_t offset, ByteView data) = 0;
};

}  // namespace sealcast::swarm
