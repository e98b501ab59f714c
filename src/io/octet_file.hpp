#pragma once
// Reading and writing at a place of an open file.
#include <filesystem>

#include "content/octet_store.hpp"
#include "os/descriptor.hpp"

namespace sealcast::io {

// Octets that were read; fewer than asked for only where the file ends. `path` is for the sentence of an error.
Result<std::size_t> read_at(int descriptor, const std::filesystem::path& path, std::uint64_t offset,
                            MutableByteView out);
// Is it a stretch of zeros that is worth a hole of a file?
bool is_hole(ByteView data);
// Such a stretch becomes a hole, where that is possible.
Status write_at(int descriptor, const std::filesystem::path& path, std::uint64_t offset, ByteView data);
Status sync_data(int descriptor, const std::filesystem::path& path);

// Where an object's octets lie, seen from the one who keeps its tree and bitmap.
class ObjectData : public content::OctetStore {
 public:
  virtual Status sync() = 0;
  virtual const std::filesystem::path& path() const = 0;
};

// A file of this process, made when missing (mode 0600).
class OctetFile final : public ObjectData {
 public:
  static Result<OctetFile> open(const std::filesystem::path& path);
  Status read(std::uint64_t offset, MutableByteView out) override;
  Status write(std::uint64_t offset, ByteView data) override;
  Status sync() override { return sync_data(descriptor_.get(), path_); }
  const std::filesystem::path& path() const override { return path_; }

 private:
  explicit OctetFile(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
  os::Descriptor descriptor_;
};

}  // namespace sealcast::io
