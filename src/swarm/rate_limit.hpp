#pragma once
#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace sealcast::swarm {

// Token bucket in octets; may go below zero by what was taken last.
class RateLimit {
 public:
  explicit RateLimit(std::uint64_t octets_per_second) : rate_(octets_per_second) {}
  bool allows(Instant now) {
    if (rate_ == 0) return true;
    refill(now);
    return tokens_ > 0;
  }
  void take(std::uint64_t octets) {
    if (rate_ != 0) tokens_ -= static_cast<double>(octets);
  }
  // When allows() turns true; `now` when it is.
  Instant next(Instant now) const {
    if (rate_ == 0 || tokens_ > 0) return now;
    return now + Duration(static_cast<std::int64_t>((1 - tokens_) * 1e6 / static_cast<double>(rate_)) + 1000);
  }

 private:
  void refill(Instant now) {
    auto elapsed = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    // A tenth of a second may be saved up.
    tokens_ = std::min(static_cast<double>(rate_) / 10 + 1,
                       tokens_ + std::clamp(elapsed, 0.0, 3600.0) * static_cast<double>(rate_));
  }
  std::uint64_t rate_;
  double tokens_ = 1;
  Instant last_{};
};

}  // namespace sealcast::swarm
