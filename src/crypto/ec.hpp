#pragma once
// P-256: ES256 signatures (raw r || s, RFC 7518 section 3.4) and ECDH.
#include <memory>
#include <optional>

#include "base/json.hpp"
#include "base/random.hpp"
#include "crypto/hash.hpp"

namespace sealcast::crypto {

// A point on P-256, checked to be on the curve when made.
class PublicKey {
 public:
  using Coordinates = std::array<std::uint8_t, 64>;  // X || Y, big-endian
  static std::optional<PublicKey> from_coordinates(ByteView xy);
  // {"kty":"EC","crv":"P-256","x","y"}; other members are ignored, a private "d" is refused.
  static std::optional<PublicKey> from_jwk(const json::Value& jwk);
  json::Value jwk() const;
  const Coordinates& coordinates() const { return xy_; }
  // RFC 7638 SHA-256 thumbprint, base64url, 43 characters: `kid` of everything this key signs.
  std::string thumbprint() const;
  bool verify(ByteView message, ByteView signature64) const;
  bool operator==(const PublicKey& other) const { return xy_ == other.xy_; }

 private:
  Coordinates xy_{};
};

class PrivateKey {
 public:
  static PrivateKey generate(RandomSource& random);
  // 32 octets, big-endian, 1 .. n-1.
  static std::optional<PrivateKey> from_scalar(ByteView d);
  // PKCS#8 PEM, unencrypted, and back.
  static Result<PrivateKey> from_pem(std::string_view pem);
  std::string pem() const;
  PrivateKey(PrivateKey&&) noexcept = default;
  PrivateKey& operator=(PrivateKey&&) noexcept = default;
  PrivateKey duplicate() const;

  const PublicKey& public_key() const { return public_; }
  std::array<std::uint8_t, 64> sign(ByteView message) const;  // the nonce comes from OpenSSL's generator
  // The X coordinate of d * Q (RFC 7518 section 4.6 calls it Z).
  Secret<32> agree(const PublicKey& peer) const;

 private:
  PrivateKey() = default;
  Secret<32> scalar_;
  PublicKey public_;
};

}  // namespace sealcast::crypto
