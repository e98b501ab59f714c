#include "roles/cache/object_import.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace sealcast::roles {
namespace {

// Octets between two saves. A save costs what has come since, and the bitmap: of large objects there are not more
// saves.
constexpr std::uint64_t k_least_save = 64 << 20;
constexpr std::uint64_t k_saves = 64;
constexpr std::uint32_t k_leaves = 512;  // taken again before memory is let go of
constexpr std::size_t k_run = 128;       // chunks that are hashed side by side and written together

}  // namespace

ObjectImport::ObjectImport(std::filesystem::path base, const content::Description& d,
                           std::unique_ptr<io::ChunkFile> file)
    : base_(std::move(base)),
      geometry_(d.geometry()),
      root_(d.root),
      file_(std::move(file)),
      builder_(file_->nodes(), geometry_.chunks()),
      save_after_(std::max(k_least_save, geometry_.length() / k_saves)) {
  take_leaves_again();
}

ObjectImport::~ObjectImport() {
  if (!file_) return;
  if (auto ended = end_part(); !ended) log(LogLevel::warning, "import", ended.error().message);
  if (flushed_ == saved_) return;
  if (auto saved = checkpoint(); !saved) log(LogLevel::warning, "import", saved.error().message);
}

Result<std::unique_ptr<ObjectImport>> ObjectImport::open(const std::filesystem::path& base,
                                                         const content::Description& d) {
  SEALCAST_TRY_ASSIGN(auto file, io::ChunkFile::open(base, d.geometry(), d.root));
  return std::unique_ptr<ObjectImport>(new ObjectImport(base, d, std::move(file)));
}

// The leaves of an earlier run lie in the tree file. Should one of them be wrong the root will be, and nothing is
// offered.
void ObjectImport::take_leaves_again() {
  auto nodes = file_->nodes();
  // The last chunk is sent again in any case: it is its arrival that ends the import.
  auto chunks = std::min(file_->held_at_open().next_clear(0), geometry_.chunks() - 1);
  std::uint32_t taken = 0;
  for (; taken < chunks && nodes[content::bin::leaf(taken)] != content::Digest{}; ++taken) {
    if (taken % k_leaves == 0) nodes = file_->nodes();
    auto leaf = nodes[content::bin::leaf(taken)];
    builder_.add(leaf);
  }
  have_ = flushed_ = saved_ = geometry_.offset_of(taken);
}

Status ObjectImport::write(ByteView piece) {
  if (piece.size() > geometry_.length() - have_) return fail(ErrorCode::usage, "more octets than the object has");
  std::size_t run = std::size_t{geometry_.chunk_size()} * k_run;
  while (!piece.empty()) {
    auto part = piece.first(std::min(piece.size(), run - pending_.size()));
    pending_.insert(pending_.end(), part.begin(), part.end());
    have_ += part.size();
    piece = piece.subspan(part.size());
    if (pending_.size() < run && have_ < geometry_.length()) continue;
    SEALCAST_TRY(flush(pending_));
    pending_.clear();
  }
  return flushed_ - saved_ >= save_after_ ? checkpoint() : Status{};
}

Status ObjectImport::flush(ByteView run) {
  if (run.empty()) return {};
  SEALCAST_TRY(file_->write(flushed_, run));
  builder_.add(content::leaves_of(geometry_.chunk_size(), run));
  // finish() proves these leaves, or nothing of it stays.
  file_->verified(flushed_, run);
  flushed_ += run.size();
  return {};
}

Result<std::uint64_t> ObjectImport::end_part() {
  auto whole = pending_.size() / geometry_.chunk_size() * geometry_.chunk_size();
  SEALCAST_TRY(flush(ByteView(pending_).first(whole)));
  pending_.clear();
  have_ = flushed_;
  return have_;
}

// A run that is not full yet is not kept: it will be sent again.
Status ObjectImport::checkpoint() {
  content::Bitmap held(geometry_.chunks());
  auto chunks = complete() && flushed_ == have_ ? geometry_.chunks()
                                                : static_cast<std::uint32_t>(flushed_ / geometry_.chunk_size());
  if (chunks > 0) held.set(content::ChunkRange{0, chunks - 1});
  SEALCAST_TRY(file_->save(held));
  saved_ = flushed_;
  return {};
}

Status ObjectImport::finish() {
  auto root = builder_.finish();
  if (root != root_) {
    file_.reset();
    io::ChunkFile::remove(base_);
    return fail(ErrorCode::integrity, "the object's root is not that of its description: the object is dropped");
  }
  SEALCAST_TRY(checkpoint());
  file_.reset();
  return {};
}

}  // namespace sealcast::roles
