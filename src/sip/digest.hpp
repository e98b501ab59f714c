#pragma once
// SIP digest authentication (RFC 7616, RFC 8760): what client and server compute alike. qop "auth" only.
#include <optional>
#include <string>
#include <string_view>

namespace sealcast::sip {

enum class DigestAlgorithm { sha256, md5 };
std::string_view name(DigestAlgorithm algorithm);  // "SHA-256", "MD5"
std::optional<DigestAlgorithm> parse_digest_algorithm(
    std::string_view name);  // case-insensitive; empty = MD5 (RFC 7616 section 3.3)

// Lower-case hex. H(user ":" realm ":" password): as good as the password.
std::string digest_ha1(DigestAlgorithm algorithm, std::string_view user, std::string_view realm,
                       std::string_view password);

struct DigestInput {
  std::string ha1, nonce, nc, cnonce, method, uri;  // nc: 8 hex digits
};
// "response" of the Authorization header, lower-case hex.
std::string digest_response(DigestAlgorithm algorithm, const DigestInput& input);

}  // namespace sealcast::sip
