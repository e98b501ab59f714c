#pragma once
// Where objects lie between sealing and upload (ADR 5): <spool>/<place>/{object,record.json}. A place without a record
// is an attempt that was interrupted: its key was never kept, and it is thrown away.
#include <filesystem>
#include <functional>
#include <optional>

#include "content/description.hpp"
#include "content/merkle_tree.hpp"
#include "io/file.hpp"

namespace sealcast::roles {

// What was sealed, from which state of which file.
struct SpoolRecord {
  std::filesystem::path place;
  std::string source;  // device, inode, size and times: identity_of()
  std::string protection;
  std::uint32_t chunk_size = 0;
  std::string description;  // JWS
  std::optional<content::ContentKey> key;

  static Result<std::string> identity_of(const std::filesystem::path& source);
  Status save() const;  // mode 0600: it holds the key
  static Result<SpoolRecord> load(const std::filesystem::path& place);
};

class ObjectSpool {
 public:
  explicit ObjectSpool(std::filesystem::path directory) : directory_(std::move(directory)) {}
  // Throws interrupted attempts away; those that another process works on now are left alone.
  Status clean();
  // A finished sealing of this very file and wish.
  std::optional<SpoolRecord> find(const std::string& source, std::string_view protection,
                                  std::uint32_t chunk_size) const;
  // Throws finished sealings of earlier states of this very file away: what they were sealed from is gone.
  void forget_other_states(const std::string& source) const;
  struct Place {
    std::filesystem::path path;
    io::DirectoryLock lock;  // while it is worked on
  };
  Result<Place> make_place(const std::string& name);

 private:
  std::filesystem::path directory_;
};

// Writes an object from one read of its source, in constant memory: sealed record by record, or as it is. Gives the
// root.
class ObjectWriter {
 public:
  ObjectWriter(std::filesystem::path path, const content::Description& description,
               std::function<void(std::uint64_t done)> on_progress);
  // key: of sealed content.
  Result<content::Digest> write(io::SourceFile& source, const content::ContentKey* key);
  std::uint64_t filled() const { return out_->filled(); }  // octets of the object that take room; after write()

 private:
  Status put(ByteView octets);
  Status flush(bool last);

  std::filesystem::path path_;
  const content::Description& description_;
  std::function<void(std::uint64_t)> on_progress_;
  std::optional<io::OutputFile> out_;
  content::MerkleRoot root_;
  Bytes pending_;
};

}  // namespace sealcast::roles
