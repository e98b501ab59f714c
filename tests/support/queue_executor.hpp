#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/executor.hpp"

namespace sealcast::test {

// The test's thread is the owner: it runs what others post while it waits for something.
class QueueExecutor final : public Executor {
 public:
  void post(std::function<void()> task) override {
    {
      std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
  }

  // Runs tasks until `holds`; false when the time is over.
  template <class Predicate>
  bool run_until(Predicate holds, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!holds()) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_until(lock, until, [&] { return !tasks_.empty(); })) return holds();
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
};

}  // namespace sealcast::test
