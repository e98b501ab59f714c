#pragma once
// Event loop over epoll: one thread runs it, post() and stop() may come from any. Timers, descriptors, signals.
#include <functional>
#include <memory>

#include "base/result.hpp"
#include "base/timers.hpp"

namespace sealcast::io {

// Everything but post() and stop() belongs to the thread that runs it (before run(): to the one that made it). What is
// posted, due or ready in a turn runs once in that turn; what it adds waits for the next, so nothing starves. SIGPIPE
// is ignored from the constructor on.
class Loop final : public Timers {
 public:
  Loop();
  ~Loop() override;
  void run();   // until stop(), which may have come before: then one turn
  void stop();  // any thread
  void post(std::function<void()> task) override;

  Instant now() const override;  // os::monotonic_now, read at each call
  UnixSeconds unix_now() const override;
  TimerId at(Instant when, std::function<void()> task) override;
  void cancel(TimerId id) override;

  // Level-triggered; one watch for each descriptor, a second one replaces it. Errors and hang-ups count as what was
  // asked for. The callback may watch, change and unwatch, itself and others: an unwatched descriptor gets no event any
  // more, not even one of this turn.
  void watch(int descriptor, bool readable, bool writable, std::function<void(bool readable, bool writable)> ready);
  void rewatch(int descriptor, bool readable, bool writable);
  void unwatch(int descriptor);
  // Called after every turn (all ready callbacks, timers and posts done). All hooks are kept, as long as the loop
  // lives.
  void on_turn(std::function<void()> hook);

  // SIGINT and SIGTERM arrive here instead of killing, whatever thread they hit, also those that came before
  // (io/signals.hpp). The first one restores the default, so a second one kills. One loop of a process, once.
  Status on_signal(std::function<void(int signal)> handler);
  // SIGHUP of a loop that takes signals; without a handler it is ignored.
  void on_reload(std::function<void()> handler);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::io
