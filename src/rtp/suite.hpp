#pragma once
// SRTP crypto suites by their SDES names (RFC 4568, RFC 7714).
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/secret.hpp"

namespace sealcast::rtp {

enum class CryptoSuite : std::uint8_t { aead_aes_128_gcm, aes_cm_128_hmac_sha1_80, aead_aes_256_gcm };

struct SuiteSizes {
  std::size_t key;       // octets of the master key
  std::size_t salt;      // octets of the master salt
  std::size_t rtp_tag;   // octets an SRTP packet grows by
  std::size_t rtcp_tag;  // the same for SRTCP, without the 4-octet index
};
constexpr SuiteSizes sizes(CryptoSuite suite) {
  switch (suite) {
    case CryptoSuite::aead_aes_128_gcm:
      return {16, 12, 16, 16};
    case CryptoSuite::aead_aes_256_gcm:
      return {32, 12, 16, 16};
    case CryptoSuite::aes_cm_128_hmac_sha1_80:
      break;
  }
  return {16, 14, 10, 10};
}
std::string_view name(CryptoSuite suite);  // "AEAD_AES_128_GCM"
std::optional<CryptoSuite> parse_crypto_suite(std::string_view name);

// Master key and salt of one direction, as the inline parameter of a=crypto carries them (key || salt).
struct SrtpKey {
  CryptoSuite suite = CryptoSuite::aead_aes_128_gcm;
  SecretBytes key_and_salt;
  SrtpKey duplicate() const { return {suite, key_and_salt.duplicate()}; }
};

}  // namespace sealcast::rtp
