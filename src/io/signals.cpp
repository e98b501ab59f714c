#include "io/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string_view>

#include "base/result.hpp"
#include "io/signal_state.hpp"

namespace sealcast::io {
namespace detail {

constinit SignalState g_signals;

namespace {

void set_action(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // other threads' calls go on
  sigemptyset(&action.sa_mask);
  ::sigaction(number, &action, nullptr);
}

[[noreturn]] void end_interrupted() {
  constexpr std::string_view sentence = "sealcast: interrupted\n";
  [[maybe_unused]] auto ignored = ::write(STDERR_FILENO, sentence.data(), sentence.size());
  ::_exit(static_cast<int>(ErrorCode::interrupted));
}

}  // namespace

// May run on any thread, and before main().
void on_arrival(int number) {
  int saved = errno;
  if (number != SIGHUP) {
    // The next one kills: a loop that hangs must not make the process immortal.
    set_action(SIGINT, SIG_DFL);
    set_action(SIGTERM, SIG_DFL);
  }
  g_signals.pending |= number == SIGHUP ? k_hangup : number == SIGINT ? k_interrupt : k_terminate;
  // In this order: a loop first says where it is woken, then looks at what is pending.
  if (int descriptor = g_signals.wake_up; descriptor >= 0) {
    std::uint64_t one = 1;
    [[maybe_unused]] auto ignored = ::write(descriptor, &one, sizeof one);
  } else if (number != SIGHUP && g_signals.ends) {
    end_interrupted();
  }
  errno = saved;
}

}  // namespace detail

using detail::g_signals;

void catch_signals() {
  sigset_t ours;
  sigemptyset(&ours);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    detail::set_action(number, detail::on_arrival);
    sigaddset(&ours, number);
  }
  // What a parent blocked stays blocked over exec.
  ::sigprocmask(SIG_UNBLOCK, &ours, nullptr);
  for (int number : {SIGPIPE, SIGXFSZ}) detail::set_action(number, SIG_IGN);
}

bool interrupted() {
  return (g_signals.pending & (detail::k_interrupt | detail::k_terminate)) != 0;
}

void set_interrupt(Interrupt what) {
  g_signals.ends = what == Interrupt::ends;
  if (what == Interrupt::ends && g_signals.wake_up < 0 && interrupted()) detail::end_interrupted();
}

}  // namespace sealcast::io
