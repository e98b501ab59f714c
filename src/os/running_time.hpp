#pragma once
// A monotonic clock that leaves out the time in which nobody ran: the process was stopped (SIGSTOP), frozen, or the
// machine hung. A deadline measured over such a time would be over before anybody had a chance to meet it.
#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/time.hpp"

namespace sealcast::os {

// Somebody must read it every k_beat at the latest (a thread of its own): what is much longer is a time in which no
// thread ran. Any thread may read it; it never goes back.
class RunningTime {
 public:
  static constexpr Duration k_beat = 1s, k_stopped = 5s;

  // raw(): the clock below, microseconds.
  template <class Raw>
  Instant now(Raw raw) {
    for (;;) {
      auto skipped = skipped_.load();
      auto at = raw();
      auto last = last_.load();
      // A reading of before the stop, or one that somebody has accounted for meanwhile, is taken anew.
      if (skipped != skipped_.load()) continue;
      if (last != 0 && at - last > k_stopped.count()) {
        skip(at);
        continue;
      }
      // Rarely: threads shall not fight for the line.
      if (at - last > k_resolution && !last_.compare_exchange_strong(last, at)) continue;
      return Instant(Duration(at - skipped));
    }
  }
  std::uint64_t stops() const { return stops_.load(); }  // how often nobody ran

 private:
  static constexpr std::int64_t k_resolution = 100'000;
  void skip(std::int64_t at) {
    std::lock_guard lock(mutex_);
    auto last = last_.load();
    if (last == 0 || at - last <= k_stopped.count()) return;
    skipped_ += at - last;
    ++stops_;
    last_ = at;
  }
  std::mutex mutex_;
  std::atomic<std::int64_t> last_{0}, skipped_{0};
  std::atomic<std::uint64_t> stops_{0};
};

}  // namespace sealcast::os
