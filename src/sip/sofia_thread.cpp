#include "sip/sofia_thread.hpp"

#include <cstdarg>
#include <cstdio>
#include <memory>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "os/clock.hpp"
#include "sip/library_parser.hpp"
#include "sip/sofia.hpp"

// The library's hook for its clock (su_time.c); no header declares it.
extern "C" {
extern void (*_su_time)(su_time_t*);
}

namespace sealcast::sip {
namespace {

// The library's own lines (level 3: errors of transports) go to our log; by default they would go to standard error.
void library_log(void*, char const* format, va_list arguments) {
  char line[512];
  const int size = std::vsnprintf(line, sizeof line, format, arguments);
  std::string_view text(line, size < 0 ? 0 : std::min(static_cast<std::size_t>(size), sizeof line - 1));
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  if (!text.empty()) log(LogLevel::debug, "sofia", printable(text, sizeof line));
}

// su_init() and su_deinit() count without a lock.
std::mutex& library_mutex() {
  static std::mutex instance;
  return instance;
}

// The library's timers count in wall time, which may step: it gets the wall time of its beginning, gone on by our
// monotonic clock.
void library_time(su_time_t* out) {
  static const UnixSeconds wall = os::unix_now();
  static const Instant start = os::monotonic_now();
  auto gone = (os::monotonic_now() - start).count();
  out->tv_sec = static_cast<unsigned long>(wall) + SU_TIME_EPOCH + static_cast<unsigned long>(gone / 1'000'000);
  out->tv_usec = static_cast<unsigned long>(gone % 1'000'000);
}

void library_init() {
  std::lock_guard lock(library_mutex());
  ::su_init();
  static const bool once = [] {
    _su_time = library_time;
    prepare_library_parser();
    ::su_log_redirect(nullptr, library_log, nullptr);
    return true;
  }();
  (void)once;
}

void library_deinit() {
  std::lock_guard lock(library_mutex());
  ::su_deinit();
}

}  // namespace

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
  library_init();
  root_ = ::su_root_create(nullptr);  // belongs to the thread that makes it
  SEALCAST_ASSERT(root_ != nullptr);
  {
    std::lock_guard lock(mutex_);
    open_ = true;
  }
  ready.set_value();
  ::su_root_run(root_);
  ::su_root_destroy(root_);
  library_deinit();
}

void SofiaThread::post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (!open_) return;
  posted_.push_back(std::move(task));
  if (posted_.size() > 1) return;  // a wake-up is under way
  su_msg_r message = SU_MSG_R_INIT;
  const auto wake = [](su_root_magic_t*, su_msg_t** received, su_msg_arg_t*) {
    (*static_cast<SofiaThread**>(::su_msg_data(received)))->run_posted();
  };
  const bool made = ::su_msg_create(message, ::su_root_task(root_), su_task_null, wake, sizeof(SofiaThread*)) == 0;
  SEALCAST_ASSERT(made);
  *static_cast<SofiaThread**>(::su_msg_data(message)) = this;
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
