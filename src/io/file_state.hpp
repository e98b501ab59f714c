#pragma once
// What tells that a file is the one that it was, and that nobody has changed it.
#include <sys/stat.h>

#include <cstdint>

namespace sealcast::io {

struct FileState {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_seconds = 0, modified_nanoseconds = 0, changed_seconds = 0, changed_nanoseconds = 0;
  bool operator==(const FileState&) const = default;
  static FileState of(const struct ::stat& about) {
    return {about.st_dev,         about.st_ino,          static_cast<std::uint64_t>(about.st_size),
            about.st_mtim.tv_sec, about.st_mtim.tv_nsec, about.st_ctim.tv_sec,
            about.st_ctim.tv_nsec};
  }
};

}  // namespace sealcast::io
