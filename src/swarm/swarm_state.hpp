#pragma once
// One swarm as this node sees it: tree, bitmap, storage, and which runs are asked for.
#include <optional>
#include <unordered_map>

#include "swarm/engine.hpp"

namespace sealcast::swarm {

using content::k_run_layer;

class SwarmState {
 public:
  explicit SwarmState(SwarmConfig config);

  const SwarmId& id() const { return config.id; }
  const content::Geometry& geometry() const { return config.geometry; }
  std::uint32_t runs() const { return (geometry().chunks() - 1) / 32 + 1; }
  content::ChunkRange run_range(std::uint32_t run) const { return cut(content::bin::at(k_run_layer, run)); }
  // Chunks of a node that exist.
  content::ChunkRange cut(content::Bin node) const;
  // The smallest aligned node that holds exactly `range` (cut at the end); nullopt when there is none of layer <= 5.
  std::optional<content::Bin> piece_of(content::ChunkRange range) const;

  // Reads held chunks, an aligned piece, and checks them up to the root: tree and chunks may have been damaged on a
  // disk. Chunks that do not verify are marked missing and given in `corrupt`. Empty: storage failed, or something was
  // corrupt. by_hash: a checksum of the storage is not enough.
  std::optional<Bytes> read_checked(content::ChunkRange range, std::vector<std::uint32_t>& corrupt,
                                    bool by_hash = false);

  // Checks a whole piece against root and offered hashes; if good, stores it. nullopt: it did not verify.
  std::optional<Status> take_piece(content::Bin piece, ByteView data, std::span<const content::NodeHash> offered);

  bool wants(std::uint32_t chunk) const { return !config.held.test(chunk); }

  SwarmConfig config;
  content::MerkleTree tree;
  std::unordered_map<content::Bin, int> asked;  // pieces under way -> on how many channels
  std::vector<std::uint8_t> by_chunk;           // runs that failed as a whole: fetched chunk by chunk
  Traffic traffic;
  Instant last_verified{};
  std::uint64_t revision = 0;  // goes up when chunks become free to be asked for again
  bool completion_told = false;

 private:
  std::vector<std::uint32_t> damaged(content::Bin piece, content::ChunkRange range,
                                     std::span<const content::Digest> leaves);
  bool leads_to_root(std::uint32_t run);

  std::vector<bool> proven_;  // runs whose nodes led to the root since this swarm was added
  // Nodes of the run layer and above of which this is known: by the number of the bin in a tree whose leaves are runs.
  std::vector<bool> led_;
};

}  // namespace sealcast::swarm
