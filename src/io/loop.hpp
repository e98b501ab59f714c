#pragma once
// Event loop over epoll: one thread runs it, post() may come from any. Timers, descriptors, signals.
#include <functional>
#include <memory>

#include "base/executor.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace sealcast::io {

// CLOCK_MONOTONIC and CLOCK_REALTIME.
Instant monotonic_now();
UnixSeconds unix_now();

class Loop final : public Executor {
 public:
  Loop();
  ~Loop() override;
  void run();   // until stop()
  void stop();  // any thread
  void post(std::function<void()> task) override;

  using TimerId = std::uint64_t;
  TimerId at(Instant when, std::function<void()> task);
  TimerId after(Duration delay, std::function<void()> task) { return at(monotonic_now() + delay, std::move(task)); }
  void cancel(TimerId id);

  // Level-triggered. The callback may watch, change and unwatch.
  void watch(int descriptor, bool readable, bool writable, std::function<void(bool readable, bool writable)> ready);
  void rewatch(int descriptor, bool readable, bool writable);
  void unwatch(int descriptor);
  // Called after every turn (all ready callbacks, timers and posts done): batching point of the media driver.
  void on_turn(std::function<void()> hook);

  // SIGINT and SIGTERM arrive here as tasks instead of killing; the second one restores the default.
  Status on_signal(std::function<void(int signal)> handler);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::io
