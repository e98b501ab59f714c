#include "swarm/swarm_state.hpp"

#include <algorithm>

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;
using content::Digest;
namespace bin = content::bin;

SwarmState::SwarmState(SwarmConfig c, Work& work)
    : config(std::move(c)),
      tree(config.nodes, config.geometry.chunks(), config.id),
      runs(config.geometry),
      picker(runs, config.held, work),
      proven_(runs.count(), false) {}

std::optional<Bytes> SwarmState::read_checked(ChunkRange range, std::vector<std::uint32_t>& corrupt, Check check,
                                              Bytes spare) {
  auto out = std::move(spare);
  out.resize(geometry().size_of(range));
  auto node = runs.node_of(range);
  const auto offset = geometry().offset_of(range.first);
  const auto whole = range.first / 32;
  bool sum_is_enough = check == Check::by_sum && range == runs.whole(whole);
  if (auto read = config.storage->read(offset, out); !node || !read) {
    for (auto i = range.first; i <= range.last; ++i) corrupt.push_back(i);
  } else if (sum_is_enough && config.storage->unchanged(offset, out) && leads_to_root(whole)) {
    return out;
  } else {
    corrupt = damaged(*node, range, content::leaves_of(geometry().chunk_size(), out));
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
  if (led_.empty()) led_.resize(content::MerkleTree::octets(runs.count()) / sizeof(Digest));
  Bin at = std::min(bin::at(k_run_layer, run), tree.root_bin());
  while (at != tree.root_bin() && !led_[at >> k_run_layer]) {
    if (!tree.sound(bin::parent(at))) return false;
    led_[at >> k_run_layer] = true;
    at = bin::parent(at);
  }
  return true;
}

// The way to the root is gone once for a run; from then on its leaves decide.
std::vector<std::uint32_t> SwarmState::damaged(Bin node, ChunkRange range, std::span<const Digest> leaves) {
  std::vector<std::uint32_t> out;
  auto whole = range.first / 32;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (auto chunk = range.first + static_cast<std::uint32_t>(i); leaves[i] != tree.hash(bin::leaf(chunk)))
      out.push_back(chunk);
  if (out.empty() && proven_[whole]) return out;
  const content::Subtree subtree(leaves, bin::layer(node));
  if (tree.mend(node, subtree.root())) {
    tree.store_subtree(node, subtree);
    proven_[whole] = proven_[whole] || range == runs.whole(whole);
    return {};
  }
  // Either chunks are damaged and the tree is right, or nobody can tell.
  std::vector<Digest> stored;
  for (auto chunk = range.first; chunk <= range.last; ++chunk) stored.push_back(tree.hash(bin::leaf(chunk)));
  if (tree.mend(node, content::Subtree(stored, bin::layer(node)).root())) return out;
  proven_[whole] = false;
  out.clear();
  for (auto chunk = range.first; chunk <= range.last; ++chunk) out.push_back(chunk);
  return out;
}

}  // namespace sealcast::swarm
