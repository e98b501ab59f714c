#pragma once
// What a UE keeps of one content between runs: <state>/contents/<root>/ with the description, the KEYINFO it learnt and
// the verified chunks. Never the content key.
//
// Processes of one subscriber meet here. Description and KEYINFO are everybody's, and change under a lock. The chunks
// in the directory itself are written by one process at a time; once whole they are read by many. A process that finds
// them being written keeps its own in a place beside them, beside-<name>/, and begins with what is there already; what
// lies beside is taken over by whoever opens the content next.
#include <memory>
#include <optional>

#include "content/bitmap.hpp"
#include "content/description.hpp"
#include "io/chunk_file.hpp"
#include "io/file_lock.hpp"

namespace sealcast::roles {

class ContentState {
 public:
  // Makes the directory when missing. `state`: the subscriber's directory.
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

  // Before object(). `beside`: name of the place to use while another process writes the content's own; empty: then
  // false.
  Result<bool> open_object(const content::Geometry& geometry, const std::string& beside);
  io::ChunkFile& object() { return *object_; }
  // Is all of it there, as far as bitmap and sizes say? Opens nothing; held() says so too then.
  bool looks_whole(const content::Geometry& geometry);
  // A whole one that nobody uses now: no descriptor, no lock; open_object() opens it again.
  void close_object();
  // At open_object(): of an earlier run, or taken over from another place. Verified once, not yet in this run.
  const content::Bitmap& held() const { return held_; }
  // Chunks of an earlier run are thrown away, when open_object() failed. False: another process has them open.
  bool discard_object();
  // The object is whole and saved: others may read it.
  void share();
  // At the end, and no object() after it: what was gathered beside, if it is whole, becomes the content's own.
  void settle(bool whole);

 private:
  ContentState(std::filesystem::path directory, const crypto::Digest& root)
      : directory_(std::move(directory)), root_(root) {}
  std::string read(const char* name) const;
  Status keep(const char* name, const std::string& text);
  Status open_in(const std::filesystem::path& place, const content::Geometry& geometry);
  struct Left {  // a place beside that nobody uses
    std::filesystem::path place;
    io::FileLock lock;
  };
  Result<std::filesystem::path> take_place(const std::string& beside, std::vector<Left>& left);
  Status open_own(const content::Geometry& geometry, std::vector<Left>& left);
  void remove_place(const std::filesystem::path& place);
  Status absorb(const std::filesystem::path& place, const content::Geometry& geometry);
  bool move_here(const std::filesystem::path& place);
  std::vector<std::filesystem::path> places() const;

  std::filesystem::path directory_;
  crypto::Digest root_;
  std::optional<io::FileLock> lock_;  // of the place
  std::filesystem::path place_;       // where object_ is
  bool shared_ = false;
  std::unique_ptr<io::ChunkFile> object_;
  content::Bitmap held_;
};

}  // namespace sealcast::roles
