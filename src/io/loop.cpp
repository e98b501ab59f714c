#include "io/loop.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "io/signal_state.hpp"
#include "io/signals.hpp"
#include "os/clock.hpp"

namespace sealcast::io {
namespace {

constexpr int k_ready_at_once = 64;  // descriptors served in one turn; the others come in the next one
// Keys of our own descriptors in epoll_data; those of watched ones have a generation >= 1 in the upper half.
constexpr Duration k_longest_sleep = 24h;
constexpr std::uint64_t k_wake_key = 1, k_timer_key = 2;

constexpr std::array k_taken = {SIGINT, SIGTERM, SIGHUP};

// A full eventfd is awake already.
void wake(int descriptor, std::uint64_t value = 1) {
  [[maybe_unused]] auto ignored = ::write(descriptor, &value, sizeof value);
}

void drain(int descriptor) {
  std::uint64_t count = 0;
  [[maybe_unused]] auto ignored = ::read(descriptor, &count, sizeof count);
}

std::uint32_t interest(bool readable, bool writable) {
  return (readable ? EPOLLIN | EPOLLRDHUP : 0u) | (writable ? EPOLLOUT : 0u);
}

}  // namespace

struct Loop::Impl {
  struct Watch {
    int descriptor = -1;
    std::uint32_t generation = 0;
    bool readable = false, writable = false;
    std::function<void(bool, bool)> ready;
    std::uint64_t key() const { return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(descriptor); }
  };
  using TimerKey = std::pair<Instant, TimerId>;

  Impl();
  ~Impl();
  void check_thread() const;
  void set_interest(Watch& watch, bool readable, bool writable);
  void retire(std::unique_ptr<Watch> watch);
  void turn();
  void dispatch(const epoll_event& event);
  void run_timers();
  void run_tasks();
  void arm_timer();

  int epoll = -1, wake_up = -1, timer = -1;
  std::atomic<bool> stopping{false};
  std::atomic<std::thread::id> owner{};  // while run() runs

  std::mutex mutex;  // guards tasks
  std::vector<std::function<void()>> tasks;

  std::map<TimerKey, std::function<void()>> timers;
  std::unordered_map<TimerId, Instant> timer_instants;
  TimerId next_timer = 1;
  Instant armed = k_never;

  std::unordered_map<int, std::unique_ptr<Watch>> watches;
  std::vector<std::unique_ptr<Watch>> retired;  // unwatched in this turn; one of them may be running
  std::uint32_t next_generation = 1;
  bool in_turn = false;

  std::deque<std::function<void()>> hooks;  // a hook may add one
  int signal_descriptor = -1;
  std::array<struct sigaction, k_taken.size()> old_actions{};
  std::function<void(int)> on_signal;
  std::function<void()> on_reload;
};

Loop::Impl::Impl()
    : epoll(::epoll_create1(EPOLL_CLOEXEC)),
      wake_up(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  SEALCAST_ASSERT(epoll >= 0 && wake_up >= 0 && timer >= 0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = k_wake_key;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, wake_up, &event);
  event.data.u64 = k_timer_key;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
  ::signal(SIGPIPE, SIG_IGN);  // a closed connection is an errno, not the end of the process
}

Loop::Impl::~Impl() {
  if (signal_descriptor >= 0) {
    for (std::size_t i = 0; i < k_taken.size(); ++i) ::sigaction(k_taken[i], &old_actions[i], nullptr);
    detail::g_signals.wake_up = -1;
    ::close(signal_descriptor);
  }
  ::close(timer);
  ::close(wake_up);
  ::close(epoll);
}

void Loop::Impl::check_thread() const {
  auto id = owner.load();
  SEALCAST_ASSERT(id == std::thread::id{} || id == std::this_thread::get_id());
}

// Without interest a descriptor leaves epoll, which otherwise reports hang-ups all the same, turn after turn.
void Loop::Impl::set_interest(Watch& watch, bool readable, bool writable) {
  auto before = interest(watch.readable, watch.writable), after = interest(readable, writable);
  watch.readable = readable;
  watch.writable = writable;
  if (before == after) return;
  epoll_event event{};
  event.events = after;
  event.data.u64 = watch.key();
  int operation = before == 0 ? EPOLL_CTL_ADD : after == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  SEALCAST_ASSERT(::epoll_ctl(epoll, operation, watch.descriptor, &event) == 0 || after == 0);
}

// Its callback may be the one that runs now: it lives to the end of the turn.
void Loop::Impl::retire(std::unique_ptr<Watch> watch) {
  if (in_turn) retired.push_back(std::move(watch));
}

void Loop::Impl::dispatch(const epoll_event& event) {
  if (event.data.u64 == k_wake_key) return drain(wake_up);
  if (event.data.u64 == k_timer_key) {
    drain(timer);
    armed = k_never;
    return;
  }
  auto at = watches.find(static_cast<int>(event.data.u64 & 0xffffffff));
  // Unwatched by another callback of this turn, and perhaps watched anew: the event was not for this one.
  if (at == watches.end() || at->second->key() != event.data.u64) return;
  auto& watch = *at->second;
  bool broken = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
  bool readable = watch.readable && (broken || (event.events & (EPOLLIN | EPOLLRDHUP)) != 0);
  bool writable = watch.writable && (broken || (event.events & EPOLLOUT) != 0);
  if (readable || writable) watch.ready(readable, writable);
}

// Those that are due now; a timer made by one of them waits for the next turn, whatever its instant.
void Loop::Impl::run_timers() {
  if (timers.empty()) return;
  auto now = os::monotonic_now();
  std::vector<TimerKey> due;
  for (auto at = timers.begin(); at != timers.end() && at->first.first <= now; ++at) due.push_back(at->first);
  for (auto& key : due) {
    auto node = timers.extract(key);
    if (node.empty()) continue;  // cancelled by an earlier one
    timer_instants.erase(key.second);
    node.mapped()();
  }
}

void Loop::Impl::run_tasks() {
  std::vector<std::function<void()>> now;
  {
    std::lock_guard lock(mutex);
    now.swap(tasks);
  }
  for (auto& task : now) {
    task();
    task = nullptr;  // what it holds is let go in order
  }
}

// The timer is only ever moved closer; one that went away costs a wake-up, not a system call at every cancel.
void Loop::Impl::arm_timer() {
  if (timers.empty()) return;
  auto first = timers.begin()->first.first;
  if (first >= armed) return;
  armed = first;
  // How long from now on, at least 1 us (0 would disarm): our clock leaves out what the kernel's does not. A timer that
  // rings too early for that is armed again.
  auto left = std::clamp<std::int64_t>((first - os::monotonic_now()).count(), 1, k_longest_sleep.count());
  itimerspec when{};
  when.it_value.tv_sec = left / 1'000'000;
  when.it_value.tv_nsec = left % 1'000'000 * 1000;
  ::timerfd_settime(timer, 0, &when, nullptr);
}

void Loop::Impl::turn() {
  arm_timer();
  int patience = -1;
  {
    std::lock_guard lock(mutex);
    if (!tasks.empty() || stopping) patience = 0;
  }
  std::array<epoll_event, k_ready_at_once> ready;
  int count = ::epoll_wait(epoll, ready.data(), k_ready_at_once, patience);
  SEALCAST_ASSERT(count >= 0 || errno == EINTR);
  in_turn = true;
  for (int i = 0; i < count; ++i) dispatch(ready[static_cast<std::size_t>(i)]);
  run_timers();
  run_tasks();
  for (std::size_t i = 0; i < hooks.size(); ++i) hooks[i]();
  in_turn = false;
  std::exchange(retired, {}).clear();
}

Loop::Loop() : impl_(std::make_unique<Impl>()) {}

Loop::~Loop() {
  // What the callbacks own may call the loop when it goes.
  auto& i = *impl_;
  i.hooks.clear();
  std::exchange(i.timers, {}).clear();
  std::exchange(i.watches, {}).clear();
  for (bool more = true; more;) {
    std::vector<std::function<void()>> tasks;
    std::lock_guard lock(i.mutex);
    more = !i.tasks.empty();
    tasks.swap(i.tasks);
  }
}

void Loop::run() {
  impl_->owner = std::this_thread::get_id();
  do impl_->turn();
  while (!impl_->stopping);
  impl_->stopping = false;
  impl_->owner = std::thread::id{};
}

void Loop::stop() {
  impl_->stopping = true;
  wake(impl_->wake_up);
}

void Loop::post(std::function<void()> task) {
  bool first;
  {
    std::lock_guard lock(impl_->mutex);
    first = impl_->tasks.empty();
    impl_->tasks.push_back(std::move(task));
  }
  // The loop's own thread looks at the tasks before it sleeps.
  if (first && impl_->owner.load() != std::this_thread::get_id()) wake(impl_->wake_up);
}

Instant Loop::now() const {
  return os::monotonic_now();
}

UnixSeconds Loop::unix_now() const {
  return os::unix_now();
}

Timers::TimerId Loop::at(Instant when, std::function<void()> task) {
  impl_->check_thread();
  auto id = impl_->next_timer++;
  impl_->timers.emplace(Impl::TimerKey{when, id}, std::move(task));
  impl_->timer_instants.emplace(id, when);
  return id;
}

void Loop::cancel(TimerId id) {
  impl_->check_thread();
  auto at = impl_->timer_instants.find(id);
  if (at == impl_->timer_instants.end()) return;
  auto node = impl_->timers.extract({at->second, id});  // destroyed last: what it owns may come back here
  impl_->timer_instants.erase(at);
}

void Loop::watch(int descriptor, bool readable, bool writable, std::function<void(bool, bool)> ready) {
  impl_->check_thread();
  unwatch(descriptor);
  auto watch = std::make_unique<Impl::Watch>();
  watch->descriptor = descriptor;
  watch->generation = impl_->next_generation++;
  if (impl_->next_generation == 0) impl_->next_generation = 1;
  watch->ready = std::move(ready);
  impl_->set_interest(*watch, readable, writable);
  impl_->watches[descriptor] = std::move(watch);
}

void Loop::rewatch(int descriptor, bool readable, bool writable) {
  impl_->check_thread();
  auto at = impl_->watches.find(descriptor);
  if (at != impl_->watches.end()) impl_->set_interest(*at->second, readable, writable);
}

void Loop::unwatch(int descriptor) {
  impl_->check_thread();
  auto node = impl_->watches.extract(descriptor);
  if (node.empty()) return;
  impl_->set_interest(*node.mapped(), false, false);
  impl_->retire(std::move(node.mapped()));
}

void Loop::on_turn(std::function<void()> hook) {
  impl_->hooks.push_back(std::move(hook));
}

Status Loop::on_signal(std::function<void(int)> handler) {
  auto& i = *impl_;
  if (i.signal_descriptor >= 0) return fail("signals are taken already");
  int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int none = -1;
  if (descriptor < 0 || !detail::g_signals.wake_up.compare_exchange_strong(none, descriptor)) {
    ::close(descriptor);
    return fail(descriptor < 0 ? "no descriptor is left for signals"
                               : "signals are taken already by another loop of this process");
  }
  i.signal_descriptor = descriptor;
  i.on_signal = std::move(handler);
  watch(descriptor, true, false, [&i](bool, bool) {
    drain(i.signal_descriptor);
    auto come = detail::g_signals.pending.exchange(0);
    if ((come & detail::k_hangup) != 0 && i.on_reload) i.on_reload();
    if ((come & detail::k_interrupt) != 0) i.on_signal(SIGINT);
    if ((come & detail::k_terminate) != 0) i.on_signal(SIGTERM);
  });
  // After the first SIGINT or SIGTERM their default stays.
  bool come_already = interrupted();
  for (std::size_t n = 0; n < k_taken.size(); ++n) {
    struct sigaction action {};
    action.sa_handler = detail::on_arrival;
    action.sa_flags = SA_RESTART;  // other threads' calls go on
    sigemptyset(&action.sa_mask);
    bool keep = come_already && k_taken[n] != SIGHUP;
    ::sigaction(k_taken[n], keep ? nullptr : &action, &i.old_actions[n]);
  }
  if (detail::g_signals.pending != 0) wake(descriptor);
  return {};
}

void Loop::on_reload(std::function<void()> handler) {
  impl_->on_reload = std::move(handler);
}

}  // namespace sealcast::io
