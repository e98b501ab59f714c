#pragma once
// Timers without a clock: time passes when the test says so, and the same calls give the same course.
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/timers.hpp"

namespace sealcast::sim {

// Turns are io::Loop's: what is due, then what was posted, and what those add comes in the next one. One thread, post()
// included. What is still waiting when it goes is not told.
class VirtualTime final : public Timers {
 public:
  explicit VirtualTime(Instant start = Instant{1s}, UnixSeconds wall = 1700000000)
      : start_(start), now_(start), wall_(wall) {}
  ~VirtualTime() override;

  Instant now() const override { return now_; }
  UnixSeconds unix_now() const override;
  TimerId at(Instant when, std::function<void()> task) override;
  void cancel(TimerId id) override;
  void post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }

  // All that is due until then, `end` included, in its order; it is `end` afterwards. `done` is asked after each turn
  // and stops it earlier. True: `done` said so.
  bool run_until(
      Instant end, const std::function<bool()>& done = [] { return false; });
  void advance(Duration duration) { (void)run_until(now_ + duration); }
  void settle() { advance(0us); }  // what is due and posted now

  // When something will happen next; k_never: nothing will.
  Instant next() const;
  std::size_t waiting() const { return timers_.size() + tasks_.size(); }

 private:
  using Key = std::pair<Instant, TimerId>;
  void turn();

  Instant start_, now_;
  UnixSeconds wall_;
  TimerId next_id_ = 1;
  std::map<Key, std::function<void()>> timers_;
  std::unordered_map<TimerId, Instant> instants_;
  std::vector<std::function<void()>> tasks_;
};

}  // namespace sealcast::sim
