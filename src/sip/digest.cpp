#include "sip/digest.hpp"

#include <strings.h>

#include "base/encoding.hpp"
#include "base/secret.hpp"
#include "crypto/hash.hpp"

namespace sealcast::sip {
namespace {

std::string hash_hex(DigestAlgorithm algorithm, std::string_view text) {
  if (algorithm == DigestAlgorithm::md5) return hex(crypto::md5(view_of(text)));
  return hex(crypto::sha256(view_of(text)));
}

// The text holds a password or an HA1: wiped when it has been hashed.
std::string hash_hex_and_wipe(DigestAlgorithm algorithm, std::string text) {
  auto out = hash_hex(algorithm, text);
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return out;
}

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::string_view name(DigestAlgorithm algorithm) {
  return algorithm == DigestAlgorithm::md5 ? "MD5" : "SHA-256";
}

std::optional<DigestAlgorithm> parse_digest_algorithm(std::string_view name) {
  if (name.empty() || same_word(name, "MD5")) return DigestAlgorithm::md5;
  if (same_word(name, "SHA-256")) return DigestAlgorithm::sha256;
  return std::nullopt;
}

std::string digest_ha1(DigestAlgorithm algorithm, std::string_view user, std::string_view realm,
                       std::string_view password) {
  std::string a1;
  a1.reserve(user.size() + realm.size() + password.size() +
             2);  // no reallocation: it would leave a copy of the password behind
  a1.append(user).append(1, ':').append(realm).append(1, ':').append(password);
  return hash_hex_and_wipe(algorithm, std::move(a1));
}

// RFC 7616 section 3.4.1 with qop=auth: H(HA1 ":" nonce ":" nc ":" cnonce ":" qop ":" H(A2)), A2 = method ":" uri.
std::string digest_response(DigestAlgorithm algorithm, const DigestInput& input) {
  const auto ha2 = hash_hex(algorithm, input.method + ":" + input.uri);
  std::string text;
  text.reserve(input.ha1.size() + input.nonce.size() + input.nc.size() + input.cnonce.size() + ha2.size() + 9);
  text.append(input.ha1)
      .append(1, ':')
      .append(input.nonce)
      .append(1, ':')
      .append(input.nc)
      .append(1, ':')
      .append(input.cnonce);
  text.append(":auth:").append(ha2);
  return hash_hex_and_wipe(algorithm, std::move(text));
}

}  // namespace sealcast::sip
