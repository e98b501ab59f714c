#include "io/run_sums.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // the widest vectors that the processor has
#else
#include <xxhash.h>
#endif

#include "base/log.hpp"
#include "io/file.hpp"
#include "os/descriptor.hpp"

namespace sealcast::io {
namespace {

constexpr std::uint64_t k_none = 0;

std::uint64_t sum_of(ByteView octets) {
  const std::uint64_t sum = XXH3_64bits(octets.data(), octets.size());
  return sum == k_none ? 1 : sum;
}

Result<GuardedMapping> map(const std::filesystem::path& path, std::uint64_t octets) {
  os::Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail(system_error("cannot open", path, errno));
  struct stat about {};
  if (::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) return fail(path.string() + " is no regular file");
  // Of another size: of another object. Blocks for all of it: a store into a hole of a full disk would be a fault.
  if (static_cast<std::uint64_t>(about.st_size) != octets && ::ftruncate(file.get(), 0) != 0)
    return fail(system_error("cannot empty", path, errno));
  int reason;
  do reason = ::posix_fallocate(file.get(), 0, static_cast<off_t>(octets));
  while (reason == EINTR);
  if (reason != 0) return fail(system_error("cannot reserve room for", path, reason));
  return GuardedMapping::make(file.get(), octets, path);
}

}  // namespace

RunSums::RunSums(const std::filesystem::path& path, std::uint64_t runs) : runs_(runs) {
  auto mapping = map(path, runs * sizeof(std::uint64_t));
  if (mapping)
    file_.emplace(std::move(*mapping));
  else
    log(LogLevel::info, "content", "checksums of runs are in memory: " + mapping.error().message);
}

std::uint64_t& RunSums::at(std::uint64_t run) {
  if (file_ && !file_->broken()) {
    file_->used();
    return static_cast<std::uint64_t*>(file_->data())[run];
  }
  std::call_once(memory_made_, [this] { memory_.resize(runs_, k_none); });
  return memory_[run];
}

void RunSums::set(std::uint64_t run, ByteView octets) {
  at(run) = sum_of(octets);
}

void RunSums::forget(std::uint64_t run) {
  at(run) = k_none;
}

bool RunSums::matches(std::uint64_t run, ByteView octets) {
  const std::uint64_t sum = at(run);
  return sum != k_none && sum == sum_of(octets);
}

}  // namespace sealcast::io
