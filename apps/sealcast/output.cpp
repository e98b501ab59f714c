#include "output.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <system_error>

#include "logging.hpp"

namespace sealcast::app {
namespace {

constexpr std::size_t k_much = 64 << 10;

std::string g_waiting;
int g_reason = 0;  // errno of the first failure
bool g_was_closed = false;

void write_waiting() {
  std::size_t done = 0;
  while (done < g_waiting.size() && g_reason == 0) {
    auto put = ::write(STDOUT_FILENO, g_waiting.data() + done, g_waiting.size() - done);
    if (put >= 0)
      done += static_cast<std::size_t>(put);
    else if (errno != EINTR)
      g_reason = errno;
  }
  g_waiting.clear();
}

}  // namespace

void print(const char* format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  auto size = static_cast<std::size_t>(std::vsnprintf(nullptr, 0, format, arguments));
  va_end(arguments);
  auto before = g_waiting.size();
  g_waiting.resize(before + size + 1);
  std::vsnprintf(g_waiting.data() + before, size + 1, format, again);
  va_end(again);
  g_waiting.resize(before + size);
  if (g_waiting.size() > k_much) write_waiting();
}

Status flush_output() {
  write_waiting();
  if (g_reason == 0) return {};
  if (g_was_closed) return fail("cannot write to standard output: it is closed");
  if (g_reason == EPIPE) return fail(std::string());
  auto code = g_reason == ENOSPC || g_reason == EDQUOT ? ErrorCode::disk_full : ErrorCode::failure;
  return fail(code, "cannot write to standard output: " + std::generic_category().message(g_reason));
}

void set_output_was_closed(bool closed) {
  g_was_closed = closed;
}
bool output_was_closed() {
  return g_was_closed;
}

int finish_output(int code) {
  auto written = flush_output();
  return written || code != 0 ? code : report(written.error());
}

}  // namespace sealcast::app
