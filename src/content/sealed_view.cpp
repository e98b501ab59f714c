#include "content/sealed_view.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace sealcast::content {
namespace {

// Partners that send at once, each from a place of its own.
constexpr std::size_t k_most_streams = 16;

}  // namespace

// Where an octet of the object behind the header lies.
struct SealedView::Place {
  std::uint64_t record, position;  // in the record
  std::uint64_t text;              // octets before its tag: data and delimiter
  std::uint64_t data() const { return text - 1; }
  std::uint64_t in_file() const { return record * k_record_plain + std::min(position, data()); }
  std::uint64_t in_tags() const { return record * crypto::k_gcm_tag + (position - std::min(position, text)); }
};

struct SealedView::Stream {
  std::uint64_t record, next;  // octet of the record
  std::unique_ptr<crypto::GcmStream> cipher;
  std::array<std::uint8_t, crypto::k_gcm_tag> tag{};
};

SealedView::SealedView(const SealedHeader& header, const ContentKey& key, std::uint64_t length, OctetStore& plain,
                       OctetStore& tags)
    : header_(header),
      keys_(header, key),
      cipher_(keys_.key()),
      opening_(keys_.key()),
      sealing_(keys_.key()),
      length_(length),
      records_((length - k_sealed_header - 1) / k_record + 1),
      plain_store_(plain),
      tag_store_(tags),
      checked_(records_, false) {
  SEALCAST_ASSERT(plain_length(length).has_value());
}

SealedView::~SealedView() = default;

std::uint64_t SealedView::size_of(std::uint64_t record) const {
  return std::min<std::uint64_t>(k_record, length_ - k_sealed_header - record * k_record);
}

SealedView::Place SealedView::place_of(std::uint64_t offset) const {
  auto record = (offset - k_sealed_header) / k_record;
  return {record, (offset - k_sealed_header) % k_record, size_of(record) - crypto::k_gcm_tag};
}

Error SealedView::wrong(std::uint64_t record) const {
  return {ErrorCode::integrity,
          "record " + std::to_string(record) + " does not open with the content's key: the provider sealed it wrongly"};
}

Status SealedView::read(std::uint64_t offset, MutableByteView out) {
  SEALCAST_ASSERT(offset <= length_ && out.size() <= length_ - offset);
  if (offset < k_sealed_header) {
    auto part = ByteView(header_).subspan(offset);
    part = part.first(std::min(part.size(), out.size()));
    std::copy(part.begin(), part.end(), out.begin());
    out = out.subspan(part.size());
    offset += part.size();
  }
  if (out.empty()) return {};
  // What lies between two places of the object lies together in the file, and so do the tags.
  const auto first = place_of(offset), end = place_of(offset + out.size() - 1);
  const auto file_end = end.in_file() + (end.position < end.data() ? 1 : 0);
  read_plain_.resize(file_end - first.in_file());
  read_tags_.resize(end.in_tags() + (end.position >= end.text ? 1 : 0) - first.in_tags());
  SEALCAST_TRY(plain_store_.read(first.in_file(), read_plain_));
  SEALCAST_TRY(tag_store_.read(first.in_tags(), read_tags_));
  for (auto plain = ByteView(read_plain_), tags = ByteView(read_tags_); !out.empty();) {
    const auto at = place_of(offset);
    const bool text = at.position < at.text;
    auto part =
        out.first(std::min<std::uint64_t>(out.size(), (text ? at.text : at.text + crypto::k_gcm_tag) - at.position));
    auto& from = text ? plain : tags;
    auto known = from.first(
        std::min<std::uint64_t>(part.size(), text ? at.data() - std::min(at.position, at.data()) : part.size()));
    std::copy(known.begin(), known.end(), part.begin());
    from = from.subspan(known.size());
    if (known.size() < part.size()) part.back() = delimiter(at.record + 1 == records_);
    if (text) sealing_.apply(keys_.nonce(at.record), at.position, part);
    out = out.subspan(part.size());
    offset += part.size();
  }
  return {};
}

Status SealedView::open_header(std::uint64_t offset, ByteView data) const {
  if (equal(data, ByteView(header_).subspan(offset, data.size()))) return {};
  return fail(ErrorCode::integrity,
              "the object begins with another header than its description has: the provider sealed it wrongly");
}

Status SealedView::write(std::uint64_t offset, ByteView data) {
  SEALCAST_ASSERT(offset <= length_ && data.size() <= length_ - offset);
  if (offset < k_sealed_header) {
    auto part = data.first(std::min<std::uint64_t>(data.size(), k_sealed_header - offset));
    SEALCAST_TRY(open_header(offset, part));
    data = data.subspan(part.size());
    offset += part.size();
  }
  if (data.empty()) return {};
  const auto first = place_of(offset);
  plain_.clear();
  tags_.clear();
  while (!data.empty()) {
    const auto at = place_of(offset);
    const bool text = at.position < at.text;
    auto part =
        data.first(std::min<std::uint64_t>(data.size(), (text ? at.text : at.text + crypto::k_gcm_tag) - at.position));
    if (text) SEALCAST_TRY(open_text(at, part));
    if (!text) open_tag(at, part);
    data = data.subspan(part.size());
    offset += part.size();
  }
  if (!plain_.empty()) SEALCAST_TRY(plain_store_.write(first.in_file(), plain_));
  return tags_.empty() ? Status{} : tag_store_.write(first.in_tags(), tags_);
}

// Appends to plain_ what belongs into the file.
Status SealedView::open_text(const Place& at, ByteView sealed) {
  const auto used = plain_.size();
  plain_.resize(used + sealed.size());
  auto part = MutableByteView(plain_).subspan(used);
  if (auto* stream = stream_at(at)) {
    stream->cipher->open(sealed, part);
    stream->next += sealed.size();
  } else {
    std::copy(sealed.begin(), sealed.end(), part.begin());
    opening_.apply(keys_.nonce(at.record), at.position, part);
  }
  if (at.position + sealed.size() < at.text) return {};
  if (plain_.back() != delimiter(at.record + 1 == records_)) return fail(wrong(at.record));
  plain_.pop_back();
  return {};
}

void SealedView::open_tag(const Place& at, ByteView tag) {
  tags_.insert(tags_.end(), tag.begin(), tag.end());
  auto* stream = stream_at(at);
  if (!stream) return;
  std::copy(tag.begin(), tag.end(), stream->tag.begin() + static_cast<std::ptrdiff_t>(at.position - at.text));
  stream->next += tag.size();
  if (stream->next < at.text + crypto::k_gcm_tag) return;
  // One that does not fit is looked at again by check(), which says so.
  if (stream->cipher->finish(stream->tag)) checked_[at.record] = true;
  stream->next = k_record + 1;  // nothing follows
}

SealedView::Stream* SealedView::stream_at(const Place& at) {
  auto found = std::find_if(streams_.begin(), streams_.end(), [&](const Stream& s) {
    return at.position == 0 ? s.next > k_record : s.record == at.record && s.next == at.position;
  });
  if (at.position != 0 && found == streams_.end()) return nullptr;
  if (found == streams_.end() && streams_.size() < k_most_streams)
    found = streams_.insert(found, Stream{at.record, 0, crypto::make_gcm_stream(keys_.key())});
  if (found == streams_.end()) found = streams_.begin();
  std::rotate(found, found + 1, streams_.end());
  auto& stream = streams_.back();
  if (at.position == 0) {
    stream.record = at.record;
    stream.next = 0;
    stream.cipher->begin(keys_.nonce(at.record));
  }
  return &stream;
}

std::uint64_t SealedView::next_unchecked(std::uint64_t from) const {
  while (from < records_ && checked_[from]) ++from;
  return from;
}

Status SealedView::check(std::uint64_t record) {
  const auto size = size_of(record);
  Bytes text(size - crypto::k_gcm_tag), sealed(size);
  std::array<std::uint8_t, crypto::k_gcm_tag> tag;
  SEALCAST_TRY(plain_store_.read(record * k_record_plain, MutableByteView(text).first(text.size() - 1)));
  SEALCAST_TRY(tag_store_.read(record * crypto::k_gcm_tag, tag));
  text.back() = delimiter(record + 1 == records_);
  cipher_.seal(keys_.nonce(record), {}, text, sealed);
  if (!equal_constant_time(ByteView(sealed).last(crypto::k_gcm_tag), tag)) return fail(wrong(record));
  checked_[record] = true;
  return {};
}

void SealedView::forget_checks() {
  streams_.clear();
  checked_.assign(records_, false);
}

}  // namespace sealcast::content
