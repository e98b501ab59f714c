#pragma once
// Merkle hash tree of static content (RFC 7574 section 5.1), SHA-256. Nodes are numbered by bins (RFC 7574
// section 4.2): leaf i is bin 2i, the parent of two bins is their middle. The tree does not own its nodes: an mmap'd
// file or a vector holds them.
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "content/geometry.hpp"
#include "crypto/hash.hpp"

namespace sealcast::content {

using crypto::Digest;
using Bin = std::uint64_t;

namespace bin {
constexpr Bin leaf(std::uint32_t chunk) {
  return Bin{chunk} * 2;
}
constexpr int layer(Bin b) {
  return __builtin_ctzll(~b);
}
constexpr Bin at(int layer, std::uint64_t offset) {
  return (offset << (layer + 1)) + (Bin{1} << layer) - 1;
}
constexpr std::uint64_t offset(Bin b) {
  return b >> (layer(b) + 1);
}
constexpr Bin parent(Bin b) {
  return at(layer(b) + 1, offset(b) >> 1);
}
constexpr Bin sibling(Bin b) {
  return at(layer(b), offset(b) ^ 1);
}
constexpr Bin left(Bin b) {
  return at(layer(b) - 1, offset(b) * 2);
}
constexpr Bin right(Bin b) {
  return at(layer(b) - 1, offset(b) * 2 + 1);
}
constexpr std::uint64_t first_chunk(Bin b) {
  return (b & (b + 1)) >> 1;
}
constexpr std::uint64_t width(Bin b) {
  return std::uint64_t{1} << layer(b);
}
}  // namespace bin

// A node as INTEGRITY carries it.
struct NodeHash {
  Bin bin = 0;
  Digest hash{};
};

inline constexpr int k_run_layer = 5;  // a run: 32 chunks, what is fetched, checked and kept as one

// Hashes of the chunks of `octets`, which begin with a chunk; side by side. The last chunk may have less octets.
std::vector<Digest> leaves_of(std::uint32_t chunk_size, ByteView octets);

// The nodes below and at one node of layer <= 5, from the hashes of its chunks. Levels are hashed side by side.
class Subtree {
 public:
  // leaves: in order, 1 to 2^layer; those past the end of the object are left out.
  Subtree(std::span<const Digest> leaves, int layer);
  const Digest& root() const { return nodes_[(std::size_t{1} << layer_) - 1]; }
  // As bins of a tree whose first chunk is that of this one; all-zero where there are no chunks.
  std::span<const Digest> nodes() const { return std::span(nodes_).first((std::size_t{2} << layer_) - 1); }
  int layer() const { return layer_; }

 private:
  int layer_;
  std::array<Digest, (std::size_t{2} << k_run_layer) - 1> nodes_{};
};

// View over the nodes. All-zero means "not known yet"; nodes wholly past the last chunk are empty (all-zero) by
// definition.
class MerkleTree {
 public:
  // Octets that the nodes of `chunks` leaves need: 32 * (2 * 2^ceil(log2(chunks)) - 1). A sparse file fits: unknown
  // nodes are zeros.
  static std::uint64_t octets(std::uint32_t chunks);
  // nodes.size() == octets(chunks) / 32; it must outlive the tree. The root is trusted (from the signed description)
  // and stored.
  MerkleTree(std::span<Digest> nodes, std::uint32_t chunks, const Digest& root);

  std::uint32_t chunks() const { return chunks_; }
  Bin root_bin() const { return root_bin_; }
  const Digest& root() const;
  bool in_tree(Bin b) const { return b < nodes_.size(); }
  bool empty(Bin b) const;  // covers no chunk of the object
  bool known(Bin b) const;  // verified up to the root, or empty
  const Digest& hash(Bin b) const { return b == root_bin_ ? root() : nodes_[b]; }

  // Nodes that a receiver who knows `known_to_receiver` (a predicate on bins) needs to check `target`: siblings from
  // target up to the first known ancestor, highest first (RFC 7574 section 5.3). Stops at the root.
  template <class Known>
  std::vector<NodeHash> uncles(Bin target, Known known_to_receiver) const;

  // Is `hash` the hash of `target`, given the uncles in `offered` (any order, others ignored)? If so, target and
  // the uncles used are stored and true is returned. Nothing unverified is ever kept. Cost: at most `depth` hashes.
  bool verify(Bin target, const Digest& hash, std::span<const NodeHash> offered);

  // Is the hash of an inner node that of its children? Nodes that come from a disk may have been changed there.
  bool sound(Bin b) const { return hash(b) == from_children(b); }
  // The same for a node and all above it: does `hash`, computed from the chunks of `target`, lead to the root? Then
  // nodes on the way that a disk has damaged are set right, siblings from their own children.
  bool mend(Bin target, const Digest& hash);

  // Stores the nodes below and at a verified one, so that single chunks can be served with their uncles.
  void store_subtree(Bin target, const Subtree& subtree);

 private:
  std::optional<Digest> from_children(Bin b) const;

  std::span<Digest> nodes_;
  std::uint32_t chunks_;
  Bin root_bin_;
  Digest root_;  // stands in when the nodes are lost
};

// Writes every node of an object's tree whose leaves come in order, in constant memory beside the nodes themselves.
class MerkleTreeBuilder {
 public:
  // nodes as for MerkleTree, all zero.
  MerkleTreeBuilder(std::span<Digest> nodes, std::uint32_t chunks);
  void add(const Digest& leaf);  // exactly `chunks` times
  void add(std::span<const Digest> leaves);
  Digest finish();  // the root

 private:
  void completed(Bin b);

  std::span<Digest> nodes_;
  std::uint32_t chunks_;
  std::uint32_t next_ = 0;
};

// The root alone, from leaves that come in order: 32 octets for each layer, whatever the number of chunks.
class MerkleRoot {
 public:
  void add(const Digest& leaf) { add(leaf, 0); }
  void add(std::span<const Digest> leaves);
  Digest finish();  // once; at least one leaf was added

 private:
  void add(const Digest& node, std::size_t layer);

  std::uint64_t leaves_ = 0;
  std::vector<Digest>
      left_;  // by layer: the left child that waits for its sibling; counts only where leaves_ has a bit
};

template <class Known>
std::vector<NodeHash> MerkleTree::uncles(Bin target, Known known_to_receiver) const {
  std::vector<NodeHash> out;
  for (Bin b = target; b != root_bin_ && !known_to_receiver(b); b = bin::parent(b)) {
    Bin s = bin::sibling(b);
    if (!empty(s) && !known_to_receiver(s)) out.push_back({s, nodes_[s]});
  }
  return {out.rbegin(), out.rend()};
}

}  // namespace sealcast::content
