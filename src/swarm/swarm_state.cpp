#include "swarm/swarm_state.hpp"

#include <algorithm>
#include <bit>

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;
using content::Digest;
namespace bin = content::bin;

namespace {

// Digests of the chunks of `data`, which begins with chunk `first`.
std::vector<Digest> leaves_of(const content::Geometry& geometry, ChunkRange range, ByteView data) {
  std::vector<ByteView> chunks;
  for (std::uint64_t i = range.first; i <= range.last; ++i) {
    auto size = geometry.size_of(static_cast<std::uint32_t>(i));
    chunks.push_back(data.first(size));
    data = data.subspan(size);
  }
  std::vector<Digest> out(chunks.size());
  crypto::sha256_batch(chunks, out);
  return out;
}

}  // namespace

SwarmState::SwarmState(SwarmConfig c)
    : config(std::move(c)),
      tree(config.nodes, config.geometry.chunks(), config.id),
      by_chunk(runs(), 0),
      proven_(runs(), false) {}

ChunkRange SwarmState::cut(Bin node) const {
  auto first = bin::first_chunk(node);
  return {static_cast<std::uint32_t>(first),
          static_cast<std::uint32_t>(std::min<std::uint64_t>(first + bin::width(node), geometry().chunks()) - 1)};
}

std::optional<Bin> SwarmState::piece_of(ChunkRange range) const {
  if (range.last >= geometry().chunks() || range.size() > 32) return std::nullopt;
  int layer = static_cast<int>(std::bit_width(range.size() - 1));
  if (range.first % (1u << layer) != 0) return std::nullopt;
  // A tree of few chunks has no higher node than its root.
  auto node = bin::at(layer, range.first >> layer);
  if (!tree.in_tree(node) || cut(node) != range) return std::nullopt;
  return node;
}

std::optional<Bytes> SwarmState::read_checked(ChunkRange range, std::vector<std::uint32_t>& corrupt, bool by_hash) {
  Bytes out(geometry().size_of(range));
  auto piece = piece_of(range);
  const auto offset = geometry().offset_of(range.first);
  const auto run = range.first / 32;
  if (auto read = config.storage->read(offset, out); !piece || !read) {
    for (auto i = range.first; i <= range.last; ++i) corrupt.push_back(i);
  } else if (!by_hash && range == run_range(run) && config.storage->unchanged(offset, out) && leads_to_root(run)) {
    return out;
  } else {
    corrupt = damaged(*piece, range, leaves_of(geometry(), range, out));
  }
  if (corrupt.empty()) {
    config.storage->verified(offset, out);
    return out;
  }
  for (auto chunk : corrupt) config.held.reset(chunk);
  completion_told = false;
  return std::nullopt;
}

// With a run go the siblings of its way to the root: what a disk did to them would be the partner's integrity failure.
bool SwarmState::leads_to_root(std::uint32_t run) {
  if (led_.empty()) led_.resize(content::MerkleTree::octets(runs()) / sizeof(Digest));
  Bin at = std::min(bin::at(k_run_layer, run), tree.root_bin());
  while (at != tree.root_bin() && !led_[at >> k_run_layer]) {
    if (!tree.sound(bin::parent(at))) return false;
    led_[at >> k_run_layer] = true;
    at = bin::parent(at);
  }
  return true;
}

// The way to the root is gone once for a run; from then on its leaves decide.
std::vector<std::uint32_t> SwarmState::damaged(Bin piece, ChunkRange range, std::span<const Digest> leaves) {
  std::vector<std::uint32_t> out;
  auto run = range.first / 32;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (auto chunk = range.first + static_cast<std::uint32_t>(i); leaves[i] != tree.hash(bin::leaf(chunk)))
      out.push_back(chunk);
  if (out.empty() && proven_[run]) return out;
  const content::Subtree subtree(leaves, bin::layer(piece));
  if (tree.mend(piece, subtree.root())) {
    tree.store_subtree(piece, subtree);
    proven_[run] = proven_[run] || range == run_range(run);
    return {};
  }
  // Either chunks are damaged and the tree is right, or nobody can tell.
  std::vector<Digest> stored;
  for (auto chunk = range.first; chunk <= range.last; ++chunk) stored.push_back(tree.hash(bin::leaf(chunk)));
  if (tree.mend(piece, content::Subtree(stored, bin::layer(piece)).root())) return out;
  proven_[run] = false;
  out.clear();
  for (auto chunk = range.first; chunk <= range.last; ++chunk) out.push_back(chunk);
  return out;
}

std::optional<Status> SwarmState::take_piece(Bin piece, ByteView data, std::span<const content::NodeHash> offered) {
  auto range = cut(piece);
  auto leaves = leaves_of(geometry(), range, data);
  const content::Subtree subtree(leaves, bin::layer(piece));
  const auto& hash = subtree.root();
  bool good = tree.known(piece) ? tree.hash(piece) == hash : tree.verify(piece, hash, offered);
  if (!good && !tree.mend(piece, hash)) return std::nullopt;
  if (auto written = config.storage->write(geometry().offset_of(range.first), data); !written) return written;
  tree.store_subtree(piece, subtree);
  config.held.set(range);
  return Status{};
}

}  // namespace sealcast::swarm
