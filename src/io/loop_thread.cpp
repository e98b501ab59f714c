#include "io/loop_thread.hpp"

#include <future>

#include "base/assert.hpp"

namespace sealcast::io {

void LoopThread::start() {
  SEALCAST_ASSERT(!loop_);
  loop_ = std::make_unique<Loop>();
  thread_ = std::thread([this] { loop_->run(); });
}

void LoopThread::stop() {
  if (!loop_) return;
  SEALCAST_ASSERT(std::this_thread::get_id() != thread_.get_id());
  loop_->stop();
  thread_.join();
  loop_.reset();
}

void LoopThread::post(std::function<void()> task) {
  if (loop_) loop_->post(std::move(task));
}

void LoopThread::call(const std::function<void()>& task) {
  if (!loop_) return;
  SEALCAST_ASSERT(std::this_thread::get_id() != thread_.get_id());
  std::promise<void> done;
  auto future = done.get_future();
  loop_->post([&] {
    task();
    done.set_value();
  });
  future.wait();
}

}  // namespace sealcast::io
