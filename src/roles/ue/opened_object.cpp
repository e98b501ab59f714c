#include "roles/ue/opened_object.hpp"

#include <unistd.h>

#include "base/json.hpp"
#include "base/text.hpp"
#include "io/file_names.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;

constexpr int k_records_a_step = 64;
constexpr std::int64_t k_version = 1;

}  // namespace

Opening opening_of(const content::Description& description, const content::ContentKey* key) {
  return {description.length, description.plain_length, description.header ? &*description.header : nullptr, key};
}

bool OpenedObject::is_at(const fs::path& base) {
  std::error_code ignored;
  return fs::exists(io::with_extension(base, ".place"), ignored);
}

Result<OpenedObject::Place> OpenedObject::place_of(const fs::path& base) {
  auto record = io::with_extension(base, ".place");
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(record, 65536));
  auto document = json::parse(string_of(octets));
  if (!document || document->int_or("v") != k_version || document->string_or("hidden").empty())
    return fail(printable(record.string(), 4096) + " does not say where the file is");
  Place out;
  out.file = document->string_or("file");
  out.hidden = document->string_or("hidden");
  out.before = document->string_or("before");
  out.id = {static_cast<std::uint64_t>(document->int_or("device")),
            static_cast<std::uint64_t>(document->int_or("inode"))};
  out.whole = document->bool_or("whole");
  return out;
}

Result<OpenedObject::Place> OpenedObject::mend_place(const fs::path& base) {
  SEALCAST_TRY_ASSIGN(auto place, place_of(base));
  auto named = io::PlacedFile::id_of(place.file);
  if (place.whole || !named || *named != place.id) return place;
  OpenedObject mended(base, place);
  mended.place_.whole = true;
  SEALCAST_TRY(mended.save_place());
  return mended.place_;
}

void OpenedObject::remove(const fs::path& base) {
  auto place = place_of(base);
  if (place && !place->whole)
    for (auto& grows : {place->hidden, place->before})
      if (io::PlacedFile::id_of(grows) == place->id) ::unlink(grows.c_str());
  for (auto extension : {".place", ".tags"}) ::unlink(io::with_extension(base, extension).c_str());
}

Status OpenedObject::save_place() {
  auto text = json::Value(json::Object{{"v", k_version},
                                       {"file", place_.file.string()},
                                       {"hidden", place_.hidden.string()},
                                       {"before", place_.before.string()},
                                       {"device", static_cast<std::int64_t>(place_.id.device)},
                                       {"inode", static_cast<std::int64_t>(place_.id.inode)},
                                       {"whole", place_.whole}})
                  .text();
  return io::write_file_atomically(io::with_extension(base_, ".place"), view_of(text), 0600);
}

Result<std::unique_ptr<OpenedObject>> OpenedObject::make(const fs::path& base, const Place& place,
                                                         const Opening& opening) {
  ::unlink(io::with_extension(base, ".tags").c_str());
  SEALCAST_TRY_ASSIGN(auto file, io::PlacedFile::make(place.hidden, opening.file));
  std::unique_ptr<OpenedObject> out(new OpenedObject(base, place));
  out->place_.id = file.id();
  out->place_.whole = false;
  auto made = out->complete(std::move(file), opening);
  if (made) made = out->save_place();
  if (made) return out;
  ::unlink(place.hidden.c_str());  // nobody would know of it
  return fail(made.error());
}

Result<std::unique_ptr<OpenedObject>> OpenedObject::find(const fs::path& base, const Opening& opening) {
  SEALCAST_TRY_ASSIGN(auto place, place_of(base));
  std::unique_ptr<OpenedObject> out(new OpenedObject(base, place));
  auto file = io::PlacedFile::open(place.whole ? place.file : place.hidden, place.id, opening.file,
                                   place.whole ? io::Owner::user : io::Owner::ours);
  // It was to move, and did not.
  if (!file && !place.whole && !place.before.empty()) {
    auto stayed = io::PlacedFile::open(place.before, place.id, opening.file, io::Owner::ours);
    if (stayed) {
      out->place_.hidden = place.before;
      file = std::move(stayed);
    }
  }
  // Another process may have given it its name just now.
  if (!file && !place.whole) {
    auto named = io::PlacedFile::open(place.file, place.id, opening.file, io::Owner::user);
    if (named) {
      out->place_.whole = true;
      file = std::move(named);
    }
  }
  if (!file) return fail(file.error());
  SEALCAST_TRY(out->complete(std::move(*file), opening));
  return out;
}

Status OpenedObject::complete(io::PlacedFile file, const Opening& opening) {
  file_ = std::make_unique<io::PlacedFile>(std::move(file));
  if (!opening.header) return {};
  SEALCAST_TRY_ASSIGN(auto tags, io::OctetFile::open(io::with_extension(base_, ".tags")));
  tags_ = std::make_unique<io::OctetFile>(std::move(tags));
  view_ = std::make_unique<content::SealedView>(*opening.header, *opening.key, opening.object, *file_, *tags_);
  return {};
}

Status OpenedObject::read(std::uint64_t offset, MutableByteView out) {
  return view_ ? view_->read(offset, out) : file_->read(offset, out);
}

Status OpenedObject::write(std::uint64_t offset, ByteView data) {
  return view_ ? view_->write(offset, data) : file_->write(offset, data);
}

Status OpenedObject::sync() {
  if (tags_) SEALCAST_TRY(tags_->sync());
  return file_->sync();
}

void OpenedObject::unverified() {
  if (view_) view_->forget_checks();
  next_record_ = 0;
}

Result<bool> OpenedObject::check_some() {
  if (!view_) return false;
  for (int i = 0; i < k_records_a_step; ++i) {
    next_record_ = view_->next_unchecked(next_record_);
    if (next_record_ == view_->records()) return false;
    SEALCAST_TRY(view_->check(next_record_));
  }
  return true;
}

Status OpenedObject::move(const fs::path& file, const fs::path& hidden) {
  auto before = place_;
  auto moved = file_->move(hidden, [&](const io::FileId& id) {
    place_ = {file, hidden, id, false, before.hidden};
    return save_place();
  });
  if (!moved) place_ = before;
  return moved;
}

Status OpenedObject::commit(io::Replace replace) {
  SEALCAST_TRY(file_->commit(place_.file, replace));
  place_.whole = true;
  return save_place();
}

Result<bool> OpenedObject::adopt() {
  SEALCAST_TRY_ASSIGN(auto same, io::same_files(place_.hidden, place_.file));
  if (!same) return false;
  SEALCAST_TRY_ASSIGN(auto id, io::PlacedFile::id_of(place_.file));
  SEALCAST_TRY(file_->remove());
  place_.id = id;
  place_.whole = true;
  SEALCAST_TRY(save_place());
  return true;
}

}  // namespace sealcast::roles
