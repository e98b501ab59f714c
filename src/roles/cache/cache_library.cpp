#include "roles/cache/cache_library.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "crypto/aead.hpp"
#include "io/file.hpp"

namespace sealcast::roles {
namespace {

constexpr std::size_t k_master_key = 32;
// Uploads that wait for their next part, and for how long.
constexpr std::size_t k_most_aside = 16;
constexpr Duration k_aside = 60s;

ObjectState state_of(std::string_view text) {
  for (auto state : {ObjectState::importing, ObjectState::offered, ObjectState::damaged})
    if (name(state) == text) return state;
  return ObjectState::described;
}

auto unknown(const crypto::Digest& root) {
  return fail(ErrorCode::not_found, "unknown content " + content::root_text(root));
}

}  // namespace

std::string_view name(ObjectState state) {
  switch (state) {
    case ObjectState::described:
      return "described";
    case ObjectState::importing:
      return "importing";
    case ObjectState::offered:
      return "offered";
    case ObjectState::damaged:
      break;
  }
  return "damaged";
}

CacheLibrary::CacheLibrary(std::filesystem::path state, std::filesystem::path master_key, RandomSource& random)
    : state_(std::move(state)), master_key_file_(std::move(master_key)), random_(random) {}

std::filesystem::path CacheLibrary::base(const crypto::Digest& root) const {
  return state_ / "objects" / content::root_text(root);
}

// Made once. A new one in place of a lost one would look like a cache that works, and open nothing.
Status CacheLibrary::load_master_key(bool keys_wait_for_it) {
  if (!std::filesystem::exists(master_key_file_)) {
    if (keys_wait_for_it)
      return fail(ErrorCode::usage, "master key " + master_key_file_.string() + " is missing, and " +
                                        (state_ / "cache.db").string() +
                                        " holds content keys that nothing else opens: put it back from a backup");
    SecretBytes fresh(k_master_key);
    random_.fill(fresh.fill());
    SEALCAST_TRY(io::write_file_atomically(master_key_file_, fresh.expose(), 0600));
  }
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(master_key_file_, 4096));
  master_key_ = SecretBytes(octets);
  wipe(octets);
  if (master_key_.size() != k_master_key)
    return fail(ErrorCode::usage, "master key " + master_key_file_.string() + ": it must have exactly 32 octets");
  return {};
}

Status CacheLibrary::check_master_key() {
  std::size_t wrapped = 0, opened = 0;
  SEALCAST_TRY(store_->each([&](store::ContentRow row) {
    if (row.wrapped_key.empty()) return;
    ++wrapped;
    if (crypto::unwrap_key(master_key_.expose(), row.wrapped_key))
      ++opened;
    else
      log(LogLevel::error, "cache",
          "the key of " + content::root_text(row.root) + " does not unwrap under this master key");
  }));
  if (wrapped == 0 || opened > 0) return {};
  return fail(ErrorCode::usage, "master key " + master_key_file_.string() + " opens none of the " +
                                    std::to_string(wrapped) + " content keys in " + (state_ / "cache.db").string() +
                                    ": it is another one than they were wrapped under; put that back from a backup");
}

Status CacheLibrary::open(const std::vector<crypto::PublicKey>& providers, UnixSeconds now) {
  providers_ = providers;
  SEALCAST_TRY(io::make_directory(state_ / "objects", 0700));
  SEALCAST_TRY_ASSIGN(auto store, store::Contents::open(state_ / "cache.db"));
  store_.emplace(std::move(store));
  SEALCAST_TRY_ASSIGN(bool keys, store_->holds_keys());
  SEALCAST_TRY(load_master_key(keys));
  SEALCAST_TRY(check_master_key());
  store_->set_patience(store::k_serving_patience);
  return store_->each([&](store::ContentRow row) { load(std::move(row), now); });
}
void CacheLibrary::load(store::ContentRow row, UnixSeconds now) {
  // One that has expired stays known: what it says binds its successors, and its key can be revoked.
  auto description = content::verify_kept_description(row.description, providers_);
  if (description && description->expires_at <= now)
    log(LogLevel::warning, "cache", content::root_text(row.root) + ": its description has expired");
  if (!description)
    return log(LogLevel::warning, "cache",
               "not offered: " + content::root_text(row.root) + ": " + description.error().message);
  auto access =
      row.access.empty() ? tracking::AccessList{} : tracking::parse_access(row.access).value_or(tracking::AccessList{});
  auto& content = contents_[row.root];
  by_id_.emplace(description->content_id, row.root);
  content.description = std::move(*description);
  content.jws = row.description;
  content.access = std::move(access);
  content.state = state_of(row.state);
  content.key_held = !row.wrapped_key.empty();
  content.not_before = row.not_before;
  if (content.has_object()) look_at_object(content);
}

// Sizes and bitmap: the rest is looked at when it is used.
void CacheLibrary::look_at_object(CachedContent& content) {
  const auto& d = content.description;
  auto held = io::ChunkFile::peek(base(d.root), d.geometry(), d.root);
  if (held) {
    content.state = *held && (*held)->full() ? ObjectState::offered : ObjectState::damaged;
    return;
  }
  log(LogLevel::error, "cache", held.error().message);
  content.trouble = held.error().message;
  if (held.error().code == ErrorCode::unavailable) return;
  content.state = ObjectState::damaged;
  content.unusable = true;
}

Status CacheLibrary::open_object(const crypto::Digest& root) {
  auto* content = find(root);
  if (!content || !content->has_object()) return unknown(root);
  if (content->file) return {};
  auto file = io::ChunkFile::open(base(root), content->description.geometry(), root);
  if (!file) {
    // No descriptor, no memory: that says nothing about the object.
    if (file.error().code == ErrorCode::unavailable || file.error().code == ErrorCode::disk_full)
      return fail(file.error());
    content->state = ObjectState::damaged;
    content->unusable = true;
    content->trouble = file.error().message;
    return fail(file.error());
  }
  content->file = std::move(*file);
  content->state = content->file->held_at_open().full() ? ObjectState::offered : ObjectState::damaged;
  return {};
}

void CacheLibrary::close_object(const crypto::Digest& root) {
  if (auto* content = find(root)) content->file.reset();
}

CachedContent* CacheLibrary::find(const crypto::Digest& root) {
  auto at = contents_.find(root);
  return at == contents_.end() ? nullptr : &at->second;
}

void CacheLibrary::will_change(const crypto::Digest& root) {
  if (!in_transaction_ || undo_.contains(root)) return;
  auto* content = find(root);
  undo_[root] = content ? std::optional<KeptContent>(*content) : std::nullopt;
}

void CacheLibrary::undo() {
  for (auto& [root, before] : undo_) {
    auto at = contents_.find(root);
    if (at == contents_.end()) continue;
    if (before) {
      static_cast<KeptContent&>(at->second) = std::move(*before);
      continue;
    }
    std::erase_if(by_id_, [&](auto& each) { return each.second == root; });
    contents_.erase(at);
  }
  undo_.clear();
}

// One root has one geometry; versions only go up; protection is never lowered.
Status CacheLibrary::check_conflicts(const content::Description& incoming) {
  if (auto* same = find(incoming.root)) SEALCAST_TRY(content::check_against(same->description, incoming));
  auto [first, last] = by_id_.equal_range(incoming.content_id);
  for (auto at = first; at != last; ++at)
    if (auto* known = find(at->second)) SEALCAST_TRY(content::check_against(known->description, incoming));
  return {};
}

Result<crypto::Digest> CacheLibrary::put_description(std::string_view jws, UnixSeconds now) {
  auto description = content::verify_description(jws, providers_, now);
  if (!description) return fail(ErrorCode::usage, description.error().message);
  if (auto fits = check_conflicts(*description); !fits) return fail(ErrorCode::failure, fits.error().message);
  SEALCAST_TRY(store_->put_description(description->root, jws));
  will_change(description->root);
  auto& content = contents_[description->root];
  if (content.description.content_id != description->content_id)
    by_id_.emplace(description->content_id, description->root);
  content.jws = jws;
  content.description = std::move(*description);
  return content.description.root;
}

Status CacheLibrary::put_access(const crypto::Digest& root, const tracking::AccessList& access) {
  auto* content = find(root);
  if (!content) return unknown(root);
  SEALCAST_TRY(store_->put_access(root, tracking::write_access(access)));
  will_change(root);
  content->access = access;
  return {};
}

Status CacheLibrary::put_key(const crypto::Digest& root, const content::ContentKey& key, UnixSeconds not_before) {
  auto* content = find(root);
  if (!content) return unknown(root);
  if (!content->description.header) return fail(ErrorCode::usage, "this content is not sealed: it has no key");
  if (!content::commits_to(*content->description.header, key))
    return fail(ErrorCode::integrity, "the key does not fit the content's commitment");
  SEALCAST_TRY(store_->put_key(root, crypto::wrap_key(master_key_.expose(), key.expose()), not_before));
  will_change(root);
  content->key_held = true;
  content->not_before = not_before;
  return {};
}

Status CacheLibrary::revoke_key(const crypto::Digest& root) {
  auto* content = find(root);
  if (!content || !content->key_held) return fail(ErrorCode::not_found, "no key of this content is held here");
  SEALCAST_TRY(store_->put_key(root, {}, 0));
  will_change(root);
  content->key_held = false;
  return {};
}

// The commitment is checked each time: a row that was exchanged in the database gives no key.
Result<std::optional<content::ContentKey>> CacheLibrary::key(const crypto::Digest& root) {
  auto* content = find(root);
  if (!content || !content->key_held || !content->description.header) return std::nullopt;
  SEALCAST_TRY_ASSIGN(auto row, store_->find(root));
  auto unwrapped = row ? crypto::unwrap_key(master_key_.expose(), row->wrapped_key) : std::nullopt;
  if (!unwrapped || unwrapped->size() != content::ContentKey::size())
    return fail("the key of " + content::root_text(root) + " does not unwrap under this master key");
  content::ContentKey key(unwrapped->expose().first<content::ContentKey::size()>());
  if (!content::commits_to(*content->description.header, key))
    return fail("the key that is kept for " + content::root_text(root) + " is another one's");
  return key;
}

// A disk that cannot hold the object is left as it is.
Status CacheLibrary::check_space(const crypto::Digest& root, const CachedContent& content) {
  auto needed =
      content.description.room() + std::uint64_t{content.description.geometry().chunks()} * 2 * sizeof(crypto::Digest);
  // What an earlier import has written, kept or to be written over.
  auto there = io::occupied(base(root) += ".data") + io::occupied(base(root) += ".tree");
  auto missing = needed - std::min(needed, there);
  auto free = io::free_space(state_ / "objects");
  if (!free || *free >= missing) return {};
  return fail(ErrorCode::disk_full, "the cache's disk has " + human_size(static_cast<double>(*free)) +
                                        " free, and this object needs " + human_size(static_cast<double>(missing)));
}

Result<std::unique_ptr<ObjectImport>> CacheLibrary::begin_import(const crypto::Digest& root) {
  auto* content = find(root);
  if (!content) return unknown(root);
  if (content->state == ObjectState::offered) return fail("the object is complete already");
  if (auto at = aside_.find(root); at != aside_.end() && content->state == ObjectState::importing) {
    auto import = std::move(at->second.import);
    aside_.erase(at);
    return import;
  }
  if (content->state == ObjectState::damaged) {
    content->file.reset();
    io::ChunkFile::remove(base(root));
  }
  SEALCAST_TRY(check_space(root, *content));
  SEALCAST_TRY(mark(root, ObjectState::importing));
  return ObjectImport::open(base(root), content->description);
}

Result<std::uint64_t> CacheLibrary::import_progress(const crypto::Digest& root) {
  auto* content = find(root);
  if (!content) return unknown(root);
  if (content->state == ObjectState::offered) return content->description.length;
  if (content->state != ObjectState::importing) return std::uint64_t{0};
  if (auto at = aside_.find(root); at != aside_.end()) return at->second.import->have();
  SEALCAST_TRY_ASSIGN(auto import, ObjectImport::open(base(root), content->description));
  return import->have();
}

void CacheLibrary::put_aside(const crypto::Digest& root, std::unique_ptr<ObjectImport> import, Instant now) {
  if (aside_.size() >= k_most_aside)
    aside_.erase(std::min_element(aside_.begin(), aside_.end(),
                                  [](auto& a, auto& b) { return a.second.since < b.second.since; }));
  aside_[root] = {std::move(import), now};
}

// Whoever comes back later finds what was saved.
void CacheLibrary::close_old_imports(Instant now) {
  std::erase_if(aside_, [&](auto& each) { return now - each.second.since >= k_aside; });
}

Status CacheLibrary::finish_import(const crypto::Digest& root, std::unique_ptr<ObjectImport> import) {
  auto* content = find(root);
  if (!content) return unknown(root);
  if (auto finished = import->finish(); !finished) {
    (void)mark(root, ObjectState::described);
    return finished;
  }
  content->trouble.clear();
  content->unusable = false;
  return mark(root, ObjectState::offered);
}

Status CacheLibrary::mark(const crypto::Digest& root, ObjectState state) {
  auto* content = find(root);
  if (!content) return unknown(root);
  will_change(root);
  content->state = state;
  return store_->put_state(root, name(state));
}

}  // namespace sealcast::roles
