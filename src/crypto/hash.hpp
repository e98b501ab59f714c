#pragma once
// SHA-256, HMAC, HKDF. None of these can fail.
#include <array>
#include <span>

#include "base/secret.hpp"

namespace sealcast::crypto {

using Digest = std::array<std::uint8_t, 32>;

struct DigestHash {
  std::size_t operator()(const Digest& d) const noexcept {
    std::size_t h;
    std::memcpy(&h, d.data(), sizeof h);
    return h;
  }
};

Digest sha256(ByteView data);
// SHA-256(left || right): an inner node of a Merkle tree.
Digest sha256(const Digest& left, const Digest& right);
// One digest per input; the multi-buffer back end hashes them side by side. Sizes of both spans are equal, no input is
// empty.
void sha256_batch(std::span<const ByteView> inputs, std::span<Digest> out);

// SHA-256 over data that comes in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(ByteView data);
  Digest finish();  // once

 private:
  void* context_;
};

std::array<std::uint8_t, 16> md5(ByteView data);  // SIP digest of old clients only (RFC 3261 section 22.4)
Digest hmac_sha256(ByteView key, ByteView data);
// RFC 5869; size <= 255 * 32 octets.
SecretBytes hkdf_sha256(ByteView salt, ByteView input_key, ByteView info, std::size_t size);

}  // namespace sealcast::crypto
