#pragma once
// Which runs of a content are whose to ask a cache for, among UEs that fetch it together and know each other: for each
// run the one whose number is the highest. Everybody finds the same without a word; who sees others than his partners
// do asks twice for some, and that is all.
#include <algorithm>
#include <cstdint>
#include <vector>

namespace sealcast::swarm {

class Shares {
 public:
  Shares() = default;
  // Numbers of nodes: each the same to all who know it.
  Shares(std::uint64_t own, std::vector<std::uint64_t> others) : own_(own), others_(std::move(others)) {}
  bool operator==(const Shares&) const = default;
  bool alone() const { return others_.empty(); }
  bool ours(std::uint32_t run) const {
    const auto mine = rank(own_, run);
    return std::none_of(others_.begin(), others_.end(), [&](auto other) { return rank(other, run) > mine; });
  }

 private:
  // Of SplitMix64: a different order of nodes for each run.
  static std::uint64_t rank(std::uint64_t node, std::uint32_t run) {
    auto x = node + (std::uint64_t{run} + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  std::uint64_t own_ = 0;
  std::vector<std::uint64_t> others_;
};

}  // namespace sealcast::swarm
