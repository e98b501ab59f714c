#include "os/descriptor.hpp"

#include <unistd.h>

#include <cerrno>

namespace sealcast::os {

void Descriptor::reset(int owned) {
  const int saved = errno;
  if (value_ >= 0) ::close(value_);  // never again on EINTR: Linux has closed it by then
  value_ = owned;
  errno = saved;
}

}  // namespace sealcast::os
