#pragma once
// Subscribers of the embedded core: digest HA1 (as good as the password) and the thumbprint of the enrolled device key.
#include "store/database.hpp"

namespace sealcast::store {

struct Subscriber {
  std::string name;        // "alice"
  std::string ha1_sha256;  // 64 hex digits: SHA-256("name@realm:realm:password")
  std::string ha1_md5;     // 32 hex digits
  std::string device;      // thumbprint, empty: none yet
  // 64 hex digits: SHA-256("name:realm:password"), for clients that leave the domain out; empty: added before it was
  // kept.
  std::string bare_sha256;
};

class Subscribers {
 public:
  static Result<Subscribers> open(const std::filesystem::path& file);
  void set_patience(Duration patience) { database_.set_patience(patience); }
  Status add(const std::string& name, const std::string& realm, std::string_view password);  // an error if there
  Status remove(const std::string& name);                                                    // not_found if not
  Result<std::optional<Subscriber>> find(const std::string& name);
  Result<std::vector<Subscriber>> list();
  // Keeps the first thumbprint; false: another one is there.
  Result<bool> enrol(const std::string& name, const std::string& thumbprint);
  // Another number when somebody else changed the database.
  Result<std::int64_t> revision();

 private:
  explicit Subscribers(Database database) : database_(std::move(database)) {}
  Database database_;
};

}  // namespace sealcast::store
