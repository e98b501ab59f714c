#pragma once
// What a cache holds: descriptions, access lists, objects (chunk files) and content keys (wrapped under the master
// key). No signalling here.
#include <map>
#include <memory>
#include <optional>

#include "os/random.hpp"
#include "roles/cache/object_import.hpp"
#include "roles/common/config.hpp"
#include "roles/common/trust.hpp"
#include "store/contents.hpp"
#include "tracking/messages.hpp"

namespace sealcast::roles {

enum class ObjectState { described, importing, offered, damaged };
std::string_view name(ObjectState state);

// What the database holds of one content.
struct KeptContent {
  content::Description description;
  std::string jws;
  tracking::AccessList access;
  ObjectState state = ObjectState::described;
  bool key_held = false;
  UnixSeconds not_before = 0;
};

struct CachedContent : KeptContent {
  std::unique_ptr<io::ChunkFile> file;  // while it is open: offered, damaged
  bool unusable = false;                // could not be opened, or was lost: until it is sent anew
  bool has_object() const { return !unusable && (state == ObjectState::offered || state == ObjectState::damaged); }
  std::string trouble;  // why damaged
};

class CacheLibrary {
 public:
  CacheLibrary(std::filesystem::path state, std::filesystem::path master_key, RandomSource& random);
  // Opens the database. Objects are opened when they are used.
  Status open(const std::vector<crypto::PublicKey>& providers, UnixSeconds now);

  // Error usage: it does not verify. Error failure: it conflicts with a known one.
  Result<crypto::Digest> put_description(std::string_view jws, UnixSeconds now);
  Status put_access(const crypto::Digest& root, const tracking::AccessList& access);
  // Checked against the description's commitment.
  Status put_key(const crypto::Digest& root, const content::ContentKey& key, UnixSeconds not_before);
  Status revoke_key(const crypto::Digest& root);
  // Nothing: none is held. An error: the store is not there for the moment, or its row is damaged.
  Result<std::optional<content::ContentKey>> key(const crypto::Digest& root);

  // Of what has an object; one that cannot be opened is damaged from now on. Closing saves nothing.
  Status open_object(const crypto::Digest& root);
  void close_object(const crypto::Digest& root);
  // One that was put aside goes on; beginning another time means reading the tree again.
  Result<std::unique_ptr<ObjectImport>> begin_import(const crypto::Digest& root);
  Result<std::uint64_t> import_progress(const crypto::Digest& root);  // octets that need not be sent again
  void put_aside(const crypto::Digest& root, std::unique_ptr<ObjectImport> import, Instant now);
  void close_old_imports(Instant now);
  Status finish_import(const crypto::Digest& root, std::unique_ptr<ObjectImport> import);
  Status mark(const crypto::Digest& root, ObjectState state);

  CachedContent* find(const crypto::Digest& root);
  const std::map<crypto::Digest, CachedContent>& contents() const { return contents_; }
  store::AuditLog audit_log() { return store_->audit_log(); }
  // All of `work` or nothing, here as in the database: also when it is the commit that fails.
  template <class Work>
  Status transaction(Work work) {
    undo_.clear();
    in_transaction_ = true;
    auto done = store_->transaction(std::move(work));
    in_transaction_ = false;
    if (!done) undo();
    return done;
  }

 private:
  Status load_master_key(bool keys_wait_for_it);
  Status check_master_key();
  void load(store::ContentRow row, UnixSeconds now);
  void look_at_object(CachedContent& content);
  void will_change(const crypto::Digest& root);
  void undo();
  Status check_space(const crypto::Digest& root, const CachedContent& content);
  std::filesystem::path base(const crypto::Digest& root) const;
  Status check_conflicts(const content::Description& incoming);

  std::filesystem::path state_, master_key_file_;
  RandomSource& random_;
  std::vector<crypto::PublicKey> providers_;
  SecretBytes master_key_;
  std::optional<store::Contents> store_;
  std::map<crypto::Digest, CachedContent> contents_;
  bool in_transaction_ = false;
  std::map<crypto::Digest, std::optional<KeptContent>> undo_;  // as it was before; nothing: it was not there
  struct Aside {
    std::unique_ptr<ObjectImport> import;
    Instant since{};
  };
  std::map<crypto::Digest, Aside> aside_;             // between two parts of an upload
  std::multimap<std::string, crypto::Digest> by_id_;  // content id: where a newer version may conflict
};

}  // namespace sealcast::roles
