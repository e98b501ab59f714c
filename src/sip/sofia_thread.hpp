#pragma once
// A thread that runs a sofia-sip event loop (su_root). Everything of the library is called on it only.
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

struct su_root_s;  // su_root_t of the library

namespace sealcast::sip {

class SofiaThread {
 public:
  SofiaThread() = default;
  ~SofiaThread();  // stop()
  // Starts the thread; returns when its loop is ready to take posts. su_init() is counted here.
  void start();
  // Runs `task` on the thread, in the order posted; dropped after stop(). Any thread.
  void post(std::function<void()> task);
  // Runs `task` on the thread and waits for it; returns without having run it when the thread has stopped. From the
  // thread itself: runs at once.
  void call(const std::function<void()>& task);
  // Ends the loop and joins. The library's objects must have been destroyed by a call() before.
  void stop();
  su_root_s* root() const { return root_; }  // constant between start() and stop()

 private:
  void run(std::promise<void>& ready);
  void run_posted();

  std::thread thread_;
  su_root_s* root_ = nullptr;
  std::mutex mutex_;  // of the two below: post() comes from any thread
  std::deque<std::function<void()>> posted_;
  bool open_ = false;
};

}  // namespace sealcast::sip
