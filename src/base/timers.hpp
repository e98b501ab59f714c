#pragma once
// Time and later, for whoever lives on one thread: io::Loop with the system's clocks, sim::VirtualTime with its own.
#include <cstdint>
#include <functional>
#include <utility>

#include "base/executor.hpp"
#include "base/time.hpp"

namespace sealcast {

// Everything but post() belongs to the owner's thread. A task is told once, from outside of every call into this
// interface; what it adds waits for the next turn, also when it is due already. Of those due in one turn the earliest
// instant comes first, then the one that was made first, and what was posted after them.
class Timers : public Executor {
 public:
  using TimerId = std::uint64_t;  // begins with 1 and is not reused

  virtual Instant now() const = 0;
  virtual UnixSeconds unix_now() const = 0;
  virtual TimerId at(Instant when, std::function<void()> task) = 0;
  TimerId after(Duration delay, std::function<void()> task) { return at(now() + delay, std::move(task)); }
  // Of 0, of a stranger or of a timer that ran: harmless.
  virtual void cancel(TimerId id) = 0;
};

}  // namespace sealcast
