#pragma once
// A thread that hashes, compares and writes runs beside the loop (swarm::run), in the order in which they come.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "swarm/storage_job.hpp"

namespace sealcast::io {

class StorageWorker {
 public:
  // wake: called from the thread when something waits to be taken: once before it is.
  explicit StorageWorker(std::function<void()> wake);
  ~StorageWorker();  // what has begun is done, the rest is dropped
  StorageWorker(const StorageWorker&) = delete;
  StorageWorker& operator=(const StorageWorker&) = delete;
  void add(swarm::StorageJob job);
  std::vector<swarm::JobDone> take_done();
  void settle();  // returns when all that was added has been done

 private:
  void work();

  std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable added_, idle_;
  std::deque<swarm::StorageJob> waiting_;
  std::vector<swarm::JobDone> done_;
  bool busy_ = false, told_ = false, ends_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sealcast::io
