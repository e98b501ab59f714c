#pragma once
// Locks between processes (flock): the kernel ends them with the process, however it ends. And files that are made
// once, whoever else makes them at the same time.
#include <filesystem>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/descriptor.hpp"

namespace sealcast::io {

enum class LockKind { exclusive, shared };
enum class LockFile { stays, goes };  // when the lock is given back

class FileLock {
 public:
  // At once or not at all: nullopt when another process has it. `file` is made when missing and tells the holder's
  // process id.
  static Result<std::optional<FileLock>> try_take(const std::filesystem::path& file, LockKind kind,
                                                  LockFile afterwards = LockFile::stays);
  // Waits its turn. For what takes a moment; the lock is the directory itself, and no file is made.
  static Result<FileLock> wait_for(const std::filesystem::path& directory);
  // "process 123", or "another process" when the file does not say.
  static std::string holder(const std::filesystem::path& file);

  FileLock(FileLock&& other) noexcept = default;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();
  // From exclusive to shared: others may share from now on. False: somebody else was quicker, and this lock is lost.
  bool share();

 private:
  FileLock(os::Descriptor descriptor, std::filesystem::path removed)
      : descriptor_(std::move(descriptor)), removed_(std::move(removed)) {}
  void give_back();
  os::Descriptor descriptor_;
  std::filesystem::path removed_;  // with the lock; empty: none
};

// The file appears whole, or not at all, and nothing is replaced. False: there was one already.
Result<bool> write_file_once(const std::filesystem::path& path, ByteView data, unsigned mode);

}  // namespace sealcast::io
