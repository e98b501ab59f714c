#pragma once
// The tracker's catalogue: descriptions and who is entitled, read when they are asked for. Every question has its
// index: with 100,000 contents a change costs what a change costs.
#include <optional>

#include "crypto/hash.hpp"
#include "store/audit.hpp"

namespace sealcast::store {

struct CatalogueRow {
  crypto::Digest root{};
  std::string provider;    // thumbprint of the signer
  std::string content_id;  // with `version`: which state of which content
  std::int64_t version = 0;
  std::string description;  // JWS
  std::string access;       // JSON as it was announced
  bool everybody = false;
};

class Catalogue {
 public:
  static Result<Catalogue> open(const std::filesystem::path& file);
  // A new row or another state of a known one. `who`: the subscribers entitled.
  Status put(const CatalogueRow& row, const std::vector<std::string>& who);
  Result<std::optional<CatalogueRow>> find(const crypto::Digest& root);
  // The highest version of a content of a provider.
  Result<std::optional<CatalogueRow>> newest(const std::string& provider, const std::string& content_id);
  // Nothing: unknown. Else whether this subscriber is entitled, and whose content it is.
  struct Entitlement {
    bool allowed = false;
    std::string provider;
  };
  Result<std::optional<Entitlement>> entitlement(const crypto::Digest& root, const std::string& subscriber);
  // Rows behind `after`, in the order of their roots; of a subscriber: those that he may see.
  Result<std::vector<CatalogueRow>> page(const std::optional<crypto::Digest>& after,
                                         const std::optional<std::string>& subscriber, std::size_t most);
  Result<std::int64_t> size();

  // Contents that an earlier version wrote, without what the indexes need.
  struct Old {
    crypto::Digest root{};
    std::string description, access;
  };
  Result<std::vector<Old>> old_rows(std::size_t most);
  Status forget_old(const crypto::Digest& root);

  AuditLog audit_log() { return AuditLog(*database_); }
  void set_patience(Duration patience) { database_->set_patience(patience); }
  template <class Work>
  Status transaction(Work work) {
    return database_->transaction(std::move(work));
  }

 private:
  explicit Catalogue(Database database) : database_(std::make_unique<Database>(std::move(database))) {}
  std::unique_ptr<Database> database_;
};

}  // namespace sealcast::store
