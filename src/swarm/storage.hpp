#pragma once
#include "content/octet_store.hpp"

namespace sealcast::swarm {

// Where the octets of one object lie: a file in io, memory in tests. Ranges are inside the object. Only verified
// octets are written. Calls may block as a page cache does.
class ChunkStorage : public content::OctetStore {
 public:
  // Does unchanged() know, from then on, each whole run that verified() was told of?
  virtual bool keeps_sums() const { return false; }
  // Are these octets, just read from here, a whole run that was verified when it was written, or since, and has not
  // been changed by accident? Whoever does not know says no.
  virtual bool unchanged(std::uint64_t /*offset*/, ByteView /*run*/) { return false; }
  // They are right: they were verified just now.
  virtual void verified(std::uint64_t /*offset*/, ByteView /*data*/) {}
};

}  // namespace sealcast::swarm
