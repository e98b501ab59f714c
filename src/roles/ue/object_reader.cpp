#include "roles/ue/object_reader.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace sealcast::roles {
namespace {

using content::Bitmap;
using content::ChunkRange;
using content::k_record;
using content::k_record_plain;
using content::k_sealed_header;
namespace bin = content::bin;

// Looks at `needed` only: a bitmap may be long, and this is asked for each record.
std::vector<ChunkRange> missing_of(const Bitmap& held, ChunkRange needed, std::size_t limit) {
  std::vector<ChunkRange> out;
  while (out.size() < limit && needed.first <= needed.last && !held.test(needed)) {
    const auto first = held.next_clear(needed.first);
    needed.first = held.test_any({first, needed.last}) ? held.next_set(first) : needed.last + 1;
    out.push_back({first, needed.first - 1});
  }
  return out;
}

Status all_held(const Bitmap& held, ChunkRange needed) {
  const auto lacks = missing_of(held, needed, 1);
  if (lacks.empty()) return {};
  return fail(ErrorCode::unavailable,
              "chunks " + std::to_string(lacks[0].first) + ".." + std::to_string(lacks[0].last) + " have not come yet");
}

Error changed(std::uint32_t chunk) {
  return {ErrorCode::integrity, "chunk " + std::to_string(chunk) + " is not what was verified when it came"};
}

}  // namespace

ObjectReader::ObjectReader(swarm::ChunkStorage& storage, std::span<content::Digest> nodes,
                           const content::Description& d, const content::ContentKey* key)
    : storage_(storage),
      runs_(d.geometry()),
      tree_(nodes, d.geometry().chunks(), d.root),
      plain_length_(d.plain_length) {
  if (!content::is_sealed(d.protection)) return;
  SEALCAST_ASSERT(key != nullptr);
  opener_.emplace(*d.header, *key);
  records_ = (d.length - k_sealed_header - 1) / k_record + 1;
}

// The file of an empty content has no octet, and its object a record all the same: that one is read for offset 0.
Result<ByteView> ObjectReader::read(const Bitmap& held, std::uint64_t offset, std::uint64_t most) {
  SEALCAST_ASSERT(offset <= plain_length_);
  if ((offset == plain_length_ && offset != 0) || most == 0) return ByteView{};
  if (!opener_) return read_clear(held, offset, std::min(most, plain_length_ - offset));
  SEALCAST_TRY_ASSIGN(auto record, read_sealed(held, offset));
  return record.first(std::min<std::uint64_t>(record.size(), most));
}

std::vector<ChunkRange> ObjectReader::missing(const Bitmap& held, std::uint64_t offset, std::uint64_t octets,
                                              std::size_t limit) const {
  SEALCAST_ASSERT(offset <= plain_length_ && octets <= plain_length_ - offset);
  if (octets == 0 && plain_length_ != 0) return {};
  const auto last = octets == 0 ? offset : offset + octets - 1;
  const std::uint64_t chunk = runs_.geometry().chunk_size();
  const auto needed =
      opener_ ? chunks_of_records(offset / k_record_plain, last / k_record_plain)
              : ChunkRange{static_cast<std::uint32_t>(offset / chunk), static_cast<std::uint32_t>(last / chunk)};
  return missing_of(held, needed, limit);
}

std::uint64_t ObjectReader::record_at(std::uint64_t record) const {
  return std::min(k_sealed_header + record * k_record, runs_.geometry().length());
}

ChunkRange ObjectReader::chunks_of_records(std::uint64_t first, std::uint64_t last) const {
  const auto chunk = runs_.geometry().chunk_size();
  return {static_cast<std::uint32_t>(record_at(first) / chunk),
          static_cast<std::uint32_t>((record_at(last + 1) - 1) / chunk)};
}

// From `offset` to the end of its record.
Result<ByteView> ObjectReader::read_sealed(const Bitmap& held, std::uint64_t offset) {
  const auto record = offset / k_record_plain;
  SEALCAST_TRY(all_held(held, chunks_of_records(record, record)));
  const auto begin = record_at(record);
  octets_.resize(record_at(record + 1) - begin);
  SEALCAST_TRY(storage_.read(begin, octets_));
  if (!opener_->open(record, octets_, record + 1 == records_, plain_)) return fail(wrong(record));
  // Where an octet of the file lies is known only as long as no record is padded (docs/protocol.md section 3).
  if (plain_.size() != octets_.size() - 17)
    return fail(ErrorCode::integrity,
                "record " + std::to_string(record) + " is padded: the provider sealed it wrongly");
  return ByteView(plain_).subspan(offset % k_record_plain);
}

// A whole run where all of it is held; else the chunks that are asked for, each by its own way to the root.
Result<ByteView> ObjectReader::read_clear(const Bitmap& held, std::uint64_t offset, std::uint64_t most) {
  const auto& geometry = runs_.geometry();
  const std::uint64_t size = geometry.chunk_size();
  const auto first = static_cast<std::uint32_t>(offset / size);
  const auto whole = runs_.whole(first >> content::k_run_layer);
  auto range = whole;
  if (!held.test(whole)) {
    SEALCAST_TRY(all_held(held, {first, first}));
    range = {first, first};
    const auto last = std::min<std::uint64_t>((offset + most - 1) / size, whole.last);
    while (range.last < last && held.test(range.last + 1)) ++range.last;
  }
  const auto begin = geometry.offset_of(range.first);
  octets_.resize(geometry.size_of(range));
  SEALCAST_TRY(storage_.read(begin, octets_));
  if (range != whole || !storage_.unchanged(begin, octets_)) {
    if (auto chunk = damaged_chunk(range, octets_)) return fail(changed(*chunk));
    if (range == whole) storage_.verified(begin, octets_);
  }
  const auto from = ByteView(octets_).subspan(offset - begin);
  return from.first(std::min<std::uint64_t>(from.size(), most));
}

// The first one that does not lead to the root.
std::optional<std::uint32_t> ObjectReader::damaged_chunk(ChunkRange range, ByteView octets) {
  const auto leaves = content::leaves_of(runs_.geometry().chunk_size(), octets);
  if (const auto node = runs_.node_of(range);
      node && tree_.mend(*node, content::Subtree(leaves, bin::layer(*node)).root()))
    return std::nullopt;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (const auto chunk = range.first + static_cast<std::uint32_t>(i); !tree_.mend(bin::leaf(chunk), leaves[i]))
      return chunk;
  return std::nullopt;
}

// Who is to blame for a record that does not open: a disk, or who sealed it.
Error ObjectReader::wrong(std::uint64_t record) {
  const auto range = chunks_of_records(record, record);
  octets_.resize(runs_.geometry().size_of(range));
  if (auto read = storage_.read(runs_.geometry().offset_of(range.first), octets_); !read) return read.error();
  if (auto chunk = damaged_chunk(range, octets_)) return changed(*chunk);
  return {ErrorCode::integrity,
          "record " + std::to_string(record) + " does not open with the content's key: the provider sealed it wrongly"};
}

}  // namespace sealcast::roles
