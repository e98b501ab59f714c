#include "os/limits.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sealcast::os {
namespace {

// Databases with their logs, objects, the loop's own, the admin socket and its callers.
constexpr std::size_t k_reserve = 256;
// epoll and poll do not mind, tables in proportion to it would.
constexpr std::size_t k_most = 1 << 20;

}  // namespace

std::size_t descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, k_most));
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  return descriptor_limit();
}

std::size_t descriptors_for_connections(std::size_t limit) {
  // A very low limit is shared by halves.
  return limit - std::min(k_reserve, limit / 2);
}

std::size_t descriptors_for_connections() {
  return descriptors_for_connections(descriptor_limit());
}

bool fill_standard_descriptors() {
  bool output_was_closed = false;
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    if (descriptor == STDOUT_FILENO) output_was_closed = true;
    // The lowest number that is free is this one. Opened the other way round: what is read from it or written to it
    // fails as before.
    [[maybe_unused]] int taken = ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
  return output_was_closed;
}

}  // namespace sealcast::os
