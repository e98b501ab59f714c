#include "roles/content_state.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "content/uri.hpp"
#include "io/file.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_beside = "beside-";
constexpr std::size_t k_piece = 1 << 20;  // octets copied at a time

bool has_chunks(const fs::path& place) {
  return fs::exists(place / "object.have");
}

Status copy_range(io::ChunkFile& from, io::ChunkFile& to, const content::Geometry& geometry,
                  content::ChunkRange range) {
  Bytes buffer;
  auto end = geometry.offset_of(range.first) + geometry.size_of(range);
  for (auto at = geometry.offset_of(range.first); at < end; at += buffer.size()) {
    buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(k_piece, end - at)));
    SEALCAST_TRY(from.read(at, buffer));
    SEALCAST_TRY(to.write(at, buffer));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<ContentState>> ContentState::open(const fs::path& state, const crypto::Digest& root) {
  auto directory = state / "contents" / content::root_text(root);
  SEALCAST_TRY(io::make_directory(directory, 0700));
  return std::unique_ptr<ContentState>(new ContentState(std::move(directory), root));
}

std::vector<crypto::Digest> ContentState::list(const fs::path& state) {
  std::vector<crypto::Digest> out;
  std::error_code error;
  for (auto& entry : fs::directory_iterator(state / "contents", error))
    if (auto root = content::parse_root(entry.path().filename().string())) out.push_back(*root);
  return out;
}

// Read, compared and written in one turn: of two versions that two processes see at once, the newer one stays.
Result<content::Description> ContentState::accept_description(const std::string& jws,
                                                              const std::vector<crypto::PublicKey>& providers,
                                                              UnixSeconds now) {
  SEALCAST_TRY_ASSIGN(auto incoming, content::verify_description(jws, providers, now));
  if (incoming.root != root_) return fail(ErrorCode::integrity, "the tracker's description is of another content");
  SEALCAST_TRY_ASSIGN(auto turn, io::FileLock::wait_for(directory_));
  auto kept = description();
  if (auto known = content::verify_kept_description(kept, providers))
    SEALCAST_TRY(content::check_against(*known, incoming));
  if (kept != jws) SEALCAST_TRY(keep("description.jws", jws));
  return incoming;
}

std::string ContentState::read(const char* name) const {
  auto octets = io::read_file(directory_ / name, 65536);
  return octets ? string_of(*octets) : std::string();
}

Status ContentState::keep(const char* name, const std::string& text) {
  return io::write_file_atomically(directory_ / name, view_of(text), 0600);
}

Status ContentState::open_in(const fs::path& place, const content::Geometry& geometry) {
  held_ = content::Bitmap(geometry.chunks());
  SEALCAST_TRY_ASSIGN(object_, io::ChunkFile::open(place / "object", geometry, root_));
  held_ = object_->held_at_open();
  return {};
}

bool ContentState::looks_whole(const content::Geometry& geometry) {
  auto kept = io::ChunkFile::peek(directory_ / "object", geometry, root_);
  if (!kept || !*kept || !(*kept)->full()) return false;
  held_ = std::move(**kept);
  return true;
}

void ContentState::close_object() {
  object_.reset();
  lock_.reset();
  shared_ = false;
  place_.clear();
}

// Which place it is to be, is decided in one turn; the copying is done outside of it.
Result<bool> ContentState::open_object(const content::Geometry& geometry, const std::string& beside) {
  std::vector<Left> left;
  SEALCAST_TRY_ASSIGN(place_, take_place(beside, left));
  if (place_.empty()) return false;
  if (place_ != directory_) {
    SEALCAST_TRY(open_in(place_, geometry));
    if (auto absorbed = absorb(directory_, geometry); !absorbed)
      log(LogLevel::warning, "content", "chunks of another process are not taken over: " + absorbed.error().message);
    return true;
  }
  if (!shared_) {
    SEALCAST_TRY(open_own(geometry, left));
    return true;
  }
  SEALCAST_TRY(open_in(directory_, geometry));
  if (held_.full()) return true;
  object_.reset();
  lock_.reset();
  return false;
}

// Empty: it is in use.
Result<fs::path> ContentState::take_place(const std::string& beside, std::vector<Left>& left) {
  SEALCAST_TRY_ASSIGN(auto turn, io::FileLock::wait_for(directory_));
  shared_ = false;
  SEALCAST_TRY_ASSIGN(lock_, io::FileLock::try_take(directory_ / "lock", io::LockKind::exclusive));
  if (lock_) {  // with the content's own place go the places beside it that nobody uses
    for (auto& place : places()) {
      auto lock = io::FileLock::try_take(place / "lock", io::LockKind::exclusive);
      if (lock && *lock) left.push_back({place, std::move(**lock)});
    }
    return directory_;
  }
  // Only what is whole is shared.
  SEALCAST_TRY_ASSIGN(lock_, io::FileLock::try_take(directory_ / "lock", io::LockKind::shared));
  shared_ = lock_.has_value();
  if (shared_) return directory_;
  if (beside.empty()) return fs::path();
  auto place = directory_ / (k_beside + beside);
  SEALCAST_TRY(io::make_directory(place, 0700));
  SEALCAST_TRY_ASSIGN(lock_, io::FileLock::try_take(place / "lock", io::LockKind::exclusive));
  return lock_ ? place : fs::path();
}

Status ContentState::open_own(const content::Geometry& geometry, std::vector<Left>& left) {
  for (auto& each : left)
    if (!has_chunks(directory_) && has_chunks(each.place)) (void)move_here(each.place);
  SEALCAST_TRY(open_in(directory_, geometry));
  for (auto& each : left) {
    auto absorbed = held_.full() ? Status{} : absorb(each.place, geometry);
    if (!absorbed) log(LogLevel::warning, "content", "chunks beside are not taken over: " + absorbed.error().message);
    if (absorbed || absorbed.error().code != ErrorCode::disk_full) remove_place(each.place);
  }
  if (held_.full()) share();
  return {};
}

// Whoever looks for a place does so in a turn of his own: he finds it locked, or gone.
void ContentState::remove_place(const fs::path& place) {
  auto turn = io::FileLock::wait_for(directory_);
  std::error_code ignored;
  fs::remove_all(place, ignored);
}

// Chunks that are held in `place` and not here, with what is known of their tree. They were verified when they came;
// whoever uses them looks again. The bitmap there is written after the chunks, so what it names is there.
Status ContentState::absorb(const fs::path& place, const content::Geometry& geometry) {
  if (!has_chunks(place)) return {};
  SEALCAST_TRY_ASSIGN(auto from, io::ChunkFile::open(place / "object", geometry, root_));
  auto theirs = from->nodes();
  auto ours = object_->nodes();
  for (std::size_t i = 0; i < ours.size(); ++i)
    if (ours[i] == crypto::Digest{} && theirs[i] != crypto::Digest{}) ours[i] = theirs[i];
  auto& held = from->held_at_open();
  for (auto& range : held.ranges()) {
    for (auto first = held_.next_clear(range.first); first <= range.last; first = held_.next_clear(first)) {
      content::ChunkRange missing{first, std::min(held_.next_set(first) - 1, range.last)};
      SEALCAST_TRY(copy_range(*from, *object_, geometry, missing));
      held_.set(missing);
    }
  }
  return object_->save(held_);
}

// The bitmap last: without it the rest is an attempt that never saved.
bool ContentState::move_here(const fs::path& place) {
  io::ChunkFile::remove(directory_ / "object");
  std::error_code error;
  for (auto* name : {"object.data", "object.tree", "object.have"})
    if (!error) fs::rename(place / name, directory_ / name, error);
  return !error;
}

std::vector<fs::path> ContentState::places() const {
  std::vector<fs::path> out;
  std::error_code error;
  for (auto& entry : fs::directory_iterator(directory_, error))
    if (entry.path().filename().string().starts_with(k_beside)) out.push_back(entry.path());
  return out;
}

bool ContentState::discard_object() {
  if (!lock_ || shared_) return false;
  object_.reset();
  io::ChunkFile::remove(place_ / "object");
  lock_.reset();
  return true;
}

void ContentState::share() {
  if (shared_ || place_ != directory_ || !lock_) return;
  shared_ = lock_->share();
  if (!shared_) lock_.reset();
}

void ContentState::settle(bool whole) {
  object_.reset();
  if (!whole || place_.empty() || place_ == directory_) return;
  {
    auto turn = io::FileLock::wait_for(directory_);
    auto own = io::FileLock::try_take(directory_ / "lock", io::LockKind::exclusive);
    if (!own) return;
    if (*own) {
      if (!move_here(place_)) return;
    } else {
      // Shared: it is whole there too. Else it waits here until somebody takes it over.
      own = io::FileLock::try_take(directory_ / "lock", io::LockKind::shared);
      if (!own || !*own) return;
    }
  }
  remove_place(place_);
}

}  // namespace sealcast::roles
