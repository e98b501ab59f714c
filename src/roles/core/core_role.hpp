#pragma once
// The embedded core with its subscribers in SQLite.
#include <memory>

#include "base/json.hpp"
#include "roles/common/config.hpp"

namespace sealcast::roles {

class CoreRole {
 public:
  explicit CoreRole(CoreConfig config);
  ~CoreRole();
  Status start();
  void stop();
  Status renew_certificates();  // for connections from now on; registrations stay
  json::Object status() const;  // addresses and counters

 private:
  class Directory;
  CoreConfig config_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<sip::Core> core_;
};

}  // namespace sealcast::roles
