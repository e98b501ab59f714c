#pragma once
// Time is always an argument: nothing in L0-L3 reads a clock.
#include <chrono>
#include <cstdint>

namespace sealcast {

using Duration = std::chrono::microseconds;
using namespace std::chrono_literals;

// Tag of the monotonic clock that drives the cores; it has no now(). The drivers (io, sim) make instants.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};
using Instant = MonotonicClock::time_point;
inline constexpr Instant k_never = Instant::max();

// Wall-clock seconds since 1970 (JWT iat/exp, validity of descriptions).
using UnixSeconds = std::int64_t;

}  // namespace sealcast
