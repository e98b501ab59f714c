#include "roles/content_state.hpp"

#include "content/uri.hpp"

namespace sealcast::roles {

namespace fs = std::filesystem;

Result<std::unique_ptr<ContentState>> ContentState::open(const fs::path& state, const crypto::Digest& root) {
  auto directory = state / "contents" / content::root_text(root);
  SEALCAST_TRY(io::make_directory(directory, 0700));
  auto lock = io::DirectoryLock::take(directory);
  if (!lock)
    return fail(
        lock.error().code,
        "this content is being fetched or served by another process of the same subscriber: " + lock.error().message);
  return std::unique_ptr<ContentState>(new ContentState(std::move(directory), root, std::move(*lock)));
}

std::vector<crypto::Digest> ContentState::list(const fs::path& state) {
  std::vector<crypto::Digest> out;
  std::error_code error;
  for (auto& entry : fs::directory_iterator(state / "contents", error))
    if (auto root = content::parse_root(entry.path().filename().string())) out.push_back(*root);
  return out;
}

Result<content::Description> ContentState::accept_description(const std::string& jws,
                                                              const std::vector<crypto::PublicKey>& providers,
                                                              UnixSeconds now) {
  SEALCAST_TRY_ASSIGN(auto incoming, content::verify_description(jws, providers, now));
  if (incoming.root != root_) return fail(ErrorCode::integrity, "the tracker's description is of another content");
  if (auto known = content::verify_kept_description(description(), providers))
    SEALCAST_TRY(content::check_against(*known, incoming));
  SEALCAST_TRY(keep("description.jws", jws));
  return incoming;
}

std::string ContentState::read(const char* name) const {
  auto octets = io::read_file(directory_ / name, 65536);
  return octets ? string_of(*octets) : std::string();
}

Status ContentState::keep(const char* name, const std::string& text) {
  return io::write_file_atomically(directory_ / name, view_of(text), 0600);
}

Status ContentState::open_object(const content::Geometry& geometry) {
  SEALCAST_TRY_ASSIGN(object_, io::ChunkFile::open(directory_ / "object", geometry, root_));
  return {};
}

void ContentState::discard_object() {
  object_.reset();
  io::ChunkFile::remove(directory_ / "object");
}

}  // namespace sealcast::roles
