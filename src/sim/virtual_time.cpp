#include "sim/virtual_time.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace sealcast::sim {
namespace {

// More at one instant is a circle: a loop of the system would spin, and virtual time would never go on.
constexpr int k_most_turns_at_once = 1000000;

}  // namespace

// What the tasks own may come back here when it goes.
VirtualTime::~VirtualTime() {
  while (!timers_.empty()) std::exchange(timers_, {}).clear();
  while (!tasks_.empty()) std::exchange(tasks_, {}).clear();
}

UnixSeconds VirtualTime::unix_now() const {
  return wall_ + std::chrono::floor<std::chrono::seconds>(now_ - start_).count();
}

Timers::TimerId VirtualTime::at(Instant when, std::function<void()> task) {
  auto id = next_id_++;
  timers_.emplace(Key{when, id}, std::move(task));
  instants_.emplace(id, when);
  return id;
}

void VirtualTime::cancel(TimerId id) {
  auto at = instants_.find(id);
  if (at == instants_.end()) return;
  auto node = timers_.extract({at->second, id});  // destroyed last: what it owns may come back here
  instants_.erase(at);
}

Instant VirtualTime::next() const {
  if (!tasks_.empty()) return now_;
  return timers_.empty() ? k_never : std::max(now_, timers_.begin()->first.first);
}

void VirtualTime::turn() {
  std::vector<Key> due;
  for (auto at = timers_.begin(); at != timers_.end() && at->first.first <= now_; ++at) due.push_back(at->first);
  for (auto& key : due) {
    auto node = timers_.extract(key);
    if (node.empty()) continue;  // cancelled by an earlier one
    instants_.erase(key.second);
    node.mapped()();
  }
  for (auto& task : std::exchange(tasks_, {})) task();
}

bool VirtualTime::run_until(Instant end, const std::function<bool()>& done) {
  SEALCAST_ASSERT(end >= now_);
  int turns = 0;
  while (!done()) {
    auto when = next();
    if (when > end) {
      now_ = end;
      return false;
    }
    turns = when == now_ ? turns + 1 : 0;
    SEALCAST_ASSERT(turns < k_most_turns_at_once);
    now_ = when;
    turn();
  }
  return true;
}

}  // namespace sealcast::sim
