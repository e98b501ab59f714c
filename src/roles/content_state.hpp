#pragma once
// What a UE keeps of one content between runs: <state>/contents/<root>/ with the description, the verified chunks and
// the KEYINFO it learnt. Never the content key. One process at a time.
#include <memory>
#include <optional>

#include "content/description.hpp"
#include "io/chunk_file.hpp"
#include "io/file.hpp"

namespace sealcast::roles {

class ContentState {
 public:
  // Makes the directory when missing. `state`: the subscriber's directory. A second process on the same content gets an
  // error.
  static Result<std::unique_ptr<ContentState>> open(const std::filesystem::path& state, const crypto::Digest& root);
  // Roots that `state` has something of.
  static std::vector<crypto::Digest> list(const std::filesystem::path& state);

  const crypto::Digest& root() const { return root_; }
  // Description and KEYINFO of an earlier run, unverified; empty: none.
  std::string description() const { return read("description.jws"); }
  std::string keyinfo() const { return read("keyinfo"); }
  // Signature, provider, validity, root; and against what an earlier run saw: no older version, no other geometry, no
  // weaker protection. An accepted one is kept.
  Result<content::Description> accept_description(const std::string& jws,
                                                  const std::vector<crypto::PublicKey>& providers, UnixSeconds now);
  Status keep_keyinfo(const std::string& text) { return keep("keyinfo", text); }

  Status open_object(const content::Geometry& geometry);  // before object()
  io::ChunkFile& object() { return *object_; }
  void discard_object();  // chunks of an earlier run are thrown away

 private:
  ContentState(std::filesystem::path directory, const crypto::Digest& root, io::DirectoryLock lock)
      : directory_(std::move(directory)), root_(root), lock_(std::move(lock)) {}
  std::string read(const char* name) const;
  Status keep(const char* name, const std::string& text);

  std::filesystem::path directory_;
  crypto::Digest root_;
  io::DirectoryLock lock_;
  std::unique_ptr<io::ChunkFile> object_;
};

}  // namespace sealcast::roles
