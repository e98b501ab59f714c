#pragma once
// A sealed object (docs/protocol.md section 3) whose file was opened already: what the object has and the file has not
// are 16 octets of tag a record, kept beside it. AES-GCM encrypts octet by octet, so any range of the object is opened
// to its place in the file, and any range is sealed again, octet for octet, from what is there. Records have no padding
// here: their delimiter stands where the lengths say.
#include <array>
#include <vector>

#include "content/octet_store.hpp"
#include "content/sealing.hpp"

namespace sealcast::content {

// One thread may write while another reads what was written before.
class SealedView final : public OctetStore {
 public:
  // length: of the object, one that plain_length() knows. plain, of that length, and tags outlive it.
  SealedView(const SealedHeader& header, const ContentKey& key, std::uint64_t length, OctetStore& plain,
             OctetStore& tags);
  ~SealedView() override;
  // Seals. What is in the file decides: the caller checks what comes.
  Status read(std::uint64_t offset, MutableByteView out) override;
  // Opens, in any order. Integrity error: a header or a delimiter that the object of this key does not have.
  Status write(std::uint64_t offset, ByteView data) override;

  // Records that come in order from their beginning are authenticated on the way. The next one, from `from` on, of
  // which that is not known; records() when there is none.
  std::uint64_t next_unchecked(std::uint64_t from) const;
  std::uint64_t records() const { return records_; }
  // Reads it and compares its tag. Integrity error when it does not fit.
  Status check(std::uint64_t record);
  // What was written so far was not verified: all records are unchecked again.
  void forget_checks();

 private:
  struct Place;
  struct Stream;
  Place place_of(std::uint64_t offset) const;
  std::uint64_t size_of(std::uint64_t record) const;
  Status open_header(std::uint64_t offset, ByteView data) const;
  Status open_text(const Place& at, ByteView sealed);
  void open_tag(const Place& at, ByteView tag);
  Stream* stream_at(const Place& at);
  Error wrong(std::uint64_t record) const;

  SealedHeader header_;
  RecordKeys keys_;
  crypto::AesGcm cipher_;
  crypto::GcmKeystream opening_, sealing_;
  std::uint64_t length_, records_;
  OctetStore& plain_store_;
  OctetStore& tag_store_;
  std::vector<bool> checked_;
  std::vector<Stream> streams_;  // the one that was used longest ago first
  Bytes plain_, tags_;           // of a write
  Bytes read_plain_, read_tags_;
};

}  // namespace sealcast::content
