#pragma once
// How a callback that may come late is kept from an object that has gone: the one way in which roles do it.
#include <memory>
#include <utility>

namespace sealcast {

// A member of the object that callbacks are about. Timers of its own an object cancels; what it handed to somebody who
// calls back when he likes (signalling, post()) is guarded. One thread: that of the object.
class Lifetime {
 public:
  Lifetime() = default;
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  // Calls `callback` (which returns nothing) as long as the object lives.
  template <class Callback>
  auto guard(Callback callback) const {
    return [here = std::weak_ptr<const char>(here_), callback = std::move(callback)](auto&&... what) mutable {
      if (!here.expired()) callback(std::forward<decltype(what)>(what)...);
    };
  }
  // First thing in a destructor that calls others: nothing guarded runs from here on.
  void end() { here_.reset(); }

 private:
  std::shared_ptr<const char> here_ = std::make_shared<const char>('\0');
};

}  // namespace sealcast
