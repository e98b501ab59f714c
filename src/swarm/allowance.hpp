#pragma once
#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace sealcast::swarm {

// Work that an association may cost beyond what its datagrams pay for by their length: searching, looking at requests,
// opening channels. Verified content pays too.
class Allowance {
 public:
  std::uint64_t available(Instant now) {
    auto elapsed = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    tokens_ = std::min(k_burst, tokens_ + std::clamp(elapsed, 0.0, 3600.0) * k_each_second);
    return tokens_ > 0 ? static_cast<std::uint64_t>(tokens_) : 0;
  }
  void spend(std::uint64_t steps) { tokens_ -= static_cast<double>(steps); }
  void earn(std::uint64_t steps) { tokens_ = std::min(k_burst, tokens_ + static_cast<double>(steps)); }
  static constexpr double k_burst = 8192, k_each_second = 50000;

 private:
  double tokens_ = k_burst;
  Instant last_{};
};

}  // namespace sealcast::swarm
