#include "os/clock.hpp"

#include <ctime>

namespace sealcast::os {

Instant monotonic_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant(Duration(std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000));
}

UnixSeconds unix_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

}  // namespace sealcast::os
