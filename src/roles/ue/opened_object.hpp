#pragma once
// An object that lies opened in the file that it is to become, or has become. A clear object is the file; a sealed one
// is seen through it (content/sealed_view.hpp) with the tags in `<base>.tags`. Which file it is stands in
// `<base>.place`.
#include <memory>
#include <optional>

#include "content/description.hpp"
#include "content/sealed_view.hpp"
#include "io/placed_file.hpp"

namespace sealcast::roles {

// What it takes to see an object in its file.
struct Opening {
  std::uint64_t object = 0, file = 0;             // octets
  const content::SealedHeader* header = nullptr;  // sealed only, and so is the key
  const content::ContentKey* key = nullptr;
};
// key: nullptr when clear. Both outlive it.
Opening opening_of(const content::Description& description, const content::ContentKey* key);

class OpenedObject final : public io::ObjectData {
 public:
  struct Place {
    std::filesystem::path file, hidden;  // its name, and where it grows until it has it
    io::FileId id;
    bool whole = false;                 // it has its name, and is the user's
    std::filesystem::path before = {};  // where it grew before it moved to `hidden`, or was to; empty: nowhere
  };
  static bool is_at(const std::filesystem::path& base);  // there is a record of one
  static Result<Place> place_of(const std::filesystem::path& base);
  // A process may end between the name and the record of it: sets the record right. Only for who has the place.
  static Result<Place> mend_place(const std::filesystem::path& base);
  static void remove(const std::filesystem::path& base);  // the user's file stays

  static Result<std::unique_ptr<OpenedObject>> make(const std::filesystem::path& base, const Place& place,
                                                    const Opening& opening);
  static Result<std::unique_ptr<OpenedObject>> find(const std::filesystem::path& base, const Opening& opening);

  Status read(std::uint64_t offset, MutableByteView out) override;
  Status write(std::uint64_t offset, ByteView data) override;
  Status sync() override;
  const std::filesystem::path& path() const override { return file_->path(); }

  const Place& place() const { return place_; }
  // What was written so far was not verified.
  void unverified();
  // Compares some tags that are not checked yet. False: there are no more.
  Result<bool> check_some();
  // Still hidden: it will have this name.
  Status move(const std::filesystem::path& file, const std::filesystem::path& hidden);
  // The file gets its name, and is the user's.
  Status commit(io::Replace replace);
  // The file of that name is the same, octet for octet: it is taken in place of ours. False: it is not.
  Result<bool> adopt();

 private:
  OpenedObject(std::filesystem::path base, Place place) : base_(std::move(base)), place_(std::move(place)) {}
  Status complete(io::PlacedFile file, const Opening& opening);
  Status save_place();

  std::filesystem::path base_;
  Place place_;
  std::unique_ptr<io::PlacedFile> file_;
  std::unique_ptr<io::OctetFile> tags_;
  std::unique_ptr<content::SealedView> view_;
  std::uint64_t next_record_ = 0;
};

}  // namespace sealcast::roles
