#pragma once
// A laboratory on one machine: a directory with a CA of its own, certificates, keys, trust and a configuration file for
// each role.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/result.hpp"
#include "io/socket.hpp"

namespace sealcast::roles {

struct LaboratoryOptions {
  std::string domain = "sealcast.test";
  std::string address = "127.0.0.1";            // every listener; also "::1"
  std::vector<std::string> caches = {"cache"};  // names; each becomes sip:<name>@<domain>
  std::string keyless;                          // name of a cache that gets chunks only
  bool insecure_signalling = false;
};

// Files of a laboratory, by path.
struct Laboratory {
  std::filesystem::path directory;
  std::shared_ptr<io::HeldPorts> ports = {};  // of one that was made now: nobody else takes them until it is started
  std::filesystem::path core_config() const { return directory / "core.toml"; }
  std::filesystem::path tracker_config() const { return directory / "tracker.toml"; }
  std::filesystem::path cache_config(const std::string& name) const { return directory / (name + ".toml"); }
  std::filesystem::path ue_config() const { return directory / "ue.toml"; }
  std::filesystem::path trust() const { return directory / "trust.json"; }
  std::filesystem::path provider_key() const { return directory / "provider" / "provider.pem"; }
  std::filesystem::path spool() const { return directory / "provider" / "spool"; }
  std::filesystem::path key_service() const { return directory / "key-service.pem"; }
  std::filesystem::path subscriber(const std::string& name) const { return directory / "subscribers" / name; }
  std::filesystem::path admin_socket() const { return directory / "admin.sock"; }  // of `up`
};

// Does `directory` hold a laboratory that is whole?
bool is_laboratory(const std::filesystem::path& directory);
// Makes one, on ports that are free now. An interrupted attempt is started again; a directory with something else in it
// is refused.
Result<Laboratory> make_laboratory(const std::filesystem::path& directory, const LaboratoryOptions& options,
                                   RandomSource& random, std::int64_t now);
Result<Laboratory> open_laboratory(const std::filesystem::path& directory);
// Names of its caches, in the order of its making.
Result<std::vector<std::string>> caches_of(const Laboratory& laboratory);

}  // namespace sealcast::roles
