#include "io/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "io/file_names.hpp"
#include "io/octet_file.hpp"
#include "os/random.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;

fs::path directory_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

fs::path temporary_name(const fs::path& path) {
  std::array<std::uint8_t, 8> octets{};
  os::SystemRandom().fill(octets);
  auto name = path.filename().string().substr(0, k_longest_stem) + ".part-" + hex(octets);
  return path.has_parent_path() ? path.parent_path() / name : fs::path(name);
}

void close_descriptor(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

Status write_all(int descriptor, ByteView data, const fs::path& path) {
  while (!data.empty()) {
    auto put = ::write(descriptor, data.data(), data.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(system_error("cannot write", path, errno));
    data = data.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

// A rename is on disk only when its directory is.
Status sync_directory(const fs::path& directory) {
  int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return fail(system_error("cannot open", directory, errno));
  int reason = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some file systems cannot, and say so.
  if (reason != 0 && reason != EINVAL && reason != ENOTSUP) return fail(system_error("cannot sync", directory, reason));
  return {};
}

// 0, or why not. Without replacement an existing name is EEXIST, whoever made it in the last moment.
int give_name(const fs::path& part, const fs::path& path, Replace replace) {
  if (replace == Replace::allowed) return ::rename(part.c_str(), path.c_str()) == 0 ? 0 : errno;
  if (::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (::link(part.c_str(), path.c_str()) != 0) return errno;
  ::unlink(part.c_str());
  return 0;
}

Status publish(int& descriptor, const fs::path& part, const fs::path& path, Replace replace = Replace::allowed) {
  if (::fsync(descriptor) != 0) return fail(system_error("cannot sync", part, errno));
  int reason = ::close(std::exchange(descriptor, -1)) == 0 ? 0 : errno;
  if (reason != 0) return fail(system_error("cannot close", part, reason));
  return rename_output(part, path, replace);
}

tl::unexpected<Error> unwritable(const fs::path& path, const std::string& why) {
  return fail(ErrorCode::usage, "cannot write to " + shown(path) + ": " + why);
}

// A mount point, and what the kernel does not let go, meet the rename only after a long transfer.
Status check_renamable(const fs::path& path, const struct stat& about) {
  struct statx more {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &more) == 0) {
    auto has = [&](std::uint64_t attribute) { return (more.stx_attributes & attribute) != 0; };
    if (has(STATX_ATTR_MOUNT_ROOT)) return unwritable(path, "something is mounted there, so it cannot be replaced");
    if (has(STATX_ATTR_IMMUTABLE) || has(STATX_ATTR_APPEND))
      return unwritable(path, "it is immutable or append-only, so it cannot be replaced");
  }
  struct stat directory {};
  bool sticky = ::stat(directory_of(path).c_str(), &directory) == 0 && (directory.st_mode & S_ISVTX) != 0;
  if (sticky && ::geteuid() != 0 && about.st_uid != ::geteuid() && directory.st_uid != ::geteuid())
    return unwritable(path, "it is somebody else's file in a directory where only owners may remove");
  return {};
}

}  // namespace

std::string shown(const fs::path& path) {
  return printable(path.string(), 4096);
}

fs::path with_extension(const fs::path& base, const char* extension) {
  auto out = base;
  out += extension;
  return out;
}

Status check_replaceable(const fs::path& path, Replace replace, unsigned* mode) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) {
    if (errno == ENOENT) return {};
    if (errno == ENAMETOOLONG) return unwritable(path, "its name is too long");
    return fail(system_error("cannot look at", path, errno));
  }
  if (!S_ISREG(about.st_mode)) {
    auto what = S_ISLNK(about.st_mode)   ? "a symbolic link, which is not followed"
                : S_ISDIR(about.st_mode) ? "a directory"
                                         : "no regular file";
    return unwritable(path, std::string("it is ") + what);
  }
  if (replace == Replace::never) return unwritable(path, "it exists already");
  if (mode) *mode = about.st_mode & 0777;
  return check_renamable(path, about);
}

Status rename_output(const fs::path& part, const fs::path& path, Replace replace) {
  int reason = give_name(part, path, replace);
  if (reason == EEXIST) return fail(ErrorCode::usage, "cannot write to " + shown(path) + ": it exists already");
  if (reason != 0) return fail(system_error("cannot rename " + shown(part) + " to", path, reason));
  return sync_directory(directory_of(path));
}

Error system_error(std::string_view what, const fs::path& path, int error_number) {
  auto code = ErrorCode::failure;
  if (error_number == ENOSPC || error_number == EDQUOT) code = ErrorCode::disk_full;
  // What this process or the disk cannot do for the moment says nothing about the file.
  if (error_number == EMFILE || error_number == ENFILE || error_number == ENOMEM || error_number == EIO)
    code = ErrorCode::unavailable;
  return {code, std::string(what) + " " + shown(path) + ": " + std::generic_category().message(error_number)};
}

Result<Bytes> read_file(const fs::path& path, std::size_t limit) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail(system_error("cannot open", path, errno));
  struct stat about {};
  ::fstat(descriptor, &about);
  Bytes out;
  int reason = 0;
  // A pipe has no size: read until the end or one octet too many.
  for (std::size_t used = 0; used <= limit;) {
    out.resize(std::min(limit + 1, used + std::max<std::size_t>(4096, static_cast<std::size_t>(about.st_size) + 1)));
    auto got = ::read(descriptor, out.data() + used, out.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) reason = errno;
    if (got > 0) used += static_cast<std::size_t>(got);
    out.resize(used);
    if (got <= 0) break;
  }
  ::close(descriptor);
  if (reason != 0) return fail(system_error("cannot read", path, reason));
  if (out.size() > limit)
    return fail(ErrorCode::usage, shown(path) + " is larger than " + std::to_string(limit) + " octets");
  return out;
}

Status write_file_atomically(const fs::path& path, ByteView data, unsigned mode) {
  auto part = temporary_name(path);
  int descriptor = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (descriptor < 0) return fail(system_error("cannot create", part, errno));
  auto written = write_all(descriptor, data, part);
  // The mode as asked for, whatever the umask.
  if (written && ::fchmod(descriptor, mode) != 0) written = fail(system_error("cannot set the mode of", part, errno));
  if (written) written = publish(descriptor, part, path);
  close_descriptor(descriptor);
  if (!written) ::unlink(part.c_str());
  return written;
}

Status make_directory(const fs::path& path, unsigned mode) {
  struct stat about {};
  if (path.empty()) return {};
  if (::stat(path.c_str(), &about) == 0) {
    if (S_ISDIR(about.st_mode)) return {};
    return fail(system_error("cannot make directory", path, ENOTDIR));
  }
  if (errno != ENOENT) return fail(system_error("cannot make directory", path, errno));
  auto parent = path.has_filename() ? path.parent_path() : path.parent_path().parent_path();
  if (parent != path) SEALCAST_TRY(make_directory(parent, mode));
  if (::mkdir(path.c_str(), mode) != 0) {
    int reason = errno;
    // Somebody else may have made it meanwhile.
    if (reason != EEXIST || ::stat(path.c_str(), &about) != 0 || !S_ISDIR(about.st_mode))
      return fail(system_error("cannot make directory", path, reason));
  }
  return {};
}

Result<DirectoryLock> DirectoryLock::take(const fs::path& directory) {
  auto path = directory / "lock";
  int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail(system_error("cannot open", path, errno));
  DirectoryLock lock(descriptor);
  int taken;
  do taken = ::flock(descriptor, LOCK_EX | LOCK_NB);
  while (taken != 0 && errno == EINTR);
  if (taken != 0) {
    if (errno != EWOULDBLOCK) return fail(system_error("cannot lock", path, errno));
    std::array<char, 16> text{};
    auto got = std::max<ssize_t>(::pread(descriptor, text.data(), text.size(), 0), 0);
    auto end = std::find_if(text.begin(), text.begin() + got, [](char c) { return c < '0' || c > '9'; });
    std::string holder(text.begin(), end);
    return fail(shown(directory) + " is in use by " + (holder.empty() ? "another process" : "process " + holder) +
                ": stop it first");
  }
  auto text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(descriptor, 0) != 0) return fail(system_error("cannot write", path, errno));
  SEALCAST_TRY(write_all(descriptor, view_of(text), path));
  return lock;
}

// The file stays: to remove it would race with the next one that opens it.
DirectoryLock::~DirectoryLock() {
  close_descriptor(descriptor_);
}
DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Result<OutputFile> OutputFile::create(const fs::path& path, Replace replace) {
  if (!path.has_filename()) return unwritable(path, "it names no file");
  unsigned mode = 0;
  SEALCAST_TRY(check_replaceable(path, replace, &mode));
  OutputFile out;
  out.path_ = path;
  out.part_ = temporary_name(path);
  out.replace_ = replace;
  out.descriptor_ = ::open(out.part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (out.descriptor_ < 0) return fail(system_error("cannot create", std::exchange(out.part_, {}), errno));
  // Before there is anything to read in it.
  if (mode != 0 && ::fchmod(out.descriptor_, mode) != 0)
    return fail(system_error("cannot set the mode of", out.part_, errno));
  return out;
}

Status OutputFile::check(const fs::path& path, Replace replace) {
  SEALCAST_TRY_ASSIGN(auto probe, create(path, replace));
  auto renamed = temporary_name(path);
  if (::rename(probe.part_.c_str(), renamed.c_str()) != 0)
    return fail(system_error("cannot rename a file beside", path, errno));
  probe.part_ = renamed;
  if (::unlink(renamed.c_str()) != 0) return fail(system_error("cannot remove a file beside", path, errno));
  probe.part_.clear();
  return {};
}

namespace {

// The place of the next write moves behind it, and so does the end of the file.
bool skip_as_hole(int descriptor, std::size_t octets) {
  auto place = ::lseek(descriptor, 0, SEEK_CUR);
  if (place < 0) return false;
  place += static_cast<off_t>(octets);
  return ::ftruncate(descriptor, place) == 0 && ::lseek(descriptor, place, SEEK_SET) == place;
}

}  // namespace

Status OutputFile::write(ByteView data) {
  if (is_hole(data) && skip_as_hole(descriptor_, data.size())) return {};
  filled_ += data.size();
  return write_all(descriptor_, data, part_);
}

Status OutputFile::commit() {
  unsigned mode = 0777;
  SEALCAST_TRY(check_replaceable(path_, replace_, &mode));
  // The file there may have been made more private since.
  struct stat about {};
  if (::fstat(descriptor_, &about) == 0 && (about.st_mode & 0777 & ~mode) != 0 &&
      ::fchmod(descriptor_, about.st_mode & mode & 0777) != 0)
    return fail(system_error("cannot set the mode of", part_, errno));
  auto done = publish(descriptor_, part_, path_, replace_);
  if (done) part_.clear();
  return done;
}

Result<bool> OutputFile::same_as(const fs::path& path) const {
  return same_files(part_, path);
}

OutputFile::~OutputFile() {
  close_descriptor(descriptor_);
  if (!part_.empty()) ::unlink(part_.c_str());
}
OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      part_(std::exchange(other.part_, {})),
      replace_(other.replace_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      filled_(other.filled_) {}
OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(part_, other.part_);
  std::swap(replace_, other.replace_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(filled_, other.filled_);
  return *this;
}

Result<SourceFile> SourceFile::open(const fs::path& path) {
  SourceFile out;
  out.path_ = path;
  // Not to be held up by a FIFO without a writer.
  out.descriptor_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (out.descriptor_ < 0) return fail(system_error("cannot open", path, errno));
  struct stat about {};
  if (::fstat(out.descriptor_, &about) != 0) return fail(system_error("cannot look at", path, errno));
  if (!S_ISREG(about.st_mode))
    return fail(ErrorCode::usage, shown(path) + " is " + (S_ISDIR(about.st_mode) ? "a directory" : "no regular file"));
  out.size_ = static_cast<std::uint64_t>(about.st_size);
  out.state_ = FileState::of(about);
  ::posix_fadvise(out.descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
  return out;
}

SourceFile::~SourceFile() {
  close_descriptor(descriptor_);
}
SourceFile::SourceFile(SourceFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      read_(other.read_),
      state_(other.state_) {}
SourceFile& SourceFile::operator=(SourceFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(read_, other.read_);
  std::swap(state_, other.state_);
  return *this;
}

Result<std::size_t> SourceFile::read(MutableByteView out) {
  auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - read_));
  std::uint8_t beyond;
  // At the end: is it still the end?
  auto into = wanted == 0 && !out.empty() ? MutableByteView(&beyond, 1) : out.first(wanted);
  std::size_t done = 0;
  while (done < into.size()) {
    auto got = ::read(descriptor_, into.data() + done, into.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error("cannot read", path_, errno));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  if (done != wanted)
    return fail(shown(path_) + " changed while it was read: it is " + (done < wanted ? "shorter" : "longer") +
                " than it was");
  read_ += done;
  return done;
}

Status SourceFile::seek(std::uint64_t offset) {
  if (offset > size_ || ::lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) < 0)
    return fail(ErrorCode::failure, shown(path_) + " has no octet " + std::to_string(offset));
  read_ = offset;
  return {};
}

// What was read is the open file; what the caller names is the path: a rename in between is a change too.
Status SourceFile::check_unchanged() const {
  struct stat open_file {
  }, named{};
  if (::fstat(descriptor_, &open_file) != 0 || ::stat(path_.c_str(), &named) != 0)
    return fail(system_error("cannot look at", path_, errno));
  if (FileState::of(open_file) != state_ || FileState::of(named) != state_)
    return fail(shown(path_) + " changed while it was read: try again when nobody writes to it");
  return {};
}

Result<bool> same_files(const fs::path& one, const fs::path& other) {
  SEALCAST_TRY_ASSIGN(auto ours, SourceFile::open(one));
  SEALCAST_TRY_ASSIGN(auto theirs, SourceFile::open(other));
  if (ours.size() != theirs.size()) return false;
  Bytes a(1 << 16), b(1 << 16);
  for (;;) {
    SEALCAST_TRY_ASSIGN(auto got, ours.read(a));
    SEALCAST_TRY_ASSIGN(auto got_there, theirs.read(b));
    if (got == 0) return true;
    if (got != got_there || !equal(ByteView(a).first(got), ByteView(b).first(got))) return false;
  }
}

std::uint64_t occupied(const fs::path& path) {
  constexpr std::uint64_t k_block = 512;  // of st_blocks
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) ? about.st_blocks * k_block : 0;
}

Result<std::uint64_t> free_space(const fs::path& path) {
  struct statvfs about {};
  for (auto where = path.empty() ? fs::path(".") : path;;) {
    if (::statvfs(where.c_str(), &about) == 0) return std::uint64_t{about.f_bavail} * about.f_frsize;
    if (errno != ENOENT) return fail(system_error("cannot look at", where, errno));
    // Not made yet: it will lie where its parent lies.
    if (where == where.root_path() || where == ".") return fail(system_error("cannot look at", where, ENOENT));
    where = directory_of(where.has_filename() ? where : where.parent_path());
  }
}

}  // namespace sealcast::io
