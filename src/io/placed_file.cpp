#include "io/placed_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "io/file_names.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t k_piece = 1 << 20;  // octets copied at a time

// What a file made without a wish would have.
mode_t usual_mode() {
  auto mask = ::umask(077);
  ::umask(mask);
  return 0666 & ~mask;
}

}  // namespace

fs::path PlacedFile::hidden_name(const fs::path& file, const std::string& tag) {
  return file.parent_path() / ("." + file.filename().string().substr(0, k_longest_stem) + ".sealcast-" + tag);
}

Result<PlacedFile> PlacedFile::make(const fs::path& hidden, std::uint64_t size) {
  PlacedFile out(hidden, size, Owner::ours);
  ::unlink(hidden.c_str());
  out.descriptor_.reset(::open(hidden.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out.descriptor_) return fail(system_error("cannot create", hidden, errno));
  auto made = ::ftruncate(out.descriptor_.get(), static_cast<off_t>(size)) == 0
                  ? out.look()
                  : fail(system_error("cannot make", hidden, errno));
  if (made) return out;
  ::unlink(hidden.c_str());
  return fail(made.error());
}

Result<FileId> PlacedFile::id_of(const fs::path& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return fail(system_error("cannot look at", path, errno));
  if (!S_ISREG(about.st_mode)) return fail(shown(path) + " is no regular file");
  return FileId{about.st_dev, about.st_ino};
}

Result<PlacedFile> PlacedFile::open(const fs::path& path, const FileId& id, std::uint64_t size, Owner owner) {
  PlacedFile out(path, size, owner);
  const int access = owner == Owner::ours ? O_RDWR : O_RDONLY;
  // Not to be held up by a FIFO without a writer.
  out.descriptor_.reset(::open(path.c_str(), access | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!out.descriptor_) return fail(system_error("cannot open", path, errno));
  SEALCAST_TRY(out.look());
  if (out.id() != id) return fail(shown(path) + " is another file than the one that was fetched");
  if (out.state_.size != size)
    return fail(shown(path) + " has " + std::to_string(out.state_.size) + " octets instead of " + std::to_string(size));
  return out;
}

Status PlacedFile::look() {
  struct stat about {};
  if (::fstat(descriptor_.get(), &about) != 0) return fail(system_error("cannot look at", path_, errno));
  if (!S_ISREG(about.st_mode)) return fail(shown(path_) + " is no regular file");
  state_ = FileState::of(about);
  return {};
}

FileId PlacedFile::id() const {
  return {state_.device, state_.inode};
}

// After the octets were read: what was changed before is seen, what is changed later they do not have.
Status PlacedFile::unchanged() const {
  struct stat now {};
  if (::fstat(descriptor_.get(), &now) != 0) return fail(system_error("cannot look at", path_, errno));
  if (FileState::of(now) == state_) return {};
  return fail(shown(path_) + " was changed, moved or removed since it was fetched");
}

Status PlacedFile::read(std::uint64_t offset, MutableByteView out) {
  SEALCAST_TRY_ASSIGN(auto got, read_at(descriptor_.get(), path_, offset, out));
  if (got < out.size()) return fail(shown(path_) + " became shorter");
  return owner_ == Owner::user ? unchanged() : Status{};
}

Status PlacedFile::write(std::uint64_t offset, ByteView data) {
  SEALCAST_ASSERT(offset <= size_ && data.size() <= size_ - offset);
  if (owner_ == Owner::user) return fail(shown(path_) + " is not what was fetched, and it is not ours to mend");
  return write_at(descriptor_.get(), path_, offset, data);
}

Status PlacedFile::move(const fs::path& hidden, const Record& record) {
  SEALCAST_ASSERT(owner_ == Owner::ours);
  SEALCAST_TRY(record(id()));
  if (::rename(path_.c_str(), hidden.c_str()) != 0)
    return errno == EXDEV ? copy_to(hidden, record)
                          : fail(system_error("cannot rename " + shown(path_) + " to", hidden, errno));
  path_ = hidden;
  return look();
}

// On disk, then recorded, then the old one goes.
Status PlacedFile::copy_to(const fs::path& hidden, const Record& record) {
  SEALCAST_TRY_ASSIGN(auto copy, make(hidden, size_));
  auto copied = copy_octets(copy);
  if (copied) copied = copy.sync();
  if (copied) copied = record(copy.id());
  if (!copied) {
    (void)copy.remove();
    return copied;
  }
  if (auto removed = remove(); !removed) log(LogLevel::warning, "output", removed.error().message);
  *this = std::move(copy);
  return {};
}

Status PlacedFile::copy_octets(PlacedFile& to) {
  Bytes piece(k_piece);
  for (std::uint64_t at = 0; at < size_; at += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(k_piece, size_ - at)));
    SEALCAST_TRY(read(at, piece));
    SEALCAST_TRY(to.write(at, piece));
  }
  return {};
}

Status PlacedFile::commit(const fs::path& file, Replace replace) {
  SEALCAST_ASSERT(owner_ == Owner::ours);
  unsigned mode = usual_mode();
  SEALCAST_TRY(check_replaceable(file, replace, &mode));
  if (::fchmod(descriptor_.get(), mode) != 0) return fail(system_error("cannot set the mode of", path_, errno));
  if (::fsync(descriptor_.get()) != 0) return fail(system_error("cannot sync", path_, errno));
  if (auto renamed = rename_output(path_, file, replace); !renamed) {
    if (id_of(path_) == id()) (void)::fchmod(descriptor_.get(), 0600);  // still hidden
    return renamed;
  }
  path_ = file;
  owner_ = Owner::user;
  return look();
}

Status PlacedFile::remove() {
  SEALCAST_ASSERT(owner_ == Owner::ours);
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) return fail(system_error("cannot remove", path_, errno));
  return {};
}

}  // namespace sealcast::io
