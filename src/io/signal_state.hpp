#pragma once
// Between the handler of signals.cpp and the loop that takes them.
#include <atomic>

namespace sealcast::io::detail {

inline constexpr unsigned k_interrupt = 1, k_terminate = 2, k_hangup = 4;
struct SignalState {
  std::atomic<unsigned> pending{0};
  std::atomic<int> wake_up{-1};  // eventfd of the loop that takes them
  std::atomic<bool> ends{false};
};
extern SignalState g_signals;

void on_arrival(int number);  // the handler; async-signal-safe

}  // namespace sealcast::io::detail
