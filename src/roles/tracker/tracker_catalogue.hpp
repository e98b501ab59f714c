#pragma once
// What the tracker knows about contents: which descriptions it takes, and who may see what. Nothing of it is kept in
// memory. Errors of code `unavailable` or `disk_full` are no verdict: the same again later.
#include "content/description.hpp"
#include "store/catalogue.hpp"
#include "tracking/messages.hpp"

namespace sealcast::roles {

class TrackerCatalogue {
 public:
  TrackerCatalogue(store::Catalogue store, std::vector<crypto::PublicKey> providers, std::string domain);
  // Rows of an earlier version become rows of this one.
  Status take_over();

  // What a cache announces. The provider's signature decides, not the cache. True: something has changed.
  Result<bool> take(const tracking::AnnouncedSwarm& swarm, UnixSeconds now);
  // not_found: unknown, or of a provider that is not trusted (any more).
  Result<bool> may_see(const crypto::Digest& root, const std::string& subscriber);
  Result<std::string> description(const crypto::Digest& root);
  Result<tracking::ContentList> page(std::string_view after, const std::string& subscriber);
  Result<std::int64_t> size() { return store_.size(); }
  store::AuditLog audit_log() { return store_.audit_log(); }
  void set_patience(Duration patience) { store_.set_patience(patience); }

 private:
  bool trusted(const std::string& provider) const;
  Status check(const content::Description& incoming, const std::optional<store::CatalogueRow>& known);

  store::Catalogue store_;
  std::vector<crypto::PublicKey> providers_;
  std::vector<std::string> thumbprints_;
  std::string domain_;
};

// Is this a failure of the store, and no verdict?
inline bool is_passing(const Error& error) {
  return error.code == ErrorCode::unavailable || error.code == ErrorCode::disk_full;
}

}  // namespace sealcast::roles
