#include "os/random.hpp"

#include <sys/random.h>

#include <cerrno>

#include "base/assert.hpp"

namespace sealcast::os {

void SystemRandom::fill(MutableByteView out) {
  while (!out.empty()) {
    auto got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    // Without randomness no key may be made: there is nothing to go on with.
    SEALCAST_ASSERT(got > 0);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace sealcast::os
