#pragma once
// A node's own certificate, as it lies in its tls/ directory: is it good, when does it end, has it been renewed?
#include <filesystem>

#include "base/json.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace sealcast::roles {

class NodeCertificate {
 public:
  explicit NodeCertificate(std::filesystem::path tls) : tls_(std::move(tls)) {}

  // Reads agent.pem and cafile.pem. The sentence of an error names the file, and an end or a beginning that does not
  // fit the clock as such.
  Status load(UnixSeconds now);
  bool changed() const;  // the files are others than those that were loaded

  // "name", "expires", and "warning" from 30 days before the end on.
  json::Object status(UnixSeconds now) const;
  std::string warning(UnixSeconds now) const;  // a sentence, or nothing

 private:
  std::string stamp() const;
  std::filesystem::path tls_;
  std::string loaded_, name_;
  UnixSeconds not_after_ = 0;
};

}  // namespace sealcast::roles
