#pragma once
// One object on disk: `<base>.data` (octets at their offsets, sparse; or they are elsewhere, and somebody else's),
// `<base>.tree` (Merkle nodes, mmap'd, sparse),
// `<base>.have` (bitmap), `<base>.sums` (a checksum for each run). Files that shrink or rot meanwhile are errors of
// this object and of nothing else. Of objects that are open some hundred have a descriptor, those that were used last.
// Runs of chunks that nobody else has to do with may be written, and verified, on any thread beside the one that has
// the object.
#include <filesystem>
#include <memory>
#include <optional>

#include "content/bitmap.hpp"
#include "content/merkle_tree.hpp"
#include "io/octet_file.hpp"
#include "swarm/storage.hpp"

namespace sealcast::io {

class ChunkFile final : public swarm::ChunkStorage {
 public:
  // elsewhere: there are none to read or write, and nothing is saved, before use(). They have no checksums: who may
  // edit them can be anybody.
  enum class Octets { beside, elsewhere };
  // Creates what is missing (mode 0600). A foreign or truncated state (sizes, header, checksum of .have) is an error
  // that names the file.
  static Result<std::unique_ptr<ChunkFile>> open(const std::filesystem::path& base, const content::Geometry& geometry,
                                                 const content::Digest& root, Octets where = Octets::beside);
  // What `<base>.have` says, if the sizes of the files fit; opens nothing else. Nothing: it is not there, and so
  // nothing is held.
  static Result<std::optional<content::Bitmap>> peek(const std::filesystem::path& base,
                                                     const content::Geometry& geometry, const content::Digest& root);
  ~ChunkFile() override;
  Status read(std::uint64_t offset, MutableByteView out) override;
  Status write(std::uint64_t offset, ByteView data) override;
  bool keeps_sums() const override;
  bool unchanged(std::uint64_t offset, ByteView run) override;
  void verified(std::uint64_t offset, ByteView data) override;
  void use(ObjectData& octets);  // outlives it
  // The same each time. Whoever goes through many of them without reading or writing octets calls it again with each
  // thousand: it lets go of memory.
  std::span<content::Digest> nodes();
  const content::Geometry& geometry() const;
  const content::Bitmap& held_at_open() const;
  // Data first (fdatasync), tree (msync), then the bitmap, atomically: a crash never leaves a chunk marked that is not
  // there.
  Status save(const content::Bitmap& held);
  bool nothing_saved() const;  // no chunk is in the bitmap on disk
  const std::filesystem::path& data_path() const;
  // What last went wrong while it was open; nothing since the last save. lost(): the tree's file was cut short or
  // cannot be read, nothing more can be proven or saved, and it has to be made anew.
  std::optional<Error> trouble() const;
  bool lost() const;
  static void remove(const std::filesystem::path& base);

  struct Impl;

 private:
  ChunkFile();
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::io
