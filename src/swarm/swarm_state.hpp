#pragma once
// One swarm as this node sees it: tree, bitmap, storage, what is asked for, and the channels it has.
#include <optional>
#include <vector>

#include "swarm/engine.hpp"
#include "swarm/hash_budget.hpp"
#include "swarm/picker.hpp"

namespace sealcast::swarm {

struct Channel;

class SwarmState {
 public:
  SwarmState(SwarmConfig config, Work& work);
  SwarmState(const SwarmState&) = delete;
  SwarmState& operator=(const SwarmState&) = delete;

  const SwarmId& id() const { return config.id; }
  const content::Geometry& geometry() const { return config.geometry; }
  bool all_of(const RangeSet& chunks) const { return chunks.contains({0, geometry().chunks() - 1}); }
  bool hungry() const { return config.appetite == Appetite::all && !config.held.full(); }

  // Reads held chunks, a run, and checks them up to the root: tree and chunks may have been damaged on a disk. Chunks
  // that do not verify are marked missing and added to `corrupt`. Empty: storage failed, or something was corrupt.
  std::optional<Bytes> read_checked(content::ChunkRange range, std::vector<std::uint32_t>& corrupt, Bytes spare = {});
  // As the storage's checksum of the whole run says, where there is one that holds; hashed within `budget`. Empty with
  // nothing corrupt: not now. Octets may come with others of their run in `corrupt`. spare: memory to use again.
  std::optional<Bytes> read_to_serve(Instant now, content::ChunkRange range, HashBudget& budget,
                                     std::vector<std::uint32_t>& corrupt, Bytes spare = {});
  // These chunks came, or came back.
  void gained(content::ChunkRange range);

  SwarmConfig config;
  content::MerkleTree tree;
  Runs runs;
  Picker picker;
  std::vector<Channel*> channels;  // of any stage
  Traffic traffic;
  Instant last_verified{};
  bool completion_told = false;
  std::uint64_t generation = 0;  // of swarms in this engine: one that is removed and added again is another
  bool freed = false;            // in EngineCore::freed_swarms

 private:
  std::optional<Bytes> read(content::ChunkRange range, std::vector<std::uint32_t>& corrupt, Bytes spare);
  std::optional<Bytes> verify(content::ChunkRange range, Bytes octets, std::vector<std::uint32_t>& corrupt);
  enum class Nodes : std::uint8_t { above, inside };
  std::optional<Bytes> read_whole(Instant now, std::uint32_t run, Nodes needed, HashBudget& budget,
                                  std::vector<std::uint32_t>& corrupt, Bytes spare);
  void lose(const std::vector<std::uint32_t>& chunks, std::vector<std::uint32_t>& corrupt);
  std::vector<std::uint32_t> damaged(content::Bin run, content::ChunkRange range,
                                     std::span<const content::Digest> leaves);
  bool leads_to_root(std::uint32_t run);

  std::vector<bool> proven_;  // whole runs whose nodes led to the root since this swarm was added
  // Nodes of the run layer and above of which this is known: by the number of the bin in a tree whose leaves are runs.
  std::vector<bool> led_;
  RunHashes hashes_;
};

}  // namespace sealcast::swarm
