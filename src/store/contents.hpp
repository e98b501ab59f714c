#pragma once
// Contents as a tracker (catalogue) or a cache knows them: description, entitlement, and at a cache the wrapped key and
// the state of the object; and the audit log.
#include <functional>

#include "crypto/hash.hpp"
#include "store/audit.hpp"

namespace sealcast::store {

struct ContentRow {
  crypto::Digest root{};
  std::string description;  // JWS
  std::string access;       // JSON of docs/protocol.md section 8 ("acl"); empty: nobody yet
  std::string state;        // cache: "described", "importing", "offered", "damaged"
  Bytes wrapped_key;        // cache: under the master key; empty: none
  std::int64_t not_before = 0;
};

class Contents {
 public:
  static Result<Contents> open(const std::filesystem::path& file);
  static std::vector<const char*> schema();  // the tracker's catalogue begins with it
  // A new row, or a new description for a known root.
  Status put_description(const crypto::Digest& root, std::string_view description);
  Status put_access(const crypto::Digest& root, std::string_view access);
  Status put_state(const crypto::Digest& root, std::string_view state);
  Status put_key(const crypto::Digest& root, ByteView wrapped, std::int64_t not_before);  // empty: revoked
  Result<std::optional<ContentRow>> find(const crypto::Digest& root);
  // Every row, in the order of the roots; one at a time in memory.
  Status each(const std::function<void(ContentRow)>& visit);
  Result<bool> holds_keys();
  Status remove(const crypto::Digest& root);

  // In the same database: what is changed and its line can be one transaction.
  AuditLog audit_log() { return AuditLog(*database_); }
  template <class Work>
  Status transaction(Work work) {
    return database_->transaction(std::move(work));
  }
  void set_patience(Duration patience) { database_->set_patience(patience); }

 private:
  Status update(Query&& query);
  explicit Contents(Database database) : database_(std::make_unique<Database>(std::move(database))) {}
  std::unique_ptr<Database> database_;
};

}  // namespace sealcast::store
