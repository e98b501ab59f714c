#pragma once
// Takes an object in order, hashes it as it comes, and lets it be offered only when its root is right. What has come
// survives a restart. One pass: every octet and every node is hashed and written once, as long as it stays open.
#include <memory>

#include "content/description.hpp"
#include "io/chunk_file.hpp"

namespace sealcast::roles {

class ObjectImport {
 public:
  // Goes on where an earlier import of the same content stopped. `base`: as for io::ChunkFile.
  static Result<std::unique_ptr<ObjectImport>> open(const std::filesystem::path& base,
                                                    const content::Description& description);
  ~ObjectImport();  // keeps what has come

  std::uint64_t have() const { return have_; }  // octets; the next one to come
  bool complete() const { return have_ == geometry_.length(); }
  // A part has ended: writes whole chunks, and forgets what is less than one. The octets that need not be sent again as
  // long as this is open; a crash goes back to the last save, as HEAD says then.
  Result<std::uint64_t> end_part();
  Status write(ByteView piece);
  // Only when complete: checks the root, saves and closes. Integrity error when the root is wrong: the object's files
  // are removed then.
  Status finish();

 private:
  ObjectImport(std::filesystem::path base, const content::Description& description,
               std::unique_ptr<io::ChunkFile> file);
  void take_leaves_again();
  Status flush(ByteView run);
  Status checkpoint();

  std::filesystem::path base_;
  content::Geometry geometry_;
  content::Digest root_;
  std::unique_ptr<io::ChunkFile> file_;
  content::MerkleTreeBuilder builder_;
  std::uint64_t save_after_;                          // octets between two saves
  Bytes pending_;                                     // less than a run of chunks
  std::uint64_t have_ = 0, flushed_ = 0, saved_ = 0;  // octets
};

}  // namespace sealcast::roles
