#pragma once
// From the verified object to the file: record by record when sealed, as it is otherwise. Constant memory.
#include "content/description.hpp"
#include "io/file.hpp"
#include "swarm/storage.hpp"

namespace sealcast::roles {

class ObjectOpener {
 public:
  // by_sum: what is not sealed has no tags, and is compared with the checksums of the store. trusted: it was hashed.
  enum class Plain { by_sum, trusted };
  // key: for sealed content. storage outlives it.
  ObjectOpener(swarm::ChunkStorage& storage, const content::Description& description, const content::ContentKey* key,
               Plain plain);
  // Opens some 4 MiB more; false: all is written. Integrity error when a record does not open, or when what is read is
  // not what was verified.
  Result<bool> step(io::OutputFile& out);
  std::uint64_t written() const { return written_; }

 private:
  Status one_record(io::OutputFile& out);
  Status plain_piece(io::OutputFile& out);

  swarm::ChunkStorage& storage_;
  const content::Description& description_;
  Plain plain_reading_;
  std::optional<content::RecordOpener> records_;
  std::uint64_t at_ = 0;  // octet of the object
  std::uint64_t written_ = 0;
  Bytes sealed_, plain_;
};

}  // namespace sealcast::roles
