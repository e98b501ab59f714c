#include "content/merkle_tree.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"

namespace sealcast::content {
namespace {

constexpr Digest k_empty{};
constexpr int k_deepest = 33;

int root_layer(std::uint32_t chunks) {
  return chunks <= 1 ? 0 : static_cast<int>(std::bit_width(chunks - 1));
}

// RFC 7574 section 5.1: two empty children give an empty parent.
Digest parent_hash(const Digest& left, const Digest& right) {
  if (left == k_empty && right == k_empty) return k_empty;
  return crypto::sha256(left, right);
}

constexpr std::uint32_t k_run = 1 << k_run_layer;

// Calls add() with whole aligned runs, and with single leaves before and behind them; `next` is the first one's number,
// which add() may change.
template <class Add>
void each_run(std::uint64_t next, std::span<const Digest> leaves, Add add) {
  while (!leaves.empty()) {
    auto size = next % k_run == 0 && leaves.size() >= k_run ? k_run : 1;
    add(leaves.first(size));
    leaves = leaves.subspan(size);
    next += size;
  }
}

}  // namespace

std::vector<Digest> leaves_of(std::uint32_t chunk_size, ByteView octets) {
  std::vector<ByteView> chunks;
  for (std::size_t at = 0; at < octets.size(); at += chunk_size)
    chunks.push_back(octets.subspan(at, std::min<std::size_t>(chunk_size, octets.size() - at)));
  std::vector<Digest> out(chunks.size());
  crypto::sha256_batch(chunks, out);
  return out;
}

Subtree::Subtree(std::span<const Digest> leaves, int layer) : layer_(layer) {
  SEALCAST_ASSERT(layer >= 0 && layer <= k_run_layer && !leaves.empty() && leaves.size() <= (std::size_t{1} << layer));
  constexpr std::size_t k_widest = std::size_t{1} << k_run_layer;
  std::array<Digest, k_widest> level{}, above;
  std::array<ByteView, k_widest / 2> pairs;
  std::copy(leaves.begin(), leaves.end(), level.begin());
  std::size_t count = leaves.size();
  for (int at = 0;; ++at) {
    for (std::size_t i = 0; i < count; ++i) nodes_[bin::at(at, i)] = level[i];
    if (at == layer) break;
    // A left child without a right one has an empty sibling.
    if (count % 2 == 1) level[count++] = k_empty;
    count /= 2;
    for (std::size_t i = 0; i < count; ++i)
      pairs[i] = {level[2 * i].data(), 2 * sizeof(Digest)};  // neighbours in memory
    crypto::sha256_batch(std::span(pairs).first(count), std::span(above).first(count));
    std::copy_n(above.begin(), count, level.begin());
  }
}

std::uint64_t MerkleTree::octets(std::uint32_t chunks) {
  return ((std::uint64_t{2} << root_layer(chunks)) - 1) * sizeof(Digest);
}

MerkleTree::MerkleTree(std::span<Digest> nodes, std::uint32_t chunks, const Digest& root)
    : nodes_(nodes), chunks_(chunks), root_bin_(bin::at(root_layer(chunks), 0)), root_(root) {
  SEALCAST_ASSERT(nodes.size() * sizeof(Digest) == octets(chunks));
  nodes_[root_bin_] = root;
}

// Lost nodes are zeros; there is always a root at which every way ends.
const Digest& MerkleTree::root() const {
  return nodes_[root_bin_] == k_empty ? root_ : nodes_[root_bin_];
}

bool MerkleTree::empty(Bin b) const {
  return bin::first_chunk(b) >= chunks_;
}
bool MerkleTree::known(Bin b) const {
  return b == root_bin_ || (in_tree(b) && (empty(b) || nodes_[b] != k_empty));
}

bool MerkleTree::verify(Bin target, const Digest& hash_of_target, std::span<const NodeHash> offered) {
  if (!in_tree(target) || empty(target)) return false;
  std::array<NodeHash, 2 * k_deepest> path;
  std::size_t length = 0;
  NodeHash at{target, hash_of_target};
  while (!known(at.bin)) {
    path[length++] = at;
    Bin sibling = bin::sibling(at.bin);
    Digest other = k_empty;
    if (empty(sibling)) {
    } else if (known(sibling)) {
      other = nodes_[sibling];
    } else {
      auto found = std::find_if(offered.begin(), offered.end(), [&](const NodeHash& n) { return n.bin == sibling; });
      if (found == offered.end()) return false;
      other = found->hash;
      path[length++] = *found;
    }
    bool is_left = bin::offset(at.bin) % 2 == 0;
    at = {bin::parent(at.bin), is_left ? parent_hash(at.hash, other) : parent_hash(other, at.hash)};
  }
  if (at.hash != hash(at.bin)) return false;
  for (std::size_t i = 0; i < length; ++i) nodes_[path[i].bin] = path[i].hash;
  // Inner nodes between are in the path already: each step's own node was put there.
  return true;
}

std::optional<Digest> MerkleTree::from_children(Bin b) const {
  if (bin::layer(b) == 0 || !known(bin::left(b)) || !known(bin::right(b))) return std::nullopt;
  return parent_hash(nodes_[bin::left(b)], nodes_[bin::right(b)]);
}

bool MerkleTree::mend(Bin target, const Digest& hash) {
  if (!in_tree(target) || empty(target)) return false;
  for (bool trust_siblings : {true, false}) {
    std::array<NodeHash, 2 * k_deepest> path;
    std::size_t length = 0;
    NodeHash at{target, hash};
    while (at.bin != root_bin_) {
      path[length++] = at;
      Bin sibling = bin::sibling(at.bin);
      Digest other = empty(sibling) ? k_empty : nodes_[sibling];
      if (!trust_siblings && !empty(sibling)) {
        other = from_children(sibling).value_or(other);
        path[length++] = {sibling, other};
      }
      bool is_left = bin::offset(at.bin) % 2 == 0;
      at = {bin::parent(at.bin), is_left ? parent_hash(at.hash, other) : parent_hash(other, at.hash)};
    }
    if (at.hash != root()) continue;
    for (std::size_t i = 0; i < length; ++i)
      if (nodes_[path[i].bin] != path[i].hash) nodes_[path[i].bin] = path[i].hash;
    return true;
  }
  return false;
}

void MerkleTree::store_subtree(Bin target, const Subtree& subtree) {
  auto base = bin::leaf(static_cast<std::uint32_t>(bin::first_chunk(target)));
  auto nodes = subtree.nodes();
  // What is empty stays a hole of the file.
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i] != k_empty) nodes_[base + i] = nodes[i];
}

MerkleTreeBuilder::MerkleTreeBuilder(std::span<Digest> nodes, std::uint32_t chunks) : nodes_(nodes), chunks_(chunks) {
  SEALCAST_ASSERT(nodes.size() * sizeof(Digest) == MerkleTree::octets(chunks));
}

void MerkleTreeBuilder::add(const Digest& leaf) {
  SEALCAST_ASSERT(next_ < chunks_);
  Bin b = bin::leaf(next_++);
  nodes_[b] = leaf;
  completed(b);
}

// A right child completes its parent.
void MerkleTreeBuilder::completed(Bin b) {
  while (b < nodes_.size() && bin::offset(b) % 2 == 1) {
    auto parent = bin::parent(b);
    nodes_[parent] = parent_hash(nodes_[bin::sibling(b)], nodes_[b]);
    b = parent;
  }
}

void MerkleTreeBuilder::add(std::span<const Digest> leaves) {
  SEALCAST_ASSERT(leaves.size() <= chunks_ - next_);
  each_run(next_, leaves, [this](std::span<const Digest> run) {
    if (run.size() < k_run) return add(run.front());
    const Subtree subtree(run, k_run_layer);
    std::copy(subtree.nodes().begin(), subtree.nodes().end(), nodes_.begin() + bin::leaf(next_));
    completed(bin::at(k_run_layer, next_ / k_run));
    next_ += k_run;
  });
}

Digest MerkleTreeBuilder::finish() {
  SEALCAST_ASSERT(next_ == chunks_);
  Bin root = bin::at(root_layer(chunks_), 0);
  // The right edge: parents whose right child is empty or was finished here.
  for (Bin b = bin::leaf(chunks_ - 1); b != root;) {
    auto parent = bin::parent(b);
    auto right = bin::right(parent);
    nodes_[parent] =
        parent_hash(nodes_[bin::left(parent)], bin::first_chunk(right) >= chunks_ ? k_empty : nodes_[right]);
    b = parent;
  }
  return nodes_[root];
}

void MerkleRoot::add(const Digest& node, std::size_t layer) {
  Digest hash = node;
  auto bits = leaves_ >> layer;
  leaves_ += std::uint64_t{1} << layer;
  for (; (bits & 1) != 0; bits >>= 1) hash = parent_hash(left_[layer++], hash);
  if (layer >= left_.size()) left_.resize(layer + 1);
  left_[layer] = hash;
}

void MerkleRoot::add(std::span<const Digest> leaves) {
  each_run(leaves_, leaves, [this](std::span<const Digest> run) {
    run.size() < k_run ? add(run.front()) : add(Subtree(run, k_run_layer).root(), k_run_layer);
  });
}

Digest MerkleRoot::finish() {
  SEALCAST_ASSERT(leaves_ > 0);
  // Up the right edge. The lowest full subtree is a left child (or the root); above it, a bit of leaves_ says that a
  // left sibling waits.
  auto lowest = static_cast<std::size_t>(std::countr_zero(leaves_));
  auto top = static_cast<std::size_t>(std::bit_width(leaves_ - 1));
  Digest hash = left_[lowest];
  for (auto layer = lowest; layer < top; ++layer) {
    bool is_right = layer != lowest && (leaves_ >> layer & 1) != 0;
    hash = is_right ? parent_hash(left_[layer], hash) : parent_hash(hash, k_empty);
  }
  return hash;
}

}  // namespace sealcast::content
