#include "swarm/loss_detector.hpp"

namespace sealcast::swarm {

std::vector<std::uint64_t> LossDetector::overtaken(SentHistory& history, std::uint64_t reordering) const {
  std::vector<std::uint64_t> out;
  if (!any_acknowledged_) return out;
  for (auto number = history.first(); number + reordering < highest_acknowledged_ && number < history.next(); ++number)
    if (history.open(number)) out.push_back(number);
  return out;
}

Instant LossDetector::deadline(const SentHistory& history, const RoundTrip& path) const {
  if (history.in_flight() == 0) return k_never;
  auto backoff = 1 << std::min(timeouts_in_row_, 6);
  return timer_from_ + std::min<Duration>(path.timeout() * backoff, RoundTrip::k_longest_timeout);
}

}  // namespace sealcast::swarm
