// JWS, JWE and keys: foreign documents, documents that the right key signed over a spoilt header or payload, and keys
// in their forms.
#include "crypto/jose.hpp"

#include "base/encoding.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

namespace {

constexpr std::string_view k_type = "fuzz+jwt";

void read(std::string_view compact, const crypto::PrivateKey& key) {
  (void)crypto::jws_verify_embedded(compact, k_type);
  (void)crypto::jwe_decrypt(compact, key, view_of("u"), view_of("v"));
  auto verified = crypto::jws_verify(compact, k_type, key.public_key());
  if (!verified) return;
  auto peeked = crypto::jws_peek(compact);
  SEALCAST_ASSERT(peeked && peeked->payload.text() == verified->payload.text() && verified->payload.as_object() &&
                  verified->header.typ == k_type);
}

void signed_by_us(fuzz::Input& in, const crypto::PrivateKey& key) {
  json::Object header{
      {"alg", "ES256"}, {"typ", k_type}, {"kid", key.public_key().thumbprint()}, {"jwk", key.public_key().jwk()}};
  auto text = base64url(view_of(json::Value(fuzz::spoil(std::move(header), in)).text())) + ".";
  text += base64url(in.flag() ? in.take(in.u8())
                              : view_of(json::Value(fuzz::spoil({{"a", 1}, {"b", json::Array{"x"}}}, in)).text()));
  auto compact = text + "." + base64url(key.sign(view_of(text)));
  read(compact, key);
  read(string_of(fuzz::damage(view_of(compact), in)), key);
}

void sealed_for_us(fuzz::Input& in, const crypto::PrivateKey& key) {
  fuzz::FixedRandom random;
  auto plain = bytes_of(in.take(in.u8()));
  auto compact = crypto::jwe_encrypt(plain, key.public_key(), view_of("u"), view_of("v"), random);
  auto opened = crypto::jwe_decrypt(compact, key, view_of("u"), view_of("v"));
  SEALCAST_ASSERT(opened && equal(opened->expose(), plain));
  auto changed = string_of(fuzz::damage(view_of(compact), in));
  SEALCAST_ASSERT(changed == compact || !crypto::jwe_decrypt(changed, key, view_of("u"), view_of("v")));
  // A header that only its own authors would sign off: the parts behind it stay.
  auto dot = compact.find('.');
  auto header = json::parse(string_of(*parse_base64url(compact.substr(0, dot))));
  auto spoilt = base64url(view_of(json::Value(fuzz::spoil(*header->as_object(), in)).text())) + compact.substr(dot);
  (void)crypto::jwe_decrypt(spoilt, key, view_of("u"), view_of("v"));
}

void keys(fuzz::Input& in, const crypto::PrivateKey& key) {
  auto jwk = key.public_key().jwk();
  auto read_key = crypto::PublicKey::from_jwk(fuzz::spoil(*jwk.as_object(), in));
  if (read_key) SEALCAST_ASSERT(crypto::PublicKey::from_coordinates(read_key->coordinates()) == read_key);
  auto point = fuzz::damage(key.public_key().coordinates(), in);
  if (auto on_curve = crypto::PublicKey::from_coordinates(point)) (void)on_curve->verify(view_of("m"), in.take(64));
  (void)crypto::PrivateKey::from_scalar(in.take(32));
  auto pem = string_of(fuzz::damage(view_of(key.pem()), in));
  if (auto again = crypto::PrivateKey::from_pem(pem)) SEALCAST_ASSERT(crypto::PrivateKey::from_pem(again->pem()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto key = fuzz::key(1);
  read(string_of({data, size}), key);
  fuzz::Input in(data, size);
  switch (in.u8() % 3) {
    case 0:
      signed_by_us(in, key);
      break;
    case 1:
      sealed_for_us(in, key);
      break;
    default:
      keys(in, key);
  }
  return 0;
}
