#include "io/octet_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.hpp"
#include "io/file.hpp"

namespace sealcast::io {

namespace fs = std::filesystem;

Result<std::size_t> read_at(int descriptor, const fs::path& path, std::uint64_t offset, MutableByteView out) {
  std::size_t done = 0;
  while (done < out.size()) {
    auto got = ::pread(descriptor, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error("cannot read", path, errno));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

namespace {

constexpr std::size_t k_least_hole = 4096;

// Not beyond the end of the file, which a hole does not move.
bool make_hole(int descriptor, std::uint64_t offset, std::uint64_t octets) {
  struct stat about {};
  return ::fstat(descriptor, &about) == 0 && offset + octets <= static_cast<std::uint64_t>(about.st_size) &&
         ::fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(octets)) == 0;
}

}  // namespace

bool is_hole(ByteView data) {
  return data.size() >= k_least_hole && is_zeros(data);
}

Status write_at(int descriptor, const fs::path& path, std::uint64_t offset, ByteView data) {
  if (is_hole(data) && make_hole(descriptor, offset, data.size())) return {};
  while (!data.empty()) {
    auto put = ::pwrite(descriptor, data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(system_error("cannot write", path, errno));
    data = data.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

Status sync_data(int descriptor, const fs::path& path) {
  if (::fdatasync(descriptor) != 0) return fail(system_error("cannot sync", path, errno));
  return {};
}

Result<OctetFile> OctetFile::open(const fs::path& path) {
  OctetFile out(path);
  out.descriptor_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out.descriptor_) return fail(system_error("cannot open", path, errno));
  return out;
}

Status OctetFile::read(std::uint64_t offset, MutableByteView out) {
  SEALCAST_TRY_ASSIGN(auto got, read_at(descriptor_.get(), path_, offset, out));
  if (got < out.size()) return fail(printable(path_.string(), 4096) + " is shorter than it was");
  return {};
}

Status OctetFile::write(std::uint64_t offset, ByteView data) {
  return write_at(descriptor_.get(), path_, offset, data);
}

}  // namespace sealcast::io
