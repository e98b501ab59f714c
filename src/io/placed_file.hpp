#pragma once
// A file that grows hidden where it is to be, octets at their places, and gets its name when it is whole. While it is
// hidden it is ours (mode 0600). From the moment it has its name it is the user's: it is read and never written, and
// reading ends when somebody has changed it.
#include <filesystem>
#include <functional>

#include "io/file.hpp"
#include "io/octet_file.hpp"

namespace sealcast::io {

struct FileId {
  std::uint64_t device = 0, inode = 0;
  bool operator==(const FileId&) const = default;
};

enum class Owner { ours, user };

class PlacedFile final : public ObjectData {
 public:
  // "<directory>/.<name>.sealcast-<tag>": beside `file`, hidden.
  static std::filesystem::path hidden_name(const std::filesystem::path& file, const std::string& tag);
  // Made anew, sparse, of `size`; what has the name `hidden` is removed.
  static Result<PlacedFile> make(const std::filesystem::path& hidden, std::uint64_t size);
  static Result<FileId> id_of(const std::filesystem::path& path);  // of a regular file, not of what a link names
  // That very file of that size.
  static Result<PlacedFile> open(const std::filesystem::path& path, const FileId& id, std::uint64_t size, Owner owner);
  Status read(std::uint64_t offset, MutableByteView out) override;
  Status write(std::uint64_t offset, ByteView data) override;
  Status sync() override { return sync_data(descriptor_.get(), path_); }
  const std::filesystem::path& path() const override { return path_; }

  FileId id() const;
  Owner owner() const { return owner_; }
  // Another hidden name. Where a rename does not reach it is copied. `record` is told which file will have it before it
  // loses the old one: at every moment it has one of the two. When it fails nothing moves.
  using Record = std::function<Status(const FileId&)>;
  Status move(const std::filesystem::path& hidden, const Record& record);
  // Its name, and the mode of the file that it replaces or the usual one. A symbolic link is refused, not followed.
  Status commit(const std::filesystem::path& file, Replace replace);
  Status remove();  // while it is ours

 private:
  PlacedFile(std::filesystem::path path, std::uint64_t size, Owner owner)
      : path_(std::move(path)), size_(size), owner_(owner) {}
  Status look();
  Status copy_to(const std::filesystem::path& hidden, const Record& record);
  Status copy_octets(PlacedFile& to);
  Status unchanged() const;

  std::filesystem::path path_;
  std::uint64_t size_;
  Owner owner_;
  os::Descriptor descriptor_;
  FileState state_;  // when it was opened, made, or named
};

}  // namespace sealcast::io
