#include "swarm/congestion.hpp"

#include <algorithm>

namespace sealcast::swarm {
namespace {

constexpr double k_smallest_window = 2, k_largest_window = 8192;  // in flight stays below 2^14 (ROC safety)
constexpr double k_least_reordering = 3, k_most_reordering = 16;  // packets; a batch may be shuffled between queues
constexpr Duration k_least_timeout = 200ms, k_longest_timeout = 10s;

}  // namespace

void Congestion::sent(SentPacket packet) {
  if (in_flight_ == 0) timer_from_ = packet.at;
  packets_.push_back(std::move(packet));
  ++next_;
  ++in_flight_;
}

SentPacket* Congestion::find(std::uint64_t sequence) {
  return sequence >= first_ && sequence < next_ ? &packets_[sequence - first_] : nullptr;
}

void Congestion::measure(Duration sample) {
  sample = std::max(sample, Duration(1));
  if (smoothed_ == Duration{0}) {
    smoothed_ = sample;
    variation_ = sample / 2;
  } else {
    auto error = sample > smoothed_ ? sample - smoothed_ : smoothed_ - sample;
    variation_ = (3 * variation_ + error) / 4;
    smoothed_ = (7 * smoothed_ + sample) / 8;
  }
  timeout_ = std::clamp<Duration>(smoothed_ + 4 * variation_, k_least_timeout, k_longest_timeout);
}

void Congestion::acknowledge(SentPacket& packet, std::uint64_t sequence) {
  packet.done = true;
  packet.control.clear();
  --in_flight_;
  if (sequence < recovery_end_) return;  // RFC 6582: no growth until the loss event is over
  window_ = std::min(k_largest_window, window_ < threshold_ ? window_ + 1 : window_ + 1 / window_);
}

void Congestion::lose(SentPacket& packet, std::vector<SentPacket>& lost) {
  lost.push_back(std::move(packet));
  packet.done = true;
  --in_flight_;
  ++lost_total_;
}

void Congestion::forget_done() {
  while (!packets_.empty() && packets_.front().done) {
    packets_.pop_front();
    ++first_;
  }
}

void Congestion::feedback(Instant now, const rtp::Feedback& feedback, std::uint16_t first_sequence,
                          std::vector<SentPacket>& lost) {
  if (next_ == 0) return;
  // Extend: the 16-bit distance from the newest packet sent. What was never sent is passed over: on a plain association
  // anybody may have used numbers that are still to come.
  auto newest = static_cast<std::uint16_t>(first_sequence + (next_ - 1));
  auto distance = std::int64_t{static_cast<std::int16_t>(feedback.begin - newest)};
  auto begin = static_cast<std::int64_t>(next_ - 1) + distance;
  bool progress = false;
  for (std::size_t i = feedback.reports.size(); i-- > 0;) {
    auto index = begin + static_cast<std::int64_t>(i);
    if (!feedback.reports[i].received || index < 0) continue;
    auto sequence = static_cast<std::uint64_t>(index);
    auto* packet = find(sequence);
    if (!packet || packet->done) continue;
    if (!progress) {  // the newest one acknowledged here is the freshest sample; its stay at the receiver is not the
                      // path's
      auto offset = feedback.reports[i].arrival_offset;
      auto stay = offset < 0x1ffe ? Duration(std::int64_t{offset} * 1000000 / 1024) : Duration{0};
      auto sample = now - packet->at;
      measure(sample > stay ? sample - stay : sample);
    }
    progress = true;
    if (!any_acknowledged_ || sequence > highest_acknowledged_) highest_acknowledged_ = sequence;
    any_acknowledged_ = true;
    acknowledge(*packet, sequence);
  }
  if (!progress) return;
  timeouts_in_row_ = 0;
  timer_from_ = now;
  bool reduced = false;
  auto reordering = static_cast<std::uint64_t>(std::clamp(window_ / 4, k_least_reordering, k_most_reordering));
  for (auto sequence = first_; sequence + reordering < highest_acknowledged_ && sequence < next_; ++sequence) {
    auto* packet = find(sequence);
    if (packet->done) continue;
    if (sequence >= recovery_end_ && !reduced) {
      threshold_ = window_ = std::max(k_smallest_window, window_ / 2);
      recovery_end_ = next_;
      reduced = true;
    }
    lose(*packet, lost);
  }
  forget_done();
}

Instant Congestion::deadline() const {
  if (in_flight_ == 0) return k_never;
  auto backoff = 1 << std::min(timeouts_in_row_, 6);
  return timer_from_ + std::min<Duration>(timeout_ * backoff, k_longest_timeout);
}

void Congestion::on_timeout(Instant now, std::vector<SentPacket>& lost) {
  if (timeouts_in_row_ == 0) threshold_ = std::max(k_smallest_window, window_ / 2);
  ++timeouts_in_row_;
  window_ = k_smallest_window;
  recovery_end_ = next_;
  timer_from_ = now;
  for (auto& packet : packets_)
    if (!packet.done) lose(packet, lost);
  forget_done();
}

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
  auto& entry = entries_[extended % k_memory];
  bool again = entry.sequence == extended;
  if (again && authenticated) return Arrival::again;
  entry = {extended, now};
  highest_ = std::max(highest_, extended);
  reported_to_ = std::min(reported_to_, extended);
  if (unreported_++ == 0) first_unreported_ = now;
  return again ? Arrival::again : Arrival::taken;  // whose it was nobody knows: the partner waits for its report
}

rtp::Feedback Arrivals::report(Instant now, std::uint32_t own_ssrc, std::uint32_t partner_ssrc) {
  constexpr std::uint64_t k_overlap = 64;  // an earlier feedback packet may have been lost
  auto from = std::min(reported_to_, highest_ + 1) > k_overlap ? std::min(reported_to_, highest_ + 1) - k_overlap : 0;
  from = std::max({from, lowest_, highest_ + 1 > 1024 ? highest_ + 1 - 1024 : 0});
  rtp::Feedback out{own_ssrc, partner_ssrc, static_cast<std::uint16_t>(from), {}, 0};
  for (auto s = from; s <= highest_; ++s) {
    auto& entry = entries_[s % k_memory];
    bool received = entry.sequence == s;
    auto stay = received ? std::chrono::duration_cast<Duration>(now - entry.at).count() * 1024 / 1000000 : 0;
    out.reports.push_back({received, static_cast<std::uint16_t>(std::min<std::int64_t>(stay, 0x1ffe))});
  }
  out.timestamp = static_cast<std::uint32_t>(now.time_since_epoch().count() * 65536 / 1000000);
  reported_to_ = highest_ + 1;
  unreported_ = 0;
  return out;
}

}  // namespace sealcast::swarm
