#pragma once
// The clocks of the system.
#include "base/time.hpp"

namespace sealcast::os {

Instant monotonic_now();  // CLOCK_MONOTONIC
UnixSeconds unix_now();   // CLOCK_REALTIME

}  // namespace sealcast::os
