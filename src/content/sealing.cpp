#include "content/sealing.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/encoding.hpp"
#include "base/json.hpp"
#include "base/wire.hpp"
#include "crypto/hash.hpp"

namespace sealcast::content {
namespace {

constexpr std::string_view k_commitment{"sealcast key commitment\0\x01", 25};

Bytes labelled(std::string_view label) {
  Bytes out = bytes_of(label);
  out.push_back(0);
  return out;
}

std::string commitment(ByteView salt, const ContentKey& key) {
  auto extracted = Secret<32>(crypto::hmac_sha256(salt, key.expose()));
  return base64url(crypto::hmac_sha256(extracted.expose(), view_of(k_commitment)));
}

ByteView salt_of(const SealedHeader& header) {
  return ByteView(header).first(16);
}

SecretBytes metadata_key(const SealedHeader& header, const ContentKey& key) {
  return crypto::hkdf_sha256(salt_of(header), key.expose(), view_of("sealcast metadata"), 16);
}

}  // namespace

std::uint64_t sealed_length(std::uint64_t plain) {
  auto records = plain == 0 ? 1 : (plain - 1) / k_record_plain + 1;
  return k_sealed_header + plain + records * 17;
}

std::optional<std::uint64_t> plain_length(std::uint64_t sealed) {
  if (sealed < k_sealed_header + 17) return std::nullopt;
  auto body = sealed - k_sealed_header;
  auto records = (body - 1) / k_record + 1;
  if (body <= (records - 1) * k_record + 17 && records > 1) return std::nullopt;  // a last record without data
  return body - records * 17;
}

SealedHeader make_sealed_header(const std::array<std::uint8_t, 16>& salt, const ContentKey& key) {
  SealedHeader out;
  Writer writer(out);
  writer.bytes(salt);
  writer.u32(k_record);
  writer.u8(k_key_id);
  writer.bytes(view_of(commitment(salt, key)));
  return out;
}

bool is_sealed_header(ByteView header) {
  if (header.size() != k_sealed_header) return false;
  Reader reader(header);
  reader.take(16);
  if (reader.u32() != k_record || reader.u8() != k_key_id) return false;
  auto id = parse_base64url(string_of(reader.rest()));
  return id && id->size() == 32;
}

std::string key_id(const SealedHeader& header) {
  return string_of(ByteView(header).last(k_key_id));
}

bool commits_to(const SealedHeader& header, const ContentKey& key) {
  return equal_constant_time(view_of(commitment(salt_of(header), key)), ByteView(header).last(k_key_id));
}

RecordKeys::RecordKeys(const SealedHeader& header, const ContentKey& key) : RecordKeys(salt_of(header), key.expose()) {}
RecordKeys::RecordKeys(ByteView salt, ByteView key)
    : key_(crypto::hkdf_sha256(salt, key, labelled("Content-Encoding: aes128gcm"), 16)) {
  auto base = crypto::hkdf_sha256(salt, key, labelled("Content-Encoding: nonce"), 12);
  std::copy(base.expose().begin(), base.expose().end(), nonce_.begin());
}

std::array<std::uint8_t, 12> RecordKeys::nonce(std::uint64_t record) const {
  auto out = nonce_;
  for (std::size_t i = 12; i-- > 4; record >>= 8) out[i] ^= static_cast<std::uint8_t>(record);
  return out;
}

namespace {

// A record in place: its text, and its tag behind it.
crypto::PacketJob job_over(MutableByteView record, const std::array<std::uint8_t, 12>& nonce) {
  crypto::PacketJob out;
  std::copy(nonce.begin(), nonce.end(), out.iv.begin());
  out.text = record.first(record.size() - crypto::k_gcm_tag);
  out.tag = record.data() + out.text.size();
  return out;
}

}  // namespace

RecordSealer::RecordSealer(const SealedHeader& header, const ContentKey& key)
    : RecordSealer(salt_of(header), key.expose()) {}
RecordSealer::RecordSealer(ByteView salt, ByteView key)
    : keys_(salt, key), cipher_(crypto::make_gcm_cipher(keys_.key())) {}

void RecordSealer::seal(ByteView plain, bool last, Bytes& out) {
  auto at = out.size();
  out.insert(out.end(), plain.begin(), plain.end());
  out.push_back(delimiter(last));
  out.resize(out.size() + crypto::k_gcm_tag);
  auto job = job_over(MutableByteView(out).subspan(at), keys_.nonce(next_++));
  cipher_->seal({&job, 1});
}

RecordOpener::RecordOpener(const SealedHeader& header, const ContentKey& key)
    : RecordOpener(salt_of(header), key.expose()) {}
RecordOpener::RecordOpener(ByteView salt, ByteView key)
    : keys_(salt, key), cipher_(crypto::make_gcm_cipher(keys_.key())) {}

bool RecordOpener::open(std::uint64_t index, ByteView record, bool last, Bytes& out) {
  if (record.size() < 17) return false;
  out.assign(record.begin(), record.end());
  auto job = job_over(out, keys_.nonce(index));
  cipher_->open({&job, 1});
  if (!job.ok) {
    wipe(out);
    return false;
  }
  out.resize(record.size() - crypto::k_gcm_tag);
  while (!out.empty() && out.back() == 0) out.pop_back();
  if (out.empty() || out.back() != delimiter(last)) return false;
  out.pop_back();
  return true;
}

Bytes seal_metadata(const Metadata& metadata, const SealedHeader& header, const ContentKey& key, ByteView root,
                    const std::array<std::uint8_t, 12>& nonce) {
  auto text = json::Value(json::Object{{"name", metadata.name}, {"type", metadata.type}}).text();
  Bytes out(nonce.begin(), nonce.end());
  out.resize(12 + text.size() + crypto::k_gcm_tag);
  crypto::AesGcm(metadata_key(header, key).expose()).seal(nonce, root, view_of(text), MutableByteView(out).subspan(12));
  return out;
}

std::optional<Metadata> open_metadata(ByteView sealed, const SealedHeader& header, const ContentKey& key,
                                      ByteView root) {
  if (sealed.size() < 12 + crypto::k_gcm_tag) return std::nullopt;
  Bytes text(sealed.size() - 12 - crypto::k_gcm_tag);
  if (!crypto::AesGcm(metadata_key(header, key).expose()).open(sealed.first(12), root, sealed.subspan(12), text))
    return std::nullopt;
  auto document = json::parse(string_of(text));
  if (!document || !document->as_object()) return std::nullopt;
  return Metadata{document->string_or("name"), document->string_or("type")};
}

}  // namespace sealcast::content
