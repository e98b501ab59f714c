#include "sip/library.hpp"

#include <cstdarg>
#include <cstdio>
#include <mutex>

#include "base/log.hpp"
#include "base/text.hpp"
#include "sip/library_parser.hpp"
#include "sip/sofia.hpp"

namespace sealcast::sip {
namespace {

// The library's own lines go to our log; by default they would go to standard error.
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

}  // namespace

Library::Library() {
  std::lock_guard lock(library_mutex());
  ::su_init();
  static const bool once = [] {
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
