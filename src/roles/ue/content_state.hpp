#pragma once
// What a UE keeps of one content between runs: <state>/contents/<root>/ with the description, the KEYINFO it learnt,
// the hashes and the bitmap. The octets are either opened in the file that `get` writes, or kept here as they came.
// Never the content key.
//
// Processes of one subscriber meet here. Description and KEYINFO are everybody's, and change under a lock. The object
// in the directory itself is written by one process at a time; once whole it is read by many. A process that finds it
// being written, or whole in another file than its own, keeps its own in a place beside it, beside-<name>/, and begins
// with what is there already; what lies beside is taken over by whoever opens the content next.
#include <memory>
#include <optional>

#include "content/bitmap.hpp"
#include "content/description.hpp"
#include "io/chunk_file.hpp"
#include "io/file_lock.hpp"
#include "roles/ue/opened_object.hpp"

namespace sealcast::roles {

enum class Form : std::uint8_t {
  opened,  // in the output
  kept,    // as it came, in a file of its own
  found,   // whatever is there; kept when nothing is
};

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

  // Before object(). `beside`: name of the place to use while the content's own is not free; empty: then false. What
  // is kept already stays so.
  Result<bool> open_object(const content::Geometry& geometry, const std::string& beside, Form form = Form::kept);
  Form form() const { return form_; }
  // With Form::opened, before an octet is read or written: the output and where it grows; or what an earlier run made.
  // held() is empty until then.
  Status open_output(const std::filesystem::path& file, const std::string& tag, const Opening& opening);
  Status open_output(const Opening& opening);
  io::ChunkFile& object() { return *object_; }
  OpenedObject* opened() { return opened_.get(); }
  // Is all of it there, as far as bitmap and sizes say? Opens nothing; held() says so too then.
  bool looks_whole(const content::Geometry& geometry);
  // A whole one that nobody uses now: no descriptor, no lock; open_object() opens it again.
  void close_object();
  // Of an earlier run, or taken over from another place. Verified once, not yet in this run.
  const content::Bitmap& held() const { return held_; }
  // Why what an earlier run left in the content's own place could not be taken over.
  const std::optional<Error>& not_taken() const { return not_taken_; }
  // Chunks of an earlier run are thrown away, when opening failed. False: another process has them open.
  bool discard_object();
  // The object is whole and saved: others may read it.
  void share();
  // At the end, and no object() after it: what was gathered beside, if it is whole, becomes the content's own. A hidden
  // file without a chunk goes.
  void settle(bool whole);

 private:
  ContentState(std::filesystem::path directory, const crypto::Digest& root)
      : directory_(std::move(directory)), root_(root) {}
  std::string read(const char* name) const;
  Status keep(const char* name, const std::string& text);
  struct Source {  // another place whose chunks are taken over
    std::filesystem::path place;
    std::optional<io::FileLock> lock;
    bool goes = false;  // with its chunks: nobody uses it
  };
  Result<std::filesystem::path> take_place(const std::string& beside, Form form);
  Result<std::filesystem::path> take_own(Form form, const std::string& beside);
  Result<std::filesystem::path> take_beside(const std::string& beside);
  void gather_left(Form form, const std::filesystem::path& but);
  void clear_beside();
  Status open_in(const std::filesystem::path& place, const content::Geometry& geometry);
  void take_over(const Opening* opening);
  void remove_place(const std::filesystem::path& place);
  Status absorb(const std::filesystem::path& place, const Opening* opening);
  Form form_at(const std::filesystem::path& place, Form wanted) const;
  bool move_here(const std::filesystem::path& place);
  std::vector<std::filesystem::path> places() const;

  std::filesystem::path directory_;
  crypto::Digest root_;
  std::optional<io::FileLock> lock_;  // of the place
  std::filesystem::path place_;       // where object_ is
  bool shared_ = false;
  Form form_ = Form::kept;
  std::vector<Source> sources_;
  std::optional<Error> not_taken_;
  std::unique_ptr<OpenedObject> opened_;  // outlives object_
  std::unique_ptr<io::ChunkFile> object_;
  content::Bitmap held_;
};

}  // namespace sealcast::roles
