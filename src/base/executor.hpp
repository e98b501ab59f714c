#pragma once
#include <functional>

namespace sealcast {

// Runs tasks on the thread that owns it, in the order posted. post() may be called from any thread.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::function<void()> task) = 0;
};

}  // namespace sealcast
