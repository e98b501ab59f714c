#include "os/clock.hpp"

#include <signal.h>

#include <ctime>
#include <thread>

#include "os/running_time.hpp"

namespace sealcast::os {
namespace {

std::int64_t raw_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

std::atomic<bool> g_watched{false};

// Never destroyed: threads may read it to the very end.
RunningTime& running_time() {
  static auto* instance = new RunningTime;
  return *instance;
}

}  // namespace

Instant monotonic_now() {
  return g_watched.load(std::memory_order_relaxed) ? running_time().now(raw_now) : Instant(Duration(raw_now()));
}

UnixSeconds unix_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

void leave_out_stops() {
  if (g_watched.exchange(true)) return;
  running_time();
  // Signals are for the other threads.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([] {
    for (;;) {
      monotonic_now();
      std::this_thread::sleep_for(RunningTime::k_beat);
    }
  }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::uint64_t stops_so_far() {
  return running_time().stops();
}

}  // namespace sealcast::os
