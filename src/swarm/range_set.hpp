#pragma once
// Sets of chunks as intervals: what a partner says it has, wants or got. A partner chooses what is in them, so each
// call costs O(log n) and what it removes, whatever the length of a range; memory is bounded by the number of
// intervals, some of them guaranteed to each set and the rest from a pool that all sets of an engine share.
#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>

#include "content/geometry.hpp"

namespace sealcast::swarm {

// Steps of work that datagrams cost; what tests measure instead of time.
struct Work {
  std::uint64_t steps = 0;
  void count(std::uint64_t n = 1) { steps += n; }
};

struct RangePool {
  Work work;
  std::size_t used = 0;           // intervals beyond the guaranteed ones
  std::size_t most = 1u << 21;    // about 100 MB
  std::size_t guaranteed = 256;   // of each set
  std::size_t of_one = 1u << 16;  // of each set, at most
};

class RangeSet {
 public:
  explicit RangeSet(RangePool& pool) : pool_(&pool) {}
  ~RangeSet() { clear(); }
  RangeSet(const RangeSet&) = delete;
  RangeSet& operator=(const RangeSet&) = delete;

  // False: nothing of it is new, or there is no room for another interval.
  bool add(content::ChunkRange range);
  // What would need one interval more than there is room for stays.
  void remove(content::ChunkRange range);
  void clear();
  bool contains(content::ChunkRange range) const;  // all of it
  bool contains(std::uint32_t chunk) const { return contains({chunk, chunk}); }
  bool overlaps(content::ChunkRange range) const;
  std::optional<std::uint32_t> next(std::uint32_t from) const;  // first chunk >= from
  bool empty() const { return ranges_.empty(); }
  std::size_t intervals() const { return ranges_.size(); }
  bool full() const;  // no room for another interval
  // Visits the parts of `range` that are in the set, in order, until `visit` says false: a range may have as many parts
  // as the set has intervals. What `visit` gets is a copy.
  template <class Visit>
  void each_in(content::ChunkRange range, Visit visit) const {
    for (auto at = first_behind(range.first); at != ranges_.end() && at->first <= range.last; ++at) {
      pool_->work.count();
      if (!visit(content::ChunkRange{std::max(at->first, range.first), std::min(at->second, range.last)})) return;
    }
  }
  // Takes out intervals that `gone` says are of no use any more. O(n).
  template <class Gone>
  void prune(Gone gone) {
    for (auto at = ranges_.begin(); at != ranges_.end();) {
      pool_->work.count();
      if (gone(content::ChunkRange{at->first, at->second}))
        erase(at++);
      else
        ++at;
    }
  }

 private:
  using Map = std::map<std::uint32_t, std::uint32_t>;           // first -> last; neither overlapping nor adjacent
  Map::const_iterator first_behind(std::uint32_t chunk) const;  // the first interval whose end is at `chunk` or behind
  void erase(Map::const_iterator at);
  void insert(std::uint32_t first, std::uint32_t last);

  RangePool* pool_;
  Map ranges_;
};

}  // namespace sealcast::swarm
