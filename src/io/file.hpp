#pragma once
// Files and directories: atomic replacement, locks, no following of links for output.
#include <filesystem>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/file_state.hpp"

struct stat;

namespace sealcast::io {

Result<Bytes> read_file(const std::filesystem::path& path, std::size_t limit);
// Temporary file in the same directory, fsync, rename; mode as given.
Status write_file_atomically(const std::filesystem::path& path, ByteView data, unsigned mode);
Status make_directory(const std::filesystem::path& path, unsigned mode);  // and parents; existing is fine
// ENOSPC and EDQUOT become ErrorCode::disk_full; the sentence is "<what> <path>: <reason>".
Error system_error(std::string_view what, const std::filesystem::path& path, int error_number);

// flock on <directory>/lock: a second process gets an error that names the first one's pid.
class DirectoryLock {
 public:
  static Result<DirectoryLock> take(const std::filesystem::path& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) noexcept;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

enum class Replace { allowed, never };

// Output that appears under its name only when it is whole: "<name>.part-<random>" beside it, O_EXCL | O_NOFOLLOW,
// renamed by commit(). A symbolic link at the name is refused, not followed. What takes the place of a file has that
// file's mode, or less.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::filesystem::path& path, Replace replace = Replace::allowed);
  // Would all that work? What a rename would meet is looked for, and a file is made, renamed and removed again.
  static Status check(const std::filesystem::path& path, Replace replace = Replace::allowed);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) noexcept;
  ~OutputFile();  // removes the part unless committed
  // The next octets; a long stretch of zeros becomes a hole.
  Status write(ByteView data);
  std::uint64_t filled() const { return filled_; }  // octets so far that are in no such hole
  Status commit();
  // What was written so far against a file that is there already.
  Result<bool> same_as(const std::filesystem::path& path) const;

 private:
  OutputFile() = default;
  std::filesystem::path path_, part_;
  Replace replace_ = Replace::allowed;
  int descriptor_ = -1;
  std::uint64_t filled_ = 0;
};

// Sequential reader of a source that must not change meanwhile: size, times and inode are compared at the end.
class SourceFile {
 public:
  static Result<SourceFile> open(const std::filesystem::path& path);  // regular files only
  SourceFile(SourceFile&& other) noexcept;
  SourceFile& operator=(SourceFile&&) noexcept;
  ~SourceFile();
  std::uint64_t size() const { return size_; }
  // Fills `out` or, at the end, less; 0 = end. Error when the file ends before or goes on after size().
  Result<std::size_t> read(MutableByteView out);
  Status seek(std::uint64_t offset);  // the next octet that read() gives; at most size()
  Status check_unchanged() const;

 private:
  SourceFile() = default;
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0, read_ = 0;
  FileState state_;
};

// Octet for octet, regular files.
Result<bool> same_files(const std::filesystem::path& one, const std::filesystem::path& other);

// Octets that a file takes on its disk; 0 when it is not there.
std::uint64_t occupied(const std::filesystem::path& path);

// Free octets where `path` lies.
Result<std::uint64_t> free_space(const std::filesystem::path& path);

}  // namespace sealcast::io
