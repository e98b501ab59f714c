#pragma once
// The file of a content, any octet of it, from what is held of its object: what `get` writes out, and what a gateway
// hands to a player. An object that is kept as it came and one that lies opened in a file are read alike, and neither
// is trusted to be what was verified when it came: a sealed record is authenticated by its tag, a clear run is compared
// with its checksum or proven to the root, each time that it is read. No octet of which that is not known is returned.
#include <optional>
#include <vector>

#include "content/bitmap.hpp"
#include "content/description.hpp"
#include "content/merkle_tree.hpp"
#include "swarm/runs.hpp"
#include "swarm/storage.hpp"

namespace sealcast::roles {

// Constant memory: a record, or a run. One thread, that of the storage.
class ObjectReader {
 public:
  // key: nullptr when clear. storage and nodes (those of MerkleTree) outlive it; nodes that a disk has damaged are set
  // right on the way.
  ObjectReader(swarm::ChunkStorage& storage, std::span<content::Digest> nodes, const content::Description& description,
               const content::ContentKey* key);
  std::uint64_t length() const { return plain_length_; }  // octets of the file

  // Octets from `offset` (at most length()) on, `most` at most, and no more than the record or run has that they begin
  // in; none at the end, or when most is 0. They are good until the next call.
  // unavailable: chunks that are not in `held` are needed. integrity: octets are not what was verified (the chunk is
  // named), or the record does not open although they are. Other errors are the storage's.
  Result<ByteView> read(const content::Bitmap& held, std::uint64_t offset, std::uint64_t most = UINT64_MAX);
  // Chunks that have to come before all octets from `offset` on, `octets` of them, can be read: in order, at most
  // `limit` ranges.
  std::vector<content::ChunkRange> missing(const content::Bitmap& held, std::uint64_t offset, std::uint64_t octets,
                                           std::size_t limit = SIZE_MAX) const;

 private:
  std::uint64_t record_at(std::uint64_t record) const;  // octet of the object
  content::ChunkRange chunks_of_records(std::uint64_t first, std::uint64_t last) const;
  Result<ByteView> read_sealed(const content::Bitmap& held, std::uint64_t offset);
  Result<ByteView> read_clear(const content::Bitmap& held, std::uint64_t offset, std::uint64_t most);
  std::optional<std::uint32_t> damaged_chunk(content::ChunkRange range, ByteView octets);
  Error wrong(std::uint64_t record);

  swarm::ChunkStorage& storage_;
  swarm::Runs runs_;
  content::MerkleTree tree_;
  std::uint64_t plain_length_;
  std::optional<content::RecordOpener> opener_;  // sealed only
  std::uint64_t records_ = 0;
  Bytes octets_, plain_;
};

}  // namespace sealcast::roles
