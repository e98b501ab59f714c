#pragma once
// Compact JWS (RFC 7515, ES256 only) and JWE (RFC 7516, ECDH-ES+A128KW with A128GCM only).
#include "crypto/ec.hpp"

namespace sealcast::crypto {

struct JwsHeader {
  std::string typ;
  std::string kid;
  std::optional<PublicKey> jwk;  // header member "jwk", if the signer put one in
};
struct Jws {
  JwsHeader header;
  json::Value payload;  // an object
};
enum class JoseError { too_long, malformed, wrong_type, wrong_algorithm, unknown_key, bad_signature, bad_tag };
std::string_view text(JoseError error);  // "the signature does not verify", ...

// header: {"alg":"ES256","typ":typ,"kid":thumbprint[,"jwk":…]}.
std::string jws_sign(const json::Value& payload, std::string_view typ, const PrivateKey& key, bool with_jwk = false);
// Checks size (<= 64 KiB), typ, alg, kid = thumbprint of `key`, signature; then parses the payload strictly.
Expected<Jws, JoseError> jws_verify(std::string_view compact, std::string_view typ, const PublicKey& key);
// The same with the key that the header carries in "jwk": the caller must know why it may believe that key.
Expected<Jws, JoseError> jws_verify_embedded(std::string_view compact, std::string_view typ);
// Header and payload of a JWS whose signature is NOT checked: to find out whose key to verify with.
Expected<Jws, JoseError> jws_peek(std::string_view compact);

// apu, apv: raw octets, they go base64url into the header and, raw, into the Concat KDF (RFC 7518 section 4.6.2).
std::string jwe_encrypt(ByteView plaintext, const PublicKey& recipient, ByteView apu, ByteView apv,
                        RandomSource& random);
// Refuses any other alg/enc, unknown "crit", an epk off the curve, an apu/apv different from those given.
Expected<SecretBytes, JoseError> jwe_decrypt(std::string_view compact, const PrivateKey& recipient, ByteView apu,
                                             ByteView apv);

}  // namespace sealcast::crypto
