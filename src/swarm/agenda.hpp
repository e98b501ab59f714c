#pragma once
// Whose turn it is: associations that may have something to send, and deadlines. Whoever changes an association touches
// it; too often does no harm, too seldom would leave it waiting for its next datagram.
#include <algorithm>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "swarm/channel.hpp"

namespace sealcast::swarm {

class Agenda {
 public:
  // Something about it changed: it may have something to send, and its deadline is asked for again.
  void touch(Association& a) {
    if (!a.ready) {
      a.ready = true;
      ready_.push_back(&a);
    }
    if (!a.stale) {
      a.stale = true;
      stale_.push_back(&a);
    }
  }
  // Those that may have something to send, the one that sent last at the end. What is due may have, too.
  Association* next_ready(Instant now) {
    collect(now);
    return ready_.empty() ? nullptr : ready_.front();
  }
  void sent(Association& a) {  // the one that next_ready() gave; it may have more
    ready_.pop_front();
    a.ready = false;
    touch(a);
  }
  void has_nothing(Association& a) {  // the one that next_ready() gave
    ready_.pop_front();
    a.ready = false;
  }
  // The earliest deadline; `deadline_of` says that of one.
  Instant deadline(const std::function<Instant(const Association&)>& deadline_of) {
    for (auto* a : stale_) {
      a->stale = false;
      if (!a->overdue) timers_.set(*a, deadline_of(*a));
    }
    stale_.clear();
    return overdue_.empty() ? timers_.next() : std::min(overdue_since_, timers_.next());
  }
  // Those whose deadline has come, by their ids; touched already. deadline() was asked before.
  std::vector<Association*> due(Instant now) {
    collect(now);
    auto out = std::exchange(overdue_, {});
    for (auto* a : out) a->overdue = false;
    for (auto* a : out) touch(*a);
    std::sort(out.begin(), out.end(), [](auto* a, auto* b) { return a->id < b->id; });
    return out;
  }
  void forget(Association& a) {
    timers_.remove(a);
    for (auto* list : {&stale_, &overdue_}) std::erase(*list, &a);
    std::erase(ready_, &a);
  }

 private:
  void collect(Instant now) {
    for (; timers_.next() <= now;) {
      auto& a = *static_cast<Association*>(timers_.first());
      if (overdue_.empty()) overdue_since_ = a.due;
      timers_.remove(a);
      a.overdue = true;
      overdue_.push_back(&a);
      if (!a.ready) {
        a.ready = true;
        ready_.push_back(&a);
      }
    }
  }
  std::deque<Association*> ready_;
  std::vector<Association*> stale_, overdue_;  // overdue: not in the heap, on_deadline() takes them
  Instant overdue_since_{};
  TimerHeap timers_;
};

}  // namespace sealcast::swarm
