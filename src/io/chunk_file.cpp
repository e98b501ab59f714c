#include "io/chunk_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <list>
#include <mutex>
#include <utility>

#include "base/assert.hpp"
#include "base/text.hpp"
#include "base/wire.hpp"
#include "io/file.hpp"
#include "io/file_names.hpp"
#include "io/guarded_mapping.hpp"
#include "io/run_sums.hpp"
#include "os/descriptor.hpp"
#include "os/limits.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;
using content::Digest;
using content::MerkleTree;

// .have:  magic (8) | version (4) | object length (8) | chunk size (4) | root (32) | bitmap | SHA-256 of all before
// (32); integers big-endian
constexpr std::string_view k_magic = "SEALHAVE";
constexpr std::uint32_t k_version = 1;
constexpr std::size_t k_header = 8 + 4 + 8 + 4 + 32;

Error damaged(const fs::path& file, const std::string& what) {
  auto base = printable(fs::path(file).replace_extension().string(), 4096);
  return {ErrorCode::failure, printable(file.string(), 4096) + " " + what + ": remove " + base +
                                  ".data, .tree and .have to begin this object anew"};
}

Error wrong_size(const fs::path& file, std::int64_t has, std::uint64_t wanted) {
  auto became = static_cast<std::uint64_t>(has) < wanted ? "became shorter: it has " : "has ";
  return damaged(file, became + std::to_string(has) + " octets instead of " + std::to_string(wanted));
}

// Also tells the size that the file has now.
Status open_file(os::Descriptor& into, const fs::path& path, std::uint64_t& size) {
  into.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!into) return fail(system_error("cannot open", path, errno));
  struct stat about {};
  if (::fstat(into.get(), &about) != 0) return fail(system_error("cannot look at", path, errno));
  if (!S_ISREG(about.st_mode)) return fail(damaged(path, "is no regular file"));
  size = static_cast<std::uint64_t>(about.st_size);
  return {};
}

Bytes have_octets(const content::Geometry& geometry, const Digest& root, const content::Bitmap& held) {
  auto bits = held.octets();
  Bytes out(k_header + bits.size() + sizeof(Digest));
  Writer w(out);
  w.bytes(view_of(k_magic));
  w.u32(k_version);
  w.u64(geometry.length());
  w.u32(geometry.chunk_size());
  w.bytes(root);
  w.bytes(bits);
  w.bytes(crypto::sha256(w.written()));
  SEALCAST_ASSERT(w.ok() && w.room() == 0);
  return out;
}

Result<content::Bitmap> parse_have(const fs::path& file, ByteView octets, const content::Geometry& geometry,
                                   const Digest& root) {
  if (octets.size() < k_header + sizeof(Digest) || !equal(octets.first(k_magic.size()), view_of(k_magic)))
    return fail(damaged(file, "is no record of held chunks"));
  auto body = octets.first(octets.size() - sizeof(Digest));
  if (!equal(crypto::sha256(body), octets.last(sizeof(Digest))))
    return fail(damaged(file, "is damaged (wrong checksum)"));
  Reader r(body.subspan(k_magic.size()));
  auto version = r.u32();
  if (version != k_version)
    return fail(damaged(file, "was written by another version (" + std::to_string(version) + ")"));
  auto length = r.u64();
  auto chunk_size = r.u32();
  if (length != geometry.length() || chunk_size != geometry.chunk_size() || !equal(r.take(sizeof(Digest)), root))
    return fail(damaged(file, "belongs to another object"));
  auto held = content::Bitmap::from_octets(geometry.chunks(), r.rest());
  if (!held) return fail(damaged(file, "is damaged (wrong bitmap)"));
  return std::move(*held);
}

Status allocate(int descriptor, const fs::path& path, std::uint64_t offset, std::uint64_t octets) {
  int reason;
  do reason = ::posix_fallocate(descriptor, static_cast<off_t>(offset), static_cast<off_t>(octets));
  while (reason == EINTR);
  if (reason != 0) return fail(system_error("cannot reserve room for", path, reason));
  return {};
}

// Blocks for every node that can be written: a store into a hole of a full disk would be SIGBUS, not an error. Nodes of
// the chunks lie below 2 * chunks; beyond there are only ancestors of the last chunk, one page each. The rest (up to
// half of the file) stays a hole.
Status allocate_nodes(int descriptor, const fs::path& path, std::uint32_t chunks) {
  auto nodes = MerkleTree::octets(chunks) / sizeof(Digest);
  SEALCAST_TRY(
      allocate(descriptor, path, 0, std::min<std::uint64_t>(nodes, std::uint64_t{chunks} * 2) * sizeof(Digest)));
  for (auto b = content::bin::leaf(chunks - 1); b < nodes; b = content::bin::parent(b))
    if (b >= std::uint64_t{chunks} * 2) SEALCAST_TRY(allocate(descriptor, path, b * sizeof(Digest), sizeof(Digest)));
  return {};
}

}  // namespace

struct ChunkFile::Impl {
  Impl(const fs::path& base, const content::Geometry& g, const Digest& r)
      : geometry(g),
        root(r),
        data_path(with_extension(base, ".data")),
        tree_path(with_extension(base, ".tree")),
        have_path(with_extension(base, ".have")),
        held(g.chunks()),
        run_octets(std::uint64_t{g.chunk_size()} << content::k_run_layer) {}
  ~Impl();
  std::size_t tree_octets() const { return MerkleTree::octets(geometry.chunks()); }
  Status read(std::uint64_t offset, MutableByteView out);
  Status write(std::uint64_t offset, ByteView octets);
  Status read_have(bool& found);
  Status open_data(bool found);
  Status open_tree(bool found);
  void forget_sums(std::uint64_t offset, std::uint64_t size);
  void sum_up(std::uint64_t offset, ByteView octets);
  bool whole_run(std::uint64_t offset, ByteView octets) const;

  content::Geometry geometry;
  Digest root;
  fs::path data_path, tree_path, have_path;
  using Shared = std::shared_ptr<os::Descriptor>;
  // Descriptor of the data, opened again if it had to be given up meanwhile. Who has it may use it.
  Result<Shared> use_data();
  Result<Shared> open_again();
  void put_away();
  void note(const Error& error) {
    std::lock_guard lock(trouble_mutex);
    trouble = error;
  }
  Status check() const;
  Status sync_octets();
  Error no_octets() const;

  Shared data;  // guarded by g_open_mutex, as `place` is
  dev_t device = 0;
  ino_t inode = 0;  // of the data: another file under its name is not ours
  std::optional<GuardedMapping> tree;
  content::Bitmap held;
  bool nothing_saved = true;
  bool own = true;                  // the data is ours
  ObjectData* elsewhere = nullptr;  // where it is if not
  std::uint64_t run_octets;
  std::optional<RunSums> sums;
  std::mutex trouble_mutex;
  std::optional<Error> trouble;
  std::list<Impl*>::iterator place;  // in the list of open ones, if data is open
};

namespace {

// Who keeps thousands of objects uses some of them at a time. The longest unused descriptor goes first; who reads or
// writes with it meanwhile has a share in it.
std::size_t most_open() {
  static const std::size_t most = std::clamp<std::size_t>(os::descriptor_limit() / 8, 8, 512);
  return most;
}
std::mutex g_open_mutex;
std::list<ChunkFile::Impl*> g_open;  // newest first

}  // namespace

ChunkFile::Impl::~Impl() {
  std::lock_guard lock(g_open_mutex);
  put_away();
}

// With the mutex.
void ChunkFile::Impl::put_away() {
  if (!data) return;
  data.reset();
  g_open.erase(place);
}

Result<ChunkFile::Impl::Shared> ChunkFile::Impl::use_data() {
  std::lock_guard lock(g_open_mutex);
  if (!data) return open_again();
  g_open.splice(g_open.begin(), g_open, place);
  return data;
}

Result<ChunkFile::Impl::Shared> ChunkFile::Impl::open_again() {
  os::Descriptor again(::open(data_path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!again) return fail(system_error("cannot open", data_path, errno));
  struct stat about {};
  if (::fstat(again.get(), &about) != 0) return fail(system_error("cannot look at", data_path, errno));
  if (inode != 0 && (about.st_dev != device || about.st_ino != inode))
    return fail(damaged(data_path, "was replaced by another file"));
  device = about.st_dev;
  inode = about.st_ino;
  data = std::make_shared<os::Descriptor>(std::move(again));
  g_open.push_front(this);
  place = g_open.begin();
  auto out = data;
  if (g_open.size() > most_open()) g_open.back()->put_away();
  return out;
}

// Nodes that were lost under a running process: nothing that is proven with them holds, and nothing is saved.
Status ChunkFile::Impl::check() const {
  if (tree && tree->broken()) return fail(damaged(tree_path, "became shorter, or cannot be read"));
  return {};
}

Status ChunkFile::Impl::read_have(bool& found) {
  struct stat about {};
  found = ::lstat(have_path.c_str(), &about) == 0;
  if (!found && errno != ENOENT) return fail(system_error("cannot look at", have_path, errno));
  if (!found) return {};
  if (!S_ISREG(about.st_mode)) return fail(damaged(have_path, "is no regular file"));
  const auto size = k_header + held.words().size() * sizeof(std::uint64_t) + sizeof(Digest);
  if (static_cast<std::uint64_t>(about.st_size) != size) return fail(damaged(have_path, "has the wrong size"));
  SEALCAST_TRY_ASSIGN(auto octets, read_file(have_path, size));
  SEALCAST_TRY_ASSIGN(held, parse_have(have_path, octets, geometry, root));
  return {};
}

Status ChunkFile::Impl::open_data(bool found) {
  std::uint64_t size = 0;
  {
    os::Descriptor made;
    SEALCAST_TRY(open_file(made, data_path, size));
  }
  SEALCAST_TRY_ASSIGN(auto descriptor, use_data());
  if (size == geometry.length()) return {};
  // Empty and never saved: this is new, or an attempt that got no further.
  if (found || size != 0) return fail(wrong_size(data_path, static_cast<std::int64_t>(size), geometry.length()));
  if (::ftruncate(descriptor->get(), static_cast<off_t>(geometry.length())) != 0)
    return fail(system_error("cannot make", data_path, errno));
  return {};
}

Status ChunkFile::Impl::open_tree(bool found) {
  std::uint64_t size = 0;
  os::Descriptor file;  // the mapping outlives it
  SEALCAST_TRY(open_file(file, tree_path, size));
  if (found && size != tree_octets())
    return fail(wrong_size(tree_path, static_cast<std::int64_t>(size), tree_octets()));
  // Nodes of an attempt that never saved are of no use, and whoever builds a tree wants zeros.
  if (!found && size != 0 && ::ftruncate(file.get(), 0) != 0)
    return fail(system_error("cannot empty", tree_path, errno));
  if (!found && ::ftruncate(file.get(), static_cast<off_t>(tree_octets())) != 0)
    return fail(system_error("cannot make", tree_path, errno));
  SEALCAST_TRY(allocate_nodes(file.get(), tree_path, geometry.chunks()));
  SEALCAST_TRY_ASSIGN(auto mapping, GuardedMapping::make(file.get(), tree_octets(), tree_path));
  tree.emplace(std::move(mapping));
  return {};
}

ChunkFile::ChunkFile() = default;
ChunkFile::~ChunkFile() = default;

Result<std::unique_ptr<ChunkFile>> ChunkFile::open(const fs::path& base, const content::Geometry& geometry,
                                                   const Digest& root, Octets where) {
  std::unique_ptr<ChunkFile> out(new ChunkFile);
  out->impl_ = std::make_unique<Impl>(base, geometry, root);
  bool found = false;
  auto& i = *out->impl_;
  i.own = where == Octets::beside;
  SEALCAST_TRY(i.read_have(found));
  i.nothing_saved = i.held.empty();
  if (i.own) SEALCAST_TRY(i.open_data(found));
  SEALCAST_TRY(i.open_tree(found));
  if (i.own) i.sums.emplace(with_extension(base, ".sums"), (geometry.length() - 1) / i.run_octets + 1);
  return out;
}

Result<std::optional<content::Bitmap>> ChunkFile::peek(const fs::path& base, const content::Geometry& geometry,
                                                       const Digest& root) {
  Impl impl(base, geometry, root);
  bool found = false;
  SEALCAST_TRY(impl.read_have(found));
  if (!found) return std::nullopt;
  for (auto& [path, octets] :
       {std::pair(impl.data_path, geometry.length()), std::pair(impl.tree_path, std::uint64_t{impl.tree_octets()})}) {
    struct stat about {};
    if (::lstat(path.c_str(), &about) != 0 && errno != ENOENT) return fail(system_error("cannot look at", path, errno));
    if (static_cast<std::uint64_t>(about.st_size) != octets) return fail(wrong_size(path, about.st_size, octets));
  }
  return std::move(impl.held);
}

Status ChunkFile::read(std::uint64_t offset, MutableByteView out) {
  auto done = impl_->read(offset, out);
  if (!done) impl_->note(done.error());
  return done;
}

Status ChunkFile::write(std::uint64_t offset, ByteView data) {
  if (impl_->own) impl_->forget_sums(offset, data.size());
  auto done = impl_->write(offset, data);
  if (!done) impl_->note(done.error());
  return done;
}

bool ChunkFile::keeps_sums() const {
  return impl_->own;
}

bool ChunkFile::unchanged(std::uint64_t offset, ByteView run) {
  return impl_->own && impl_->whole_run(offset, run) && impl_->sums->matches(offset / impl_->run_octets, run);
}

void ChunkFile::verified(std::uint64_t offset, ByteView data) {
  if (impl_->own) impl_->sum_up(offset, data);
}

bool ChunkFile::Impl::whole_run(std::uint64_t offset, ByteView octets) const {
  return offset % run_octets == 0 && octets.size() == std::min(run_octets, geometry.length() - offset);
}

// What is written need not be verified.
void ChunkFile::Impl::forget_sums(std::uint64_t offset, std::uint64_t size) {
  for (auto run = offset / run_octets; size != 0 && run <= (offset + size - 1) / run_octets; ++run) sums->forget(run);
}

// Runs that are verified in parts have no sum: it is made when they are first verified as a whole.
void ChunkFile::Impl::sum_up(std::uint64_t offset, ByteView octets) {
  while (!octets.empty()) {
    const auto run = offset / run_octets;
    const auto part = octets.first(std::min<std::uint64_t>(octets.size(), (run + 1) * run_octets - offset));
    if (whole_run(offset, part)) sums->set(run, part);
    octets = octets.subspan(part.size());
    offset += part.size();
  }
}

Status ChunkFile::Impl::read(std::uint64_t offset, MutableByteView out) {
  SEALCAST_TRY(check());
  tree->used();
  if (!own) return elsewhere ? elsewhere->read(offset, out) : fail(no_octets());
  SEALCAST_TRY_ASSIGN(auto descriptor, use_data());
  SEALCAST_TRY_ASSIGN(auto got, read_at(descriptor->get(), data_path, offset, out));
  if (got < out.size()) return fail(damaged(data_path, "became shorter"));
  return {};
}

Status ChunkFile::Impl::write(std::uint64_t offset, ByteView octets) {
  SEALCAST_ASSERT(offset <= geometry.length() && octets.size() <= geometry.length() - offset);
  SEALCAST_TRY(check());
  tree->used();
  if (!own) return elsewhere ? elsewhere->write(offset, octets) : fail(no_octets());
  SEALCAST_TRY_ASSIGN(auto descriptor, use_data());
  return write_at(descriptor->get(), data_path, offset, octets);
}

Error ChunkFile::Impl::no_octets() const {
  return {ErrorCode::failure, "the octets of " + printable(have_path.string(), 4096) + " are not open"};
}

Status ChunkFile::Impl::sync_octets() {
  if (!own) return elsewhere->sync();
  SEALCAST_TRY_ASSIGN(auto descriptor, use_data());
  SEALCAST_TRY(sync_data(descriptor->get(), data_path));
  struct stat about {};
  if (::fstat(descriptor->get(), &about) == 0 && static_cast<std::uint64_t>(about.st_size) < geometry.length() &&
      ::ftruncate(descriptor->get(), static_cast<off_t>(geometry.length())) != 0)
    return fail(system_error("cannot mend", data_path, errno));
  return {};
}

void ChunkFile::use(ObjectData& octets) {
  SEALCAST_ASSERT(!impl_->own);
  impl_->elsewhere = &octets;
}

std::optional<Error> ChunkFile::trouble() const {
  if (auto whole = impl_->check(); !whole) return whole.error();
  std::lock_guard lock(impl_->trouble_mutex);
  return impl_->trouble;
}
bool ChunkFile::lost() const {
  return !impl_->check();
}

std::span<Digest> ChunkFile::nodes() {
  impl_->tree->used();
  return {static_cast<Digest*>(impl_->tree->data()), impl_->tree_octets() / sizeof(Digest)};
}
const content::Bitmap& ChunkFile::held_at_open() const {
  return impl_->held;
}
const content::Geometry& ChunkFile::geometry() const {
  return impl_->geometry;
}
bool ChunkFile::nothing_saved() const {
  return impl_->nothing_saved;
}
const fs::path& ChunkFile::data_path() const {
  return impl_->elsewhere ? impl_->elsewhere->path() : impl_->data_path;
}

Status ChunkFile::save(const content::Bitmap& held) {
  auto& i = *impl_;
  SEALCAST_ASSERT(held.size() == i.geometry.chunks());
  if (!i.own && !i.elsewhere) return {};
  auto octets = have_octets(i.geometry, i.root, held);
  SEALCAST_TRY(i.check());
  SEALCAST_TRY(i.sync_octets());
  if (::msync(i.tree->data(), i.tree_octets(), MS_SYNC) != 0)
    return fail(system_error("cannot sync", i.tree_path, errno));
  SEALCAST_TRY(i.check());
  SEALCAST_TRY(write_file_atomically(i.have_path, octets, 0600));
  {
    std::lock_guard lock(i.trouble_mutex);
    i.trouble.reset();
  }
  i.nothing_saved = held.empty();
  return {};
}

// .have first: what is left by a crash in between is an attempt that never saved.
void ChunkFile::remove(const fs::path& base) {
  for (auto extension : {".have", ".sums", ".tree", ".data"}) ::unlink(with_extension(base, extension).c_str());
}

}  // namespace sealcast::io
