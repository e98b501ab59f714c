#include "swarm/loss_detector.hpp"

namespace sealcast::swarm {

// Packets are numbered in the order of sending: behind the first that is too young to be lost all are.
std::vector<std::uint64_t> LossDetector::lost(Instant now, SentHistory& history, const RoundTrip& path) {
  std::vector<std::uint64_t> out;
  look_again_ = k_never;
  if (!any_acknowledged_) return out;
  auto patience = path.newest() + reordering_window(path);
  auto end = std::min(newest_acknowledged_, history.next());
  for (auto number = history.first(); number < end; ++number) {
    auto* packet = history.open(number);
    if (!packet) continue;
    if (packet->at + patience > now) {
      look_again_ = packet->at + patience;
      break;
    }
    out.push_back(number);
  }
  return out;
}

// Section 7.2: a probe after two round trips, and what a receiver may wait with its feedback. RFC 6298 section 5.5: the
// retransmission timer is doubled with each timeout in a row.
LossDetector::Deadline LossDetector::deadline(const SentHistory& history, const RoundTrip& path) const {
  constexpr Duration k_feedback = 10ms;
  if (history.in_flight() == 0) return {};
  auto backoff = 1 << std::min(timeouts_in_row_, 6);
  // On a long and steady path the timer of RFC 6298 would end before feedback that waits at the receiver is here.
  const auto patience = 2 * path.smoothed() + k_feedback;
  const auto timeout = std::max<Duration>(path.timeout(), path.smoothed() > Duration{0} ? patience + k_feedback : 0us);
  Deadline out{timer_from_ + std::min<Duration>(timeout * backoff, RoundTrip::k_longest_timeout), Due::timeout};
  auto probe = timer_from_ + patience;
  if (!probed_ && timeouts_in_row_ == 0 && path.smoothed() > Duration{0} && probe < out.at) out = {probe, Due::probe};
  if (look_again_ < out.at) out = {look_again_, Due::reordering};
  return out;
}

}  // namespace sealcast::swarm
