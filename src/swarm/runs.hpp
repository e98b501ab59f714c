#pragma once
// Runs: aligned ranges of 2^k chunks, k <= 5, each below one node of the tree. They are what is asked for, verified and
// written at once. A whole run has 32 chunks, or what the end of the object leaves of them.
#include <algorithm>
#include <bit>
#include <optional>

#include "content/merkle_tree.hpp"

namespace sealcast::swarm {

using content::k_run_layer;

class Runs {
 public:
  explicit Runs(const content::Geometry& geometry)
      : geometry_(geometry), nodes_(content::MerkleTree::octets(geometry.chunks()) / sizeof(content::Digest)) {}
  const content::Geometry& geometry() const { return geometry_; }
  std::uint32_t count() const { return (geometry_.chunks() - 1) / 32 + 1; }  // of whole ones
  content::ChunkRange whole(std::uint32_t run) const { return cut(content::bin::at(k_run_layer, run)); }
  // Chunks of a node that exist.
  content::ChunkRange cut(content::Bin node) const {
    auto first = content::bin::first_chunk(node);
    auto behind = std::min<std::uint64_t>(first + content::bin::width(node), geometry_.chunks());
    return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(behind - 1)};
  }
  // The node of the run that is exactly `range`; nullopt when it is no run.
  std::optional<content::Bin> node_of(content::ChunkRange range) const {
    if (range.last >= geometry_.chunks() || range.size() > 32) return std::nullopt;
    int layer = static_cast<int>(std::bit_width(range.size() - 1));
    if (range.first % (1u << layer) != 0) return std::nullopt;
    // A tree of few chunks has no higher node than its root.
    auto node = content::bin::at(layer, range.first >> layer);
    if (node >= nodes_ || cut(node) != range) return std::nullopt;
    return node;
  }

 private:
  content::Geometry geometry_;
  std::uint64_t nodes_;
};

}  // namespace sealcast::swarm
