#include "crypto/jose.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/encoding.hpp"
#include "crypto/aead.hpp"

namespace sealcast::crypto {
namespace {

constexpr std::size_t k_longest = 65536;

// The parts of a compact serialization; empty when their number differs.
std::vector<std::string_view> split(std::string_view compact, std::size_t parts) {
  std::vector<std::string_view> out;
  for (std::size_t from = 0;;) {
    auto dot = compact.find('.', from);
    out.push_back(compact.substr(from, dot == compact.npos ? compact.npos : dot - from));
    if (dot == compact.npos) break;
    from = dot + 1;
    if (out.size() > parts) return {};
  }
  if (out.size() != parts) out.clear();
  return out;
}

std::optional<json::Value> object_of(std::string_view part) {
  auto octets = parse_base64url(part);
  if (!octets) return std::nullopt;
  auto value = json::parse(string_of(*octets));
  if (!value || !value->as_object()) return std::nullopt;
  return std::move(*value);
}

// A point is decoded only where the key in the header counts: that costs as much as other checks together.
enum class HeaderKey { ignored, wanted };
Expected<JwsHeader, JoseError> header_of(std::string_view part, HeaderKey header_key) {
  auto document = object_of(part);
  if (!document) return unexpected(JoseError::malformed);
  if (document->string_or("alg") != "ES256") return unexpected(JoseError::wrong_algorithm);
  if (document->find("crit") || document->find("b64")) return unexpected(JoseError::malformed);
  JwsHeader out{document->string_or("typ"), document->string_or("kid"), std::nullopt};
  if (auto* jwk = document->find("jwk"); jwk && header_key == HeaderKey::wanted) {
    out.jwk = PublicKey::from_jwk(*jwk);
    if (!out.jwk) return unexpected(JoseError::malformed);
  }
  return out;
}

Expected<Jws, JoseError> parse(std::string_view compact, std::string_view typ, const PublicKey* key) {
  if (compact.size() > k_longest) return unexpected(JoseError::too_long);
  auto parts = split(compact, 3);
  if (parts.empty()) return unexpected(JoseError::malformed);
  auto header = header_of(parts[0], key ? HeaderKey::ignored : HeaderKey::wanted);
  if (!header) return unexpected(header.error());
  if (header->typ != typ) return unexpected(JoseError::wrong_type);
  if (!key) key = header->jwk ? &*header->jwk : nullptr;
  if (!key || header->kid != key->thumbprint()) return unexpected(JoseError::unknown_key);
  auto signature = parse_base64url(parts[2]);
  if (!signature) return unexpected(JoseError::malformed);
  if (!key->verify(view_of(compact.substr(0, parts[0].size() + 1 + parts[1].size())), *signature))
    return unexpected(JoseError::bad_signature);
  auto payload = object_of(parts[1]);
  if (!payload) return unexpected(JoseError::malformed);
  return Jws{std::move(*header), std::move(*payload)};
}

void append_sized(Bytes& into, ByteView data) {
  for (int shift = 24; shift >= 0; shift -= 8) into.push_back(static_cast<std::uint8_t>(data.size() >> shift));
  into.insert(into.end(), data.begin(), data.end());
}

// Concat KDF for ECDH-ES+A128KW (RFC 7518 section 4.6.2): one round of SHA-256, 128 bits taken.
Secret<16> derive(const Secret<32>& agreed, ByteView apu, ByteView apv) {
  Bytes input = {0, 0, 0, 1};
  input.insert(input.end(), agreed.expose().begin(), agreed.expose().end());
  append_sized(input, view_of("ECDH-ES+A128KW"));
  append_sized(input, apu);
  append_sized(input, apv);
  input.insert(input.end(), {0, 0, 0, 128});
  auto digest = sha256(input);
  wipe(input);
  Secret<16> out(std::span<const std::uint8_t, 16>(digest.data(), 16));
  wipe(digest);
  return out;
}

}  // namespace

std::string_view text(JoseError error) {
  switch (error) {
    case JoseError::too_long:
      return "the document is longer than 64 KiB";
    case JoseError::malformed:
      return "the document is malformed";
    case JoseError::wrong_type:
      return "the document is of another type";
    case JoseError::wrong_algorithm:
      return "the document names an algorithm that is not allowed";
    case JoseError::unknown_key:
      return "the document is signed by an unknown key";
    case JoseError::bad_signature:
      return "the signature does not verify";
    case JoseError::bad_tag:
      return "the document does not decrypt with this key";
  }
  return "unknown error";
}

std::string jws_sign(const json::Value& payload, std::string_view typ, const PrivateKey& key, bool with_jwk) {
  json::Object header{{"alg", "ES256"}, {"typ", typ}, {"kid", key.public_key().thumbprint()}};
  if (with_jwk) header["jwk"] = key.public_key().jwk();
  auto input = base64url(view_of(json::Value(std::move(header)).text())) + "." + base64url(view_of(payload.text()));
  return input + "." + base64url(key.sign(view_of(input)));
}

Expected<Jws, JoseError> jws_verify(std::string_view compact, std::string_view typ, const PublicKey& key) {
  return parse(compact, typ, &key);
}
Expected<Jws, JoseError> jws_verify_embedded(std::string_view compact, std::string_view typ) {
  return parse(compact, typ, nullptr);
}

Expected<Jws, JoseError> jws_peek(std::string_view compact) {
  if (compact.size() > k_longest) return unexpected(JoseError::too_long);
  auto parts = split(compact, 3);
  if (parts.empty()) return unexpected(JoseError::malformed);
  auto header = header_of(parts[0], HeaderKey::ignored);
  if (!header) return unexpected(header.error());
  auto payload = object_of(parts[1]);
  if (!payload) return unexpected(JoseError::malformed);
  return Jws{std::move(*header), std::move(*payload)};
}

std::string jwe_encrypt(ByteView plaintext, const PublicKey& recipient, ByteView apu, ByteView apv,
                        RandomSource& random) {
  auto ephemeral = PrivateKey::generate(random);
  auto wrapping = derive(ephemeral.agree(recipient), apu, apv);
  Secret<16> content_key;
  random.fill(content_key.fill());
  std::array<std::uint8_t, k_gcm_nonce> nonce;
  random.fill(nonce);
  json::Value header(json::Object{{"alg", "ECDH-ES+A128KW"},
                                  {"enc", "A128GCM"},
                                  {"epk", ephemeral.public_key().jwk()},
                                  {"apu", base64url(apu)},
                                  {"apv", base64url(apv)}});
  auto protected_header = base64url(view_of(header.text()));
  Bytes sealed(plaintext.size() + k_gcm_tag);
  AesGcm(content_key.expose()).seal(nonce, view_of(protected_header), plaintext, sealed);
  ByteView whole(sealed);
  return protected_header + "." + base64url(wrap_key(wrapping.expose(), content_key.expose())) + "." +
         base64url(nonce) + "." + base64url(whole.first(plaintext.size())) + "." + base64url(whole.last(k_gcm_tag));
}

Expected<SecretBytes, JoseError> jwe_decrypt(std::string_view compact, const PrivateKey& recipient, ByteView apu,
                                             ByteView apv) {
  if (compact.size() > k_longest) return unexpected(JoseError::too_long);
  auto parts = split(compact, 5);
  if (parts.empty()) return unexpected(JoseError::malformed);
  auto header = object_of(parts[0]);
  if (!header || header->find("crit") || header->find("zip")) return unexpected(JoseError::malformed);
  if (header->string_or("alg") != "ECDH-ES+A128KW" || header->string_or("enc") != "A128GCM")
    return unexpected(JoseError::wrong_algorithm);
  auto* epk = header->find("epk");
  auto ephemeral = epk ? PublicKey::from_jwk(*epk) : std::nullopt;
  if (!ephemeral) return unexpected(JoseError::unknown_key);
  if (header->string_or("apu") != base64url(apu) || header->string_or("apv") != base64url(apv))
    return unexpected(JoseError::bad_tag);
  auto wrapped = parse_base64url(parts[1]), nonce = parse_base64url(parts[2]), text = parse_base64url(parts[3]),
       tag = parse_base64url(parts[4]);
  if (!wrapped || !nonce || !text || !tag || nonce->size() != k_gcm_nonce || tag->size() != k_gcm_tag)
    return unexpected(JoseError::malformed);
  auto content_key = unwrap_key(derive(recipient.agree(*ephemeral), apu, apv).expose(), *wrapped);
  if (!content_key || content_key->size() != 16) return unexpected(JoseError::bad_tag);
  text->insert(text->end(), tag->begin(), tag->end());
  SecretBytes out(text->size() - k_gcm_tag);
  if (!AesGcm(content_key->expose()).open(*nonce, view_of(parts[0]), *text, out.fill()))
    return unexpected(JoseError::bad_tag);
  return out;
}

}  // namespace sealcast::crypto
