#include "roles/provider/object_spool.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/encoding.hpp"

namespace sealcast::roles {

namespace fs = std::filesystem;

Result<std::string> SpoolRecord::identity_of(const fs::path& source) {
  struct stat s {};
  if (::stat(source.c_str(), &s) != 0)
    return fail(errno == ENOENT ? ErrorCode::not_found : ErrorCode::failure,
                source.string() + ": " + std::strerror(errno));
  auto time = [](const timespec& t) { return std::to_string(t.tv_sec) + "." + std::to_string(t.tv_nsec); };
  return std::to_string(s.st_dev) + " " + std::to_string(s.st_ino) + " " + std::to_string(s.st_size) + " " +
         time(s.st_mtim) + " " + time(s.st_ctim);
}

Status SpoolRecord::save() const {
  json::Object document{
      {"v", 1}, {"source", source}, {"protection", protection}, {"chunk", chunk_size}, {"desc", description}};
  if (key) document["k"] = base64url(key->expose());
  auto text = json::Value(std::move(document)).text();
  auto saved = io::write_file_atomically(place / "record.json", view_of(text), 0600);
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return saved;
}

Result<SpoolRecord> SpoolRecord::load(const fs::path& place) {
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(place / "record.json", 1 << 20));
  auto document = json::parse(string_of(octets), {1 << 20, 8});
  wipe(octets);
  if (!document || document->int_or("v") != 1)
    return fail(ErrorCode::usage, (place / "record.json").string() + ": this is no record of a sealing");
  SpoolRecord out{place,
                  document->string_or("source"),
                  document->string_or("protection"),
                  static_cast<std::uint32_t>(document->int_or("chunk")),
                  document->string_or("desc"),
                  std::nullopt};
  if (auto octets_of_key = parse_base64url(document->string_or("k"));
      octets_of_key && octets_of_key->size() == content::ContentKey::size()) {
    out.key.emplace(
        std::span<const std::uint8_t, content::ContentKey::size()>(octets_of_key->data(), octets_of_key->size()));
    wipe(*octets_of_key);
  }
  return out;
}

Status ObjectSpool::clean() {
  SEALCAST_TRY(io::make_directory(directory_, 0700));
  std::error_code error;
  for (auto& entry : fs::directory_iterator(directory_, error)) {
    if (fs::exists(entry.path() / "record.json")) continue;
    if (auto lock = io::DirectoryLock::take(entry.path())) fs::remove_all(entry.path(), error);
  }
  return {};
}

std::optional<SpoolRecord> ObjectSpool::find(const std::string& source, std::string_view protection,
                                             std::uint32_t chunk_size) const {
  std::error_code error;
  for (auto& entry : fs::directory_iterator(directory_, error)) {
    auto record = SpoolRecord::load(entry.path());
    if (record && record->source == source && record->protection == protection && record->chunk_size == chunk_size &&
        fs::exists(record->place / "object"))
      return std::move(*record);
  }
  return std::nullopt;
}

void ObjectSpool::forget_other_states(const std::string& source) const {
  // "device inode …": the same file whatever became of it.
  auto file = [](const std::string& identity) {
    return identity.substr(0, identity.find(' ', identity.find(' ') + 1));
  };
  std::error_code error;
  for (auto& entry : fs::directory_iterator(directory_, error)) {
    auto record = SpoolRecord::load(entry.path());
    if (!record || record->source == source || file(record->source) != file(source)) continue;
    if (auto lock = io::DirectoryLock::take(entry.path())) fs::remove_all(entry.path(), error);
  }
}

Result<ObjectSpool::Place> ObjectSpool::make_place(const std::string& name) {
  auto path = directory_ / name;
  SEALCAST_TRY(io::make_directory(path, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(path));
  return Place{path, std::move(lock)};
}

ObjectWriter::ObjectWriter(fs::path path, const content::Description& d, std::function<void(std::uint64_t)> on_progress)
    : path_(std::move(path)), description_(d), on_progress_(std::move(on_progress)) {}

// Whole runs of chunks are hashed side by side while they are still in the cache.
Status ObjectWriter::flush(bool last) {
  auto chunk = std::size_t{description_.chunk_size};
  auto usable = last ? pending_.size() : pending_.size() / chunk * chunk;
  const auto octets = ByteView(pending_).first(usable);
  root_.add(content::leaves_of(description_.chunk_size, octets));
  SEALCAST_TRY(out_->write(octets));
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(usable));
  return {};
}

Status ObjectWriter::put(ByteView octets) {
  pending_.insert(pending_.end(), octets.begin(), octets.end());
  return pending_.size() >= std::size_t{description_.chunk_size} * 128 ? flush(false) : Status{};
}

Result<content::Digest> ObjectWriter::write(io::SourceFile& source, const content::ContentKey* key) {
  SEALCAST_TRY_ASSIGN(auto out, io::OutputFile::create(path_));
  out_.emplace(std::move(out));
  std::optional<content::RecordSealer> sealer;
  if (key) {
    sealer.emplace(*description_.header, *key);
    SEALCAST_TRY(put(*description_.header));
  }
  Bytes plain(content::k_record_plain), sealed;
  std::uint64_t done = 0;
  do {
    SEALCAST_TRY_ASSIGN(auto size, source.read(plain));
    if (size == 0 && source.size() > 0)
      return fail(source.size() == done ? "nothing is left to read" : "the source ended early");
    done += size;
    auto record = ByteView(plain).first(size);
    if (sealer) {
      sealed.clear();
      sealer->seal(record, done == source.size(), sealed);
      record = sealed;
    }
    SEALCAST_TRY(put(record));
    if (on_progress_) on_progress_(done);
  } while (done < source.size());
  SEALCAST_TRY(flush(true));
  SEALCAST_TRY(out_->commit());
  return root_.finish();
}

}  // namespace sealcast::roles
