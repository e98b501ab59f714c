#include "roles/common/trust.hpp"

#include "io/file.hpp"
#include "io/file_lock.hpp"

namespace sealcast::roles {

Result<Trust> load_trust(const std::filesystem::path& file) {
  auto wrong = [&](std::string what) { return fail(ErrorCode::usage, "trust file " + file.string() + ": " + what); };
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(file, 1 << 20));
  auto document = json::parse(string_of(octets), {1 << 20, 8});
  if (!document) return wrong(document.error().message);
  if (document->int_or("v") != 1) return wrong("\"v\" is not 1");
  Trust out;
  if (auto* tracker = document->find("tracker")) {
    out.tracker = crypto::PublicKey::from_jwk(*tracker);
    if (!out.tracker) return wrong("\"tracker\" is no P-256 public key");
  }
  auto* providers = document->find("providers");
  if (!providers || !providers->as_array()) return wrong("\"providers\" is missing");
  for (auto& each : *providers->as_array()) {
    auto key = crypto::PublicKey::from_jwk(each);
    if (!key) return wrong("\"providers\" has an entry that is no P-256 public key");
    out.providers.push_back(*key);
  }
  return out;
}

Status save_trust(const std::filesystem::path& file, const Trust& trust) {
  json::Array providers;
  for (auto& key : trust.providers) providers.push_back(key.jwk());
  json::Object document{{"v", 1}, {"providers", std::move(providers)}};
  if (trust.tracker) document["tracker"] = trust.tracker->jwk();
  auto text = json::Value(std::move(document)).pretty() + "\n";
  return io::write_file_atomically(file, view_of(text), 0644);
}

namespace {

Result<crypto::PrivateKey> load_key(const std::filesystem::path& file) {
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(file, 16384));
  auto key = crypto::PrivateKey::from_pem(string_of(octets));
  wipe(octets);
  if (!key) return fail(ErrorCode::usage, "key file " + file.string() + ": " + key.error().message);
  return key;
}

// What a process that was killed while it made a key left beside it.
void remove_attempts(const std::filesystem::path& file) {
  auto beginning = file.filename().string() + ".new-";
  std::error_code ignored;
  for (auto& entry : std::filesystem::directory_iterator(
           file.has_parent_path() ? file.parent_path() : std::filesystem::path("."), ignored))
    if (entry.path().filename().string().starts_with(beginning)) std::filesystem::remove(entry.path(), ignored);
}

}  // namespace

// One key for a file, however many processes begin at once: whoever comes second finds the first one's.
Result<crypto::PrivateKey> load_or_make_key(const std::filesystem::path& file, RandomSource& random) {
  if (std::filesystem::exists(file)) return load_key(file);
  SEALCAST_TRY_ASSIGN(auto turn, io::FileLock::wait_for(file.has_parent_path() ? file.parent_path() : "."));
  if (std::filesystem::exists(file)) return load_key(file);
  remove_attempts(file);
  auto key = crypto::PrivateKey::generate(random);
  auto pem = key.pem();
  auto made = io::write_file_once(file, view_of(pem), 0600);
  wipe({reinterpret_cast<std::uint8_t*>(pem.data()), pem.size()});
  if (!made) return fail(made.error());
  // A file system without locks between machines: the link decided.
  if (!*made) return load_key(file);
  return key;
}

}  // namespace sealcast::roles
