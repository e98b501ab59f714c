#pragma once
// A run that has arrived whole, on its way into storage: hashed, compared and written in one hop, by whoever drives the
// engine, on any thread that the storage allows.
#include <optional>

#include "content/merkle_tree.hpp"
#include "swarm/storage.hpp"

namespace sealcast::swarm {

// Of a place in the engine's table and of its turn: an answer that comes behind its time is nobody's.
struct JobId {
  std::uint32_t place = 0;
  std::uint32_t generation = 0;
  bool operator==(const JobId&) const = default;
};

struct StorageJob {
  JobId id;
  // Borrowed: whoever takes jobs gives them back before what the swarm's storage is part of goes.
  ChunkStorage* storage = nullptr;
  std::uint64_t offset = 0;      // of the run in the object
  std::uint32_t chunk_size = 0;  // octets; the last chunk of the object may have less
  int layer = 0;                 // of the run's node
  Bytes buffer;                  // the run; goes back with the answer
  // Hash of the run's node, proven to the root. Without it the run is hashed and not written.
  std::optional<content::Digest> expected;
};

enum class JobStatus : std::uint8_t {
  written,
  different,  // another hash than expected, or none was expected: nothing was written
  failed,     // storage refused it
};
struct JobDone {
  JobId id;
  JobStatus status = JobStatus::failed;
  Bytes buffer;
  std::optional<content::Subtree> nodes;  // of the run, from its octets
  Error error;
};

JobDone run(StorageJob job);

}  // namespace sealcast::swarm
