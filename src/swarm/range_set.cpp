#include "swarm/range_set.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

namespace sealcast::swarm {

using content::ChunkRange;

RangeSet::Map::const_iterator RangeSet::first_behind(std::uint32_t chunk) const {
  pool_->work.count(static_cast<std::uint64_t>(std::bit_width(ranges_.size()) + 1));
  auto at = ranges_.upper_bound(chunk);
  if (at != ranges_.begin() && std::prev(at)->second >= chunk) --at;
  return at;
}

bool RangeSet::full() const {
  return ranges_.size() >= pool_->of_one || (ranges_.size() >= pool_->guaranteed && pool_->used >= pool_->most);
}

void RangeSet::erase(Map::const_iterator at) {
  ranges_.erase(at);
  if (ranges_.size() >= pool_->guaranteed) --pool_->used;
}

void RangeSet::insert(std::uint32_t first, std::uint32_t last) {
  if (ranges_.size() >= pool_->guaranteed) ++pool_->used;
  ranges_.emplace(first, last);
}

void RangeSet::clear() {
  if (ranges_.size() > pool_->guaranteed) pool_->used -= ranges_.size() - pool_->guaranteed;
  ranges_.clear();
}

bool RangeSet::add(ChunkRange range) {
  // From the interval that ends right before it to the one that begins right behind it.
  auto at = first_behind(range.first == 0 ? 0 : range.first - 1);
  if (at != ranges_.end() && at->first <= range.first && at->second >= range.last) return false;
  auto first = range.first, last = range.last;
  bool merged = false;
  while (at != ranges_.end() && (last == UINT32_MAX || at->first <= last + 1)) {
    pool_->work.count();
    first = std::min(first, at->first);
    last = std::max(last, at->second);
    auto next = std::next(at);
    erase(at);
    at = next;
    merged = true;
  }
  if (!merged && full()) return false;
  insert(first, last);
  return true;
}

void RangeSet::remove(ChunkRange range) {
  for (auto at = first_behind(range.first); at != ranges_.end() && at->first <= range.last;) {
    pool_->work.count();
    auto [first, last] = *at;
    if (first < range.first && last > range.last && full()) return;
    auto next = std::next(at);
    erase(at);
    if (first < range.first) insert(first, range.first - 1);
    if (last > range.last) insert(range.last + 1, last);
    at = next;
  }
}

bool RangeSet::contains(ChunkRange range) const {
  auto at = first_behind(range.first);
  return at != ranges_.end() && at->first <= range.first && at->second >= range.last;
}

bool RangeSet::overlaps(ChunkRange range) const {
  auto at = first_behind(range.first);
  return at != ranges_.end() && at->first <= range.last;
}

std::optional<std::uint32_t> RangeSet::next(std::uint32_t from) const {
  auto at = first_behind(from);
  if (at == ranges_.end()) return std::nullopt;
  return std::max(at->first, from);
}

}  // namespace sealcast::swarm
