#include "rtp/suite.hpp"

namespace sealcast::rtp {
namespace {

constexpr struct {
  CryptoSuite suite;
  std::string_view name;
} k_names[] = {{CryptoSuite::aead_aes_128_gcm, "AEAD_AES_128_GCM"},
               {CryptoSuite::aes_cm_128_hmac_sha1_80, "AES_CM_128_HMAC_SHA1_80"},
               {CryptoSuite::aead_aes_256_gcm, "AEAD_AES_256_GCM"}};

}  // namespace

std::string_view name(CryptoSuite suite) {
  for (auto& each : k_names)
    if (each.suite == suite) return each.name;
  return {};
}

std::optional<CryptoSuite> parse_crypto_suite(std::string_view text) {
  for (auto& each : k_names)
    if (each.name == text) return each.suite;
  return std::nullopt;
}

}  // namespace sealcast::rtp
