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

void SwarmState::lose(const std::vector<std::uint32_t>& chunks, std::vector<std::uint32_t>& corrupt) {
  for (auto chunk : chunks) config.held.reset(chunk);
  completion_told = false;
  corrupt.insert(corrupt.end(), chunks.begin(), chunks.end());
}

std::optional<Bytes> SwarmState::read(ChunkRange range, std::vector<std::uint32_t>& corrupt, Bytes spare) {
  auto out = std::move(spare);
  out.resize(geometry().size_of(range));
  if (config.storage->read(geometry().offset_of(range.first), out)) return out;
  std::vector<std::uint32_t> all;
  for (auto i = range.first; i <= range.last; ++i) all.push_back(i);
  lose(all, corrupt);
  return std::nullopt;
}

std::optional<Bytes> SwarmState::verify(ChunkRange range, Bytes octets, std::vector<std::uint32_t>& corrupt) {
  const auto bad = damaged(*runs.node_of(range), range, content::leaves_of(geometry().chunk_size(), octets));
  if (!bad.empty()) {
    lose(bad, corrupt);
    return std::nullopt;
  }
  config.storage->verified(geometry().offset_of(range.first), octets);
  return octets;
}

std::optional<Bytes> SwarmState::read_checked(ChunkRange range, std::vector<std::uint32_t>& corrupt, Bytes spare) {
  auto octets = read(range, corrupt, std::move(spare));
  return octets ? verify(range, std::move(*octets), corrupt) : std::nullopt;
}

// A part is cut out of its run, whose checksum is the only one that there is.
std::optional<Bytes> SwarmState::read_to_serve(Instant now, ChunkRange range, HashBudget& budget,
                                               std::vector<std::uint32_t>& corrupt, Bytes spare) {
  const auto size = geometry().size_of(range);
  if (!config.storage->keeps_sums()) {
    budget.hashed(size);
    return read_checked(range, corrupt, std::move(spare));
  }
  const auto run = range.first / 32;
  if (const auto whole = runs.whole(run); config.held.test(whole)) {
    auto octets =
        read_whole(now, run, range == whole ? Nodes::above : Nodes::inside, budget, corrupt, std::move(spare));
    if (octets && range != whole) {
      const auto at = geometry().offset_of(range.first) - geometry().offset_of(whole.first);
      return bytes_of(ByteView(*octets).subspan(at, size));
    }
    if (octets || corrupt.empty() || !config.held.test(range)) return octets;
  }
  if (!budget.take(now, size)) {
    budget.put_off();
    return std::nullopt;
  }
  budget.hashed(size);
  return read_checked(range, corrupt);
}

// With parts of a run go nodes inside of it, for which a checksum does not speak.
std::optional<Bytes> SwarmState::read_whole(Instant now, std::uint32_t run, Nodes needed, HashBudget& budget,
                                            std::vector<std::uint32_t>& corrupt, Bytes spare) {
  const auto range = runs.whole(run);
  if (hashes_.rests(now, run)) {
    budget.put_off();
    return std::nullopt;
  }
  auto octets = read(range, corrupt, std::move(spare));
  if (!octets) return std::nullopt;
  const auto offset = geometry().offset_of(range.first);
  if ((needed == Nodes::above || proven_[run]) && config.storage->unchanged(offset, *octets) && leads_to_root(run))
    return octets;
  if (!hashes_.may(now, run, runs.count(), octets->size(), budget)) {
    budget.put_off();
    return std::nullopt;
  }
  budget.hashed(octets->size());
  return verify(range, std::move(*octets), corrupt);
}

void SwarmState::gained(ChunkRange range) {
  for (auto run = range.first / 32; run <= range.last / 32; ++run) hashes_.gained(run);
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
