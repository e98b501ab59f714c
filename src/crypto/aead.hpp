#pragma once
// AES-GCM (NIST SP 800-38D) for records and documents, and AES key wrap (RFC 3394). SRTP has its own batch interface in
// packet_cipher.hpp.
#include <memory>
#include <optional>

#include "base/secret.hpp"

namespace sealcast::crypto {

inline constexpr std::size_t k_gcm_tag = 16;
inline constexpr std::size_t k_gcm_nonce = 12;

// One key, many records; the key schedule is kept. Not for use by two threads at once.
class AesGcm {
 public:
  explicit AesGcm(ByteView key);  // 16 or 32 octets (asserted)
  ~AesGcm();
  AesGcm(AesGcm&&) noexcept;
  AesGcm& operator=(AesGcm&&) noexcept;
  // out: plaintext size + 16 octets. Never reuse a nonce (12 octets) with one key.
  void seal(ByteView nonce, ByteView aad, ByteView plaintext, MutableByteView out);
  // out: sealed size - 16 octets; false when the tag is wrong (out is wiped then) or sealed is shorter than a tag.
  bool open(ByteView nonce, ByteView aad, ByteView sealed, MutableByteView out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One sealed text after the other, opened as it comes.
class GcmStream {
 public:
  virtual ~GcmStream() = default;
  virtual void begin(ByteView nonce) = 0;
  // The next octets of it; nothing is known of them before finish().
  virtual void open(ByteView sealed, MutableByteView out) = 0;
  virtual bool finish(ByteView tag) = 0;  // of 16 octets: does it fit all that was opened?
};
std::unique_ptr<GcmStream> make_gcm_stream(ByteView key);  // 16 or 32 octets (asserted)

// The cipher of AES-GCM alone: any octets of a text, both ways. Their integrity is the caller's.
class GcmKeystream {
 public:
  explicit GcmKeystream(ByteView key);  // 16 or 32 octets (asserted)
  ~GcmKeystream();
  // Octets of the text from `position` on, transformed in place.
  void apply(ByteView nonce, std::uint64_t position, MutableByteView text);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// RFC 3394; key 16 or 32 octets, plaintext a multiple of 8, at least 16.
Bytes wrap_key(ByteView key, ByteView plaintext);
std::optional<SecretBytes> unwrap_key(ByteView key, ByteView wrapped);

}  // namespace sealcast::crypto
