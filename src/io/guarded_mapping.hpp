#pragma once
// A shared mapping of a file whose loss is an error and not the end of the process. A page that the kernel cannot give
// (the file was cut short, the disk is bad there) raises SIGBUS on whoever touches it; for mappings made here the page
// becomes zeros of our own instead, and broken() says so from then on. However large they are, the mappings of a
// process have a bounded part of memory between them (ADR 12).
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace sealcast::io {

class GuardedMapping {
 public:
  // Readable and writable. `path` is for the sentence of an error. The descriptor is not needed afterwards.
  static Result<GuardedMapping> make(int descriptor, std::size_t octets, const std::filesystem::path& path);
  GuardedMapping(GuardedMapping&& other) noexcept;
  GuardedMapping& operator=(GuardedMapping&& other) noexcept;
  GuardedMapping(const GuardedMapping&) = delete;
  GuardedMapping& operator=(const GuardedMapping&) = delete;
  ~GuardedMapping();
  void* data() const { return data_; }
  std::size_t size() const { return size_; }
  // To be called by and by while pages of it are used, say with each 64 KiB. When the process has about k_most_mapped
  // octets of files in memory, the kernel gets those of mappings back; it keeps what was written. From any thread.
  void used();
  static constexpr std::size_t k_most_mapped = std::size_t{32} << 20;
  // A page was lost: what stands there now is not what the file holds, and nothing of it may be kept.
  bool broken() const;

 private:
  GuardedMapping() = default;
  void* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t slot_ = 0;
  std::uint64_t turn_ = 0;  // in which it was used last
};

}  // namespace sealcast::io
