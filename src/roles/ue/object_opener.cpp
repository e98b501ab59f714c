#include "roles/ue/object_opener.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "content/merkle_tree.hpp"

namespace sealcast::roles {
namespace {

constexpr int k_records_a_step = 64;

}  // namespace

ObjectOpener::ObjectOpener(swarm::ChunkStorage& storage, const content::Description& d, const content::ContentKey* key,
                           Plain plain)
    : storage_(storage), description_(d), plain_reading_(plain) {
  if (!content::is_sealed(d.protection)) return;
  SEALCAST_ASSERT(key != nullptr);
  records_.emplace(*d.header, *key);
  at_ = content::k_sealed_header;
}

Status ObjectOpener::one_record(io::OutputFile& out) {
  auto size = std::min<std::uint64_t>(content::k_record, description_.length - at_);
  sealed_.resize(size);
  SEALCAST_TRY(storage_.read(at_, sealed_));
  auto index = (at_ - content::k_sealed_header) / content::k_record;
  if (!records_->open(index, sealed_, at_ + size == description_.length, plain_))
    return fail(ErrorCode::integrity, "record " + std::to_string(index) +
                                          " does not open with the content's key: the provider sealed it wrongly");
  SEALCAST_TRY(out.write(plain_));
  at_ += size;
  written_ += plain_.size();
  return {};
}

Status ObjectOpener::plain_piece(io::OutputFile& out) {
  const auto run = std::uint64_t{description_.chunk_size} << content::k_run_layer;
  plain_.resize(std::min(run, description_.length - at_));
  SEALCAST_TRY(storage_.read(at_, plain_));
  if (plain_reading_ == Plain::by_sum && !storage_.unchanged(at_, plain_))
    return fail(ErrorCode::integrity, "octets from " + std::to_string(at_) + " on are not those that were verified");
  SEALCAST_TRY(out.write(plain_));
  at_ += plain_.size();
  written_ += plain_.size();
  return {};
}

Result<bool> ObjectOpener::step(io::OutputFile& out) {
  for (int i = 0; i < k_records_a_step && at_ < description_.length; ++i)
    SEALCAST_TRY(records_ ? one_record(out) : plain_piece(out));
  return at_ < description_.length;
}

}  // namespace sealcast::roles
