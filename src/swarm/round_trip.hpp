#pragma once
// Round trip of a path and the retransmission timeout that follows from it (RFC 6298).
#include <algorithm>

#include "base/time.hpp"

namespace sealcast::swarm {

class RoundTrip {
 public:
  // RFC 6298 section 2.4 asks for a second at least; feedback comes within 5 ms here, so what TCPs do in practice is
  // enough.
  static constexpr Duration k_least_timeout = 200ms, k_longest_timeout = 10s;

  // RFC 6298 section 2.2 for the first sample, 2.3 for those behind it.
  void measure(Duration sample) {
    newest_ = sample = std::max(sample, Duration(1));
    if (smoothed_ == Duration{0}) {
      smoothed_ = least_ = sample;
      variation_ = sample / 2;
    } else {
      auto error = sample > smoothed_ ? sample - smoothed_ : smoothed_ - sample;
      variation_ = (3 * variation_ + error) / 4;
      smoothed_ = (7 * smoothed_ + sample) / 8;
      least_ = std::min(least_, sample);
    }
    timeout_ = std::clamp<Duration>(smoothed_ + 4 * variation_, k_least_timeout, k_longest_timeout);
  }
  // Each 0 before the first sample.
  Duration smoothed() const { return smoothed_; }
  Duration newest() const { return newest_; }
  Duration least() const { return least_; }
  Duration timeout() const { return timeout_; }

 private:
  Duration smoothed_{0}, variation_{0}, newest_{0}, least_{0};
  Duration timeout_ = 1s;  // RFC 6298 section 2.1
};

}  // namespace sealcast::swarm
