#pragma once
// Deadlines of many things: the earliest is found at once, moving one costs O(log n), and nothing is allocated for it.
#include <cstddef>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace sealcast::swarm {

// Base of what has a deadline. It must be taken out of the heap before it goes.
struct Timed {
  Instant due = k_never;
  std::size_t place = SIZE_MAX;  // in the heap; SIZE_MAX: not in it
};

class TimerHeap {
 public:
  Instant next() const { return heap_.empty() ? k_never : heap_.front()->due; }
  Timed* first() const { return heap_.empty() ? nullptr : heap_.front(); }
  // k_never takes it out.
  void set(Timed& timed, Instant due) {
    if (due == k_never) return remove(timed);
    timed.due = due;
    if (timed.place == SIZE_MAX) {
      timed.place = heap_.size();
      heap_.push_back(&timed);
    }
    settle(timed.place);
  }
  void remove(Timed& timed) {
    timed.due = k_never;
    if (timed.place == SIZE_MAX) return;
    auto place = std::exchange(timed.place, SIZE_MAX);
    auto* last = heap_.back();
    heap_.pop_back();
    if (last == &timed) return;
    put(last, place);
    settle(place);
  }

 private:
  void put(Timed* timed, std::size_t place) {
    heap_[place] = timed;
    timed->place = place;
  }
  // Up or down, whichever it needs.
  void settle(std::size_t at) {
    auto* moving = heap_[at];
    for (; at > 0 && heap_[(at - 1) / 2]->due > moving->due; at = (at - 1) / 2) put(heap_[(at - 1) / 2], at);
    for (;;) {
      auto child = 2 * at + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1]->due < heap_[child]->due) ++child;
      if (heap_[child]->due >= moving->due) break;
      put(heap_[child], at);
      at = child;
    }
    put(moving, at);
  }
  std::vector<Timed*> heap_;
};

}  // namespace sealcast::swarm
