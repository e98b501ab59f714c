#pragma once
// The clocks of the system.
#include "base/time.hpp"

namespace sealcast::os {

// CLOCK_MONOTONIC; after leave_out_stops() without the times in which no thread of this process ran.
Instant monotonic_now();
UnixSeconds unix_now();  // CLOCK_REALTIME

// For the whole process, once, before it makes threads: a thread of its own reads the clock from now on, so that a
// long time between two readings is one in which nobody ran (os/running_time.hpp).
void leave_out_stops();
// How often nobody ran: who keeps promises to others (a registration, an announcement) renews them when it grows.
std::uint64_t stops_so_far();

}  // namespace sealcast::os
