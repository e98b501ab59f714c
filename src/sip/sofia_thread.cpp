#include "sip/sofia_thread.hpp"

#include <memory>

#include "base/assert.hpp"
#include "sip/library.hpp"
#include "sip/sofia.hpp"

namespace sealcast::sip {

SofiaThread::~SofiaThread() {
  stop();
}

void SofiaThread::start() {
  SEALCAST_ASSERT(!thread_.joinable());
  std::promise<void> ready;
  thread_ = std::thread([this, &ready] { run(ready); });
  ready.get_future().wait();
}

void SofiaThread::run(std::promise<void>& ready) {
  const Library library;
  root_ = ::su_root_create(reinterpret_cast<su_root_magic_t*>(this));  // belongs to the thread that makes it
  SEALCAST_ASSERT(root_ != nullptr);
  {
    std::lock_guard lock(mutex_);
    open_ = true;
  }
  ready.set_value();
  ::su_root_run(root_);
  ::su_root_destroy(root_);
}

void SofiaThread::post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (!open_) return;
  posted_.push_back(std::move(task));
  if (posted_.size() > 1) return;  // a wake-up is under way
  su_msg_r message = SU_MSG_R_INIT;
  const auto wake = [](su_root_magic_t* self, su_msg_t**, su_msg_arg_t*) {
    reinterpret_cast<SofiaThread*>(self)->run_posted();
  };
  const bool made = ::su_msg_create(message, ::su_root_task(root_), su_task_null, wake, 0) == 0;
  SEALCAST_ASSERT(made);
  ::su_msg_send(message);
}

void SofiaThread::run_posted() {
  std::deque<std::function<void()>> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) {
    task();
    task = nullptr;  // what it holds goes on this thread, in order
  }
}

void SofiaThread::call(const std::function<void()>& task) {
  if (std::this_thread::get_id() == thread_.get_id()) return task();
  // Shared by the caller and by the posted task: a task that is dropped breaks the promise, and the wait ends.
  auto done = std::make_shared<std::promise<void>>();
  auto future = done->get_future();
  post([&task, done = std::move(done)] {
    task();
    done->set_value();
  });
  future.wait();
}

void SofiaThread::stop() {
  if (!thread_.joinable()) return;
  SEALCAST_ASSERT(std::this_thread::get_id() != thread_.get_id());
  post([this] {
    std::lock_guard lock(mutex_);
    open_ = false;
    ::su_root_break(root_);
  });
  thread_.join();
  posted_.clear();
  root_ = nullptr;
}

}  // namespace sealcast::sip
