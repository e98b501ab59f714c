#include "swarm/arrivals.hpp"

#include <algorithm>
#include <bit>

namespace sealcast::swarm {

void Arrivals::begin(std::uint64_t sequence) {
  highest_ = sequence;
  // Room below for packets that overtook the first one.
  lowest_ = sequence - std::min<std::uint64_t>(64, sequence & 0xffff);
  reported_to_ = lowest_;
}

Arrival Arrivals::record(Instant now, std::uint16_t sequence, bool authenticated) {
  if (!started_) {
    started_ = true;
    begin((std::uint64_t{1} << 16) | sequence);
  }
  auto ahead = std::int64_t{static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(highest_))};
  auto extended = highest_ + static_cast<std::uint64_t>(ahead);
  if (!authenticated && (ahead > k_largest_jump || -ahead > k_largest_jump)) {
    // One packet from anywhere would move us away from the partner's numbers for good. Two in order are the partner's,
    // or of somebody who can do so again and again; the partner's own next two bring us back.
    if (expected_ != sequence) {
      expected_ = static_cast<std::uint16_t>(sequence + 1);
      return Arrival::implausible;
    }
    begin(((highest_ >> 16) + 1) << 16 | sequence);
    extended = highest_;
  }
  expected_.reset();
  if (extended + k_memory <= highest_ || extended < lowest_) return Arrival::taken;  // too old to be reported
  make_room(extended);
  auto& entry = entries_[extended % entries_.size()];
  bool again = entry.sequence == extended;
  if (again && authenticated) return Arrival::again;
  entry = {extended, now};
  highest_ = std::max(highest_, extended);
  reported_to_ = std::min(reported_to_, extended);
  if (unreported_++ == 0) first_unreported_ = now;
  return again ? Arrival::again : Arrival::taken;  // whose it was nobody knows: the partner waits for its report
}

void Arrivals::make_room(std::uint64_t sequence) {
  auto oldest = std::min(reported_to_, sequence);
  oldest = std::max(lowest_, oldest > k_overlap ? oldest - k_overlap : 0);
  auto needed = std::min(k_memory, std::bit_ceil(std::max(highest_, sequence) - oldest + 1));
  if (needed > entries_.size()) resize(needed);
}

void Arrivals::resize(std::uint64_t size) {
  std::vector<Entry> resized(size);
  for (auto& entry : entries_)
    if (entry.sequence != UINT64_MAX && entry.sequence + size > highest_) resized[entry.sequence % size] = entry;
  entries_ = std::move(resized);
}

rtp::Feedback Arrivals::report(Instant now, std::uint32_t own_ssrc, std::uint32_t partner_ssrc) {
  if (!started_) return {own_ssrc, partner_ssrc, 0, {}, 0};
  auto from = std::min(reported_to_, highest_ + 1) > k_overlap ? std::min(reported_to_, highest_ + 1) - k_overlap : 0;
  from = std::max({from, lowest_, highest_ + 1 > 1024 ? highest_ + 1 - 1024 : 0});
  rtp::Feedback out{own_ssrc, partner_ssrc, static_cast<std::uint16_t>(from), {}, 0};
  for (auto s = from; s <= highest_; ++s) {
    auto& entry = entries_[s % entries_.size()];
    bool received = entry.sequence == s;
    auto stay = received ? std::chrono::duration_cast<Duration>(now - entry.at).count() * 1024 / 1000000 : 0;
    out.reports.push_back({received, static_cast<std::uint16_t>(std::min<std::int64_t>(stay, 0x1ffe))});
  }
  out.timestamp = static_cast<std::uint32_t>(now.time_since_epoch().count() * 65536 / 1000000);
  reported_to_ = highest_ + 1;
  unreported_ = 0;
  if (entries_.size() > k_at_rest) resize(k_at_rest);
  return out;
}

}  // namespace sealcast::swarm
