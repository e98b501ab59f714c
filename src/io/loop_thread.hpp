#pragma once
// A loop with a thread that runs it.
#include <functional>
#include <memory>
#include <thread>

#include "io/loop.hpp"

namespace sealcast::io {

class LoopThread {
 public:
  LoopThread() = default;
  ~LoopThread() { stop(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;
  void start();
  void stop();                     // joins; what is posted afterwards is dropped
  Loop& loop() { return *loop_; }  // between start() and stop()
  bool running() const { return loop_ != nullptr; }
  // Runs `task` on the thread, in the order posted.
  void post(std::function<void()> task);
  // The same, and waits for it. Not from the thread itself.
  void call(const std::function<void()>& task);

 private:
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace sealcast::io
