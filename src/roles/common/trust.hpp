#pragma once
// Trust anchors of a node: the tracker's key and the providers' keys, as provisioning delivers them (trust.json).
#include <filesystem>
#include <optional>
#include <vector>

#include "crypto/ec.hpp"

namespace sealcast::roles {

struct Trust {
  std::optional<crypto::PublicKey> tracker;  // signs membership tokens
  std::vector<crypto::PublicKey> providers;  // sign descriptions
};

// {"v":1,"tracker":JWK,"providers":[JWK,…]}; an error names the file and what is wrong in it.
Result<Trust> load_trust(const std::filesystem::path& file);
Status save_trust(const std::filesystem::path& file, const Trust& trust);

// A P-256 key in PEM at `file` (mode 0600), made when missing.
Result<crypto::PrivateKey> load_or_make_key(const std::filesystem::path& file, RandomSource& random);

}  // namespace sealcast::roles
