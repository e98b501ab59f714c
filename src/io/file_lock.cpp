#include "io/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "io/file.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;

int lock(int descriptor, int how) {
  int result;
  do result = ::flock(descriptor, how);
  while (result != 0 && errno == EINTR);
  return result;
}

// The file may have been removed, and made again, between our open and our lock.
bool still_named(int descriptor, const fs::path& file) {
  struct stat open_file {
  }, named{};
  return ::fstat(descriptor, &open_file) == 0 && ::lstat(file.c_str(), &named) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

void write_holder(int descriptor) {
  auto text = std::to_string(::getpid()) + "\n";
  // Only for the sentence that others print: what cannot be written is not needed.
  if (::ftruncate(descriptor, 0) == 0) (void)!::pwrite(descriptor, text.data(), text.size(), 0);
}

}  // namespace

Result<std::optional<FileLock>> FileLock::try_take(const fs::path& file, LockKind kind, LockFile afterwards) {
  for (;;) {
    os::Descriptor descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!descriptor) return fail(system_error("cannot open", file, errno));
    if (lock(descriptor.get(), (kind == LockKind::shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::optional<FileLock>();
      return fail(system_error("cannot lock", file, errno));
    }
    if (!still_named(descriptor.get(), file)) continue;
    write_holder(descriptor.get());
    return std::optional<FileLock>(FileLock(std::move(descriptor), afterwards == LockFile::goes ? file : fs::path()));
  }
}

Result<FileLock> FileLock::wait_for(const fs::path& directory) {
  os::Descriptor descriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) return fail(system_error("cannot open", directory, errno));
  if (lock(descriptor.get(), LOCK_EX) != 0) return fail(system_error("cannot lock", directory, errno));
  return FileLock(std::move(descriptor), {});
}

std::string FileLock::holder(const fs::path& file) {
  auto octets = read_file(file, 64);
  auto text = octets ? string_of(*octets) : std::string();
  text.erase(std::find_if(text.begin(), text.end(), [](char c) { return c < '0' || c > '9'; }), text.end());
  return text.empty() ? "another process" : "process " + text;
}

bool FileLock::share() {
  if (lock(descriptor_.get(), LOCK_SH | LOCK_NB) == 0) return true;
  descriptor_.reset();
  return false;
}

// Removed while it is still locked: whoever opened it meanwhile sees that it has lost its name.
void FileLock::give_back() {
  if (descriptor_ && !removed_.empty()) ::unlink(removed_.c_str());
  descriptor_.reset();
}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  give_back();
  descriptor_ = std::move(other.descriptor_);
  removed_ = std::move(other.removed_);
  return *this;
}

FileLock::~FileLock() {
  give_back();
}

Result<bool> write_file_once(const fs::path& path, ByteView data, unsigned mode) {
  std::string part = path.string() + ".new-" + std::to_string(::getpid());
  // Of a process with our number that was killed: nobody else writes it.
  ::unlink(part.c_str());
  SEALCAST_TRY(write_file_atomically(part, data, mode));
  int reason = ::link(part.c_str(), path.c_str()) == 0 ? 0 : errno;
  ::unlink(part.c_str());
  if (reason == EEXIST) return false;
  if (reason != 0) return fail(system_error("cannot make", path, reason));
  os::Descriptor directory(
      ::open(path.has_parent_path() ? path.parent_path().c_str() : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) ::fsync(directory.get());
  return true;
}

}  // namespace sealcast::io
