#include "roles/ue/content_state.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "content/uri.hpp"
#include "io/file.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_beside = "beside-";
constexpr std::size_t k_piece = 1 << 20;  // octets copied at a time
constexpr std::size_t k_nodes = 1024;     // of a tree, before memory is let go of

bool has_chunks(const fs::path& place) {
  std::error_code ignored;
  return fs::exists(place / "object.have", ignored);
}

bool is_opened(const fs::path& place) {
  return OpenedObject::is_at(place / "object");
}

void remove_object(const fs::path& place) {
  OpenedObject::remove(place / "object");
  io::ChunkFile::remove(place / "object");
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

void erase(const fs::path& place) {
  remove_object(place);
  std::error_code ignored;
  fs::remove_all(place, ignored);
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
  auto where = form_ == Form::opened ? io::ChunkFile::Octets::elsewhere : io::ChunkFile::Octets::beside;
  SEALCAST_TRY_ASSIGN(object_, io::ChunkFile::open(place / "object", geometry, root_, where));
  if (form_ == Form::kept) held_ = object_->held_at_open();
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
  opened_.reset();
  lock_.reset();
  shared_ = false;
  place_.clear();
}

Form ContentState::form_at(const fs::path& place, Form wanted) const {
  if (is_opened(place)) return Form::opened;
  return has_chunks(place) || wanted == Form::found ? Form::kept : wanted;
}

// Which place it is to be, is decided in one turn; the copying is done outside of it.
Result<bool> ContentState::open_object(const content::Geometry& geometry, const std::string& beside, Form form) {
  SEALCAST_TRY_ASSIGN(place_, take_place(beside, form));
  if (place_.empty()) return false;
  form_ = form_at(place_, form);
  SEALCAST_TRY(open_in(place_, geometry));
  if (shared_ && form_ == Form::kept && !held_.full()) {
    object_.reset();
    lock_.reset();
    return false;
  }
  if (form_ == Form::kept) {
    if (!shared_) take_over(nullptr);
    if (held_.full()) share();
  }
  return true;
}

// Empty: it is in use.
Result<fs::path> ContentState::take_place(const std::string& beside, Form form) {
  SEALCAST_TRY_ASSIGN(auto turn, io::FileLock::wait_for(directory_));
  shared_ = false;
  sources_.clear();
  not_taken_.reset();
  SEALCAST_TRY_ASSIGN(lock_, io::FileLock::try_take(directory_ / "lock", io::LockKind::exclusive));
  if (lock_) return take_own(form, beside);
  // Only what is whole is shared.
  SEALCAST_TRY_ASSIGN(lock_, io::FileLock::try_take(directory_ / "lock", io::LockKind::shared));
  shared_ = lock_.has_value();
  if (shared_ && (form == Form::found || !is_opened(directory_))) return directory_;
  if (beside.empty()) return fs::path();
  sources_.push_back({directory_, std::exchange(lock_, std::nullopt), false});
  return take_beside(beside);
}

// The content's own place is free. What is whole there in a file of the user stays: who wants another file has it
// beside, and it comes here when it is whole.
Result<fs::path> ContentState::take_own(Form form, const std::string& beside) {
  auto there = OpenedObject::mend_place(directory_ / "object");
  const bool lost = there && there->whole && io::PlacedFile::id_of(there->file) != there->id;
  if (lost && form != Form::found) remove_object(directory_);
  const bool whole = there && there->whole && !lost;
  if (is_opened(directory_) && form != Form::found && (whole || form == Form::kept)) {
    sources_.push_back({directory_, std::exchange(lock_, std::nullopt), false});
    if (whole) (void)sources_.back().lock->share();
    gather_left(form, directory_ / (k_beside + beside));
    return take_beside(beside);
  }
  gather_left(form, {});
  there = OpenedObject::mend_place(directory_ / "object");
  if (!there || !there->whole) return directory_;
  shared_ = lock_->share();
  return shared_ ? directory_ : fs::path();
}

Result<fs::path> ContentState::take_beside(const std::string& beside) {
  shared_ = false;
  auto place = directory_ / (k_beside + beside);
  SEALCAST_TRY(io::make_directory(place, 0700));
  SEALCAST_TRY_ASSIGN(lock_, io::FileLock::try_take(place / "lock", io::LockKind::exclusive));
  if (!lock_) return fs::path();
  // Whole, and could not come to its own place then: it is begun anew.
  if (auto there = OpenedObject::mend_place(place / "object"); there && there->whole) remove_object(place);
  return place;
}

// With the content's own place go the places beside it that nobody uses.
void ContentState::gather_left(Form form, const fs::path& but) {
  for (auto& place : places()) {
    if (place == but) continue;
    auto lock = io::FileLock::try_take(place / "lock", io::LockKind::exclusive);
    if (!lock || !*lock) continue;
    auto there = OpenedObject::mend_place(place / "object");
    const bool fits = !there || form == Form::found || (form == Form::opened && !there->whole);
    if (fits && !has_chunks(directory_) && !is_opened(directory_) && has_chunks(place)) (void)move_here(place);
    sources_.push_back({place, std::move(**lock), true});
  }
}

void ContentState::take_over(const Opening* opening) {
  for (auto& source : sources_) {
    auto taken = held_.full() ? Status{} : absorb(source.place, opening);
    if (!taken)
      log(LogLevel::warning, "content", "chunks of another place are not taken over: " + taken.error().message);
    if (!taken && source.place == directory_ && source.lock) not_taken_ = taken.error();
    if (source.goes && (taken || taken.error().code != ErrorCode::disk_full)) remove_place(source.place);
  }
  sources_.clear();
}

Status ContentState::open_output(const fs::path& file, const std::string& tag, const Opening& opening) {
  const auto base = place_ / "object";
  const auto hidden = io::PlacedFile::hidden_name(file, tag);
  bool found = false;
  if (OpenedObject::is_at(base)) {
    auto there = OpenedObject::find(base, opening);
    found = there && !(*there)->place().whole;
    if (found && ((*there)->place().file != file || (*there)->place().hidden != hidden))
      found = (*there)->move(file, hidden).has_value();
    if (found)
      opened_ = std::move(*there);
    else if (!there)
      not_taken_ = there.error();
    if (!found) OpenedObject::remove(base);
  }
  if (!found) {
    SEALCAST_TRY_ASSIGN(opened_, OpenedObject::make(base, {file, hidden, {}, false}, opening));
  }
  object_->use(*opened_);
  if (found) held_ = object_->held_at_open();
  if (!found && !object_->held_at_open().empty()) SEALCAST_TRY(object_->save(held_));
  take_over(&opening);
  return {};
}

Status ContentState::open_output(const Opening& opening) {
  SEALCAST_TRY_ASSIGN(opened_, OpenedObject::find(place_ / "object", opening));
  object_->use(*opened_);
  held_ = object_->held_at_open();
  if (!opened_->place().whole) take_over(&opening);
  return {};
}

// Whoever looks for a place does so in a turn of his own: he finds it locked, or gone.
void ContentState::remove_place(const fs::path& place) {
  auto turn = io::FileLock::wait_for(directory_);
  erase(place);
}

// Chunks that are held in `place` and not here, with what is known of their tree. They were verified when they came;
// whoever uses them looks again. The bitmap there is written after the chunks, so what it names is there.
Status ContentState::absorb(const fs::path& place, const Opening* opening) {
  if (!has_chunks(place)) return {};
  std::unique_ptr<OpenedObject> file;
  auto where = io::ChunkFile::Octets::beside;
  if (is_opened(place)) {
    if (!opening) return fail("they are opened there, and kept as they come here");
    SEALCAST_TRY_ASSIGN(file, OpenedObject::find(place / "object", *opening));
    where = io::ChunkFile::Octets::elsewhere;
  }
  const auto& geometry = object_->geometry();
  SEALCAST_TRY_ASSIGN(auto from, io::ChunkFile::open(place / "object", geometry, root_, where));
  if (file) from->use(*file);
  auto theirs = from->nodes();
  auto ours = object_->nodes();
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (i % k_nodes == 0) ours = object_->nodes(), theirs = from->nodes();
    if (ours[i] == crypto::Digest{} && theirs[i] != crypto::Digest{}) ours[i] = theirs[i];
  }
  auto& held = from->held_at_open();
  for (auto& range : held.ranges()) {
    for (auto first = held_.next_clear(range.first); first <= range.last; first = held_.next_clear(first)) {
      content::ChunkRange missing{first, std::min(held_.next_set(first) - 1, range.last)};
      SEALCAST_TRY(copy_range(*from, *object_, geometry, missing));
      held_.set(missing);
    }
  }
  if (opened_) opened_->unverified();
  return object_->save(held_);
}

// The bitmap last: without it the rest is an attempt that never saved.
bool ContentState::move_here(const fs::path& place) {
  remove_object(directory_);
  std::error_code error;
  for (auto* name : {"object.data", "object.place", "object.tags", "object.tree", "object.have"})
    if (!error && fs::exists(place / name, error)) fs::rename(place / name, directory_ / name, error);
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
  opened_.reset();
  remove_object(place_);
  lock_.reset();
  return true;
}

void ContentState::share() {
  if (shared_ || place_ != directory_ || !lock_) return;
  shared_ = lock_->share();
  if (!shared_) lock_.reset();
}

// Who becomes whole beside later finds this place free, or cleared its own.
void ContentState::clear_beside() {
  auto turn = io::FileLock::wait_for(directory_);
  for (auto& place : places()) {
    auto lock = io::FileLock::try_take(place / "lock", io::LockKind::exclusive);
    if (lock && *lock) erase(place);
  }
  lock_.reset();
}

void ContentState::settle(bool whole) {
  sources_.clear();
  const bool nothing = opened_ && !opened_->place().whole && object_ && object_->nothing_saved();
  object_.reset();
  opened_.reset();
  if (place_.empty()) return;
  if (nothing) remove_object(place_);
  if (place_ == directory_) return whole ? clear_beside() : void();
  if (!has_chunks(place_)) return remove_place(place_);
  if (!whole) return;
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
