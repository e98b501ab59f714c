#include "sip/library.hpp"

#include <cstdarg>
#include <cstdio>
#include <mutex>

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

}  // namespace

Library::Library() {
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

Library::~Library() {
  std::lock_guard lock(library_mutex());
  ::su_deinit();
}

}  // namespace sealcast::sip
