#include "io/storage_worker.hpp"

#include <utility>

namespace sealcast::io {
namespace {

constexpr std::size_t k_at_a_time = 8;  // runs that are brought back together while there are more

}  // namespace

StorageWorker::StorageWorker(std::function<void()> wake) : wake_(std::move(wake)), thread_([this] { work(); }) {}

StorageWorker::~StorageWorker() {
  {
    std::lock_guard lock(mutex_);
    ends_ = true;
  }
  added_.notify_one();
  thread_.join();
}

void StorageWorker::add(swarm::StorageJob job) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(job));
    if (busy_) return;  // it looks for more before it sleeps
  }
  added_.notify_one();
}

std::vector<swarm::JobDone> StorageWorker::take_done() {
  std::lock_guard lock(mutex_);
  told_ = false;
  return std::exchange(done_, {});
}

void StorageWorker::settle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return waiting_.empty() && !busy_; });
}

void StorageWorker::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    added_.wait(lock, [&] { return ends_ || !waiting_.empty(); });
    if (ends_) return;
    busy_ = true;
    auto job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    auto done = swarm::run(std::move(job));
    lock.lock();
    done_.push_back(std::move(done));
    busy_ = !waiting_.empty();
    if (!busy_) idle_.notify_all();
    // Some at a time: each awakening costs, and what is said to partners about several runs fits one datagram.
    if (told_ || (busy_ && done_.size() < k_at_a_time)) continue;
    told_ = true;
    lock.unlock();
    wake_();
    lock.lock();
  }
}

}  // namespace sealcast::io
