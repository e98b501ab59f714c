#include "crypto/ec.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "base/assert.hpp"
#include "base/encoding.hpp"
#include "crypto/openssl.hpp"

namespace sealcast::crypto {
namespace {

const EC_GROUP* group() {
  static EC_GROUP* curve = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
  SEALCAST_ASSERT(curve != nullptr);
  return curve;
}

// 0x04 || X || Y, the uncompressed form.
std::array<std::uint8_t, 65> uncompressed(const PublicKey::Coordinates& xy) {
  std::array<std::uint8_t, 65> out;
  out[0] = 4;
  std::copy(xy.begin(), xy.end(), out.begin() + 1);
  return out;
}

EvpKey make_key(const PublicKey::Coordinates& xy, ByteView scalar) {
  auto point = uncompressed(xy);
  std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder(OSSL_PARAM_BLD_new(), &OSSL_PARAM_BLD_free);
  Number d(scalar.empty() ? nullptr : BN_secure_new(), &BN_clear_free);
  if (d) SEALCAST_ASSERT(BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), d.get()) != nullptr);
  bool good =
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 1 &&
      (!d || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get()) == 1);
  std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> parameters(
      good ? OSSL_PARAM_BLD_to_param(builder.get()) : nullptr, &OSSL_PARAM_free);
  std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), &EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  good = parameters && context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
         EVP_PKEY_fromdata(context.get(), &key, d ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  SEALCAST_ASSERT(good);
  return EvpKey(key, &EVP_PKEY_free);
}

// scalar * G; empty when the scalar is not in 1 .. n-1.
std::optional<PublicKey::Coordinates> multiply_base(ByteView scalar) {
  Number d(BN_secure_new(), &BN_clear_free), x(BN_new(), &BN_clear_free), y(BN_new(), &BN_clear_free);
  SEALCAST_ASSERT(d && x && y && BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), d.get()));
  if (BN_is_zero(d.get()) || BN_cmp(d.get(), EC_GROUP_get0_order(group())) >= 0) return std::nullopt;
  std::unique_ptr<EC_POINT, decltype(&EC_POINT_free)> point(EC_POINT_new(group()), &EC_POINT_free);
  bool good = point && EC_POINT_mul(group(), point.get(), d.get(), nullptr, nullptr, nullptr) == 1 &&
              EC_POINT_get_affine_coordinates(group(), point.get(), x.get(), y.get(), nullptr) == 1;
  SEALCAST_ASSERT(good);
  PublicKey::Coordinates out;
  SEALCAST_ASSERT(BN_bn2binpad(x.get(), out.data(), 32) == 32 && BN_bn2binpad(y.get(), out.data() + 32, 32) == 32);
  return out;
}

}  // namespace

std::optional<PublicKey> PublicKey::from_coordinates(ByteView xy) {
  if (xy.size() != 64) return std::nullopt;
  PublicKey out;
  std::copy(xy.begin(), xy.end(), out.xy_.begin());
  auto octets = uncompressed(out.xy_);
  std::unique_ptr<EC_POINT, decltype(&EC_POINT_free)> point(EC_POINT_new(group()), &EC_POINT_free);
  // Checks that the point is on the curve; P-256 has cofactor 1, and the uncompressed form cannot say "infinity".
  if (!point || EC_POINT_oct2point(group(), point.get(), octets.data(), octets.size(), nullptr) != 1)
    return std::nullopt;
  return out;
}

std::optional<PublicKey> PublicKey::from_jwk(const json::Value& jwk) {
  if (jwk.string_or("kty") != "EC" || jwk.string_or("crv") != "P-256" || jwk.find("d")) return std::nullopt;
  auto x = parse_base64url(jwk.string_or("x")), y = parse_base64url(jwk.string_or("y"));
  if (!x || !y || x->size() != 32 || y->size() != 32) return std::nullopt;
  x->insert(x->end(), y->begin(), y->end());
  return from_coordinates(*x);
}

json::Value PublicKey::jwk() const {
  ByteView xy(xy_);
  return json::Object{{"kty", "EC"}, {"crv", "P-256"}, {"x", base64url(xy.first(32))}, {"y", base64url(xy.last(32))}};
}

// RFC 7638 section 3: the required members in lexicographic order, without white space; which is what Value::text()
// writes.
std::string PublicKey::thumbprint() const {
  return base64url(sha256(view_of(jwk().text())));
}

bool PublicKey::verify(ByteView message, ByteView signature64) const {
  if (signature64.size() != 64) return false;
  std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> signature(ECDSA_SIG_new(), &ECDSA_SIG_free);
  auto* r = BN_bin2bn(signature64.data(), 32, nullptr);
  auto* s = BN_bin2bn(signature64.data() + 32, 32, nullptr);
  SEALCAST_ASSERT(signature && ECDSA_SIG_set0(signature.get(), r, s) == 1);
  std::uint8_t* der = nullptr;
  int size = i2d_ECDSA_SIG(signature.get(), &der);
  SEALCAST_ASSERT(size > 0);
  auto key = make_key(xy_, {});
  DigestContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool good = EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
              EVP_DigestVerify(context.get(), der, static_cast<std::size_t>(size), message.data(), message.size()) == 1;
  OPENSSL_free(der);
  return good;
}

PrivateKey PrivateKey::generate(RandomSource& random) {
  for (;;) {
    Secret<32> scalar;
    random.fill(scalar.fill());
    if (auto key = from_scalar(scalar.expose())) return std::move(*key);
  }
}

std::optional<PrivateKey> PrivateKey::from_scalar(ByteView d) {
  if (d.size() != 32) return std::nullopt;
  auto xy = multiply_base(d);
  if (!xy) return std::nullopt;
  PrivateKey out;
  out.scalar_ = Secret<32>(d.first<32>());
  out.public_ = *PublicKey::from_coordinates(*xy);
  return out;
}

PrivateKey PrivateKey::duplicate() const {
  PrivateKey out;
  out.scalar_ = scalar_.duplicate();
  out.public_ = public_;
  return out;
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  EvpKey key(PEM_read_bio_PrivateKey(
                 bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr),
             &EVP_PKEY_free);
  BIGNUM* raw = nullptr;
  if (!key || EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_PRIV_KEY, &raw) != 1)
    return fail(ErrorCode::usage, "holds no unencrypted private key in PEM");
  Number d(raw, &BN_clear_free);
  Secret<32> scalar;
  char curve[32] = {};
  std::size_t size = 0;
  bool good = EVP_PKEY_get_group_name(key.get(), curve, sizeof curve, &size) == 1 &&
              std::string_view(curve) == "prime256v1" && BN_bn2binpad(d.get(), scalar.fill().data(), 32) == 32;
  auto out = good ? from_scalar(scalar.expose()) : std::nullopt;
  if (!out) return fail(ErrorCode::usage, "holds a key that is not on the curve P-256");
  return std::move(*out);
}

std::string PrivateKey::pem() const {
  auto key = make_key(public_.coordinates(), scalar_.expose());
  Bio bio(BIO_new(BIO_s_secmem()), &BIO_free_all);
  SEALCAST_ASSERT(bio &&
                  PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* data = nullptr;
  auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::array<std::uint8_t, 64> PrivateKey::sign(ByteView message) const {
  auto key = make_key(public_.coordinates(), scalar_.expose());
  DigestContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::uint8_t der[80];
  std::size_t size = sizeof der;
  bool good = EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
              EVP_DigestSign(context.get(), der, &size, message.data(), message.size()) == 1;
  SEALCAST_ASSERT(good);
  const std::uint8_t* at = der;
  std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)),
                                                                  &ECDSA_SIG_free);
  std::array<std::uint8_t, 64> out;
  good = signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out.data(), 32) == 32 &&
         BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out.data() + 32, 32) == 32;
  SEALCAST_ASSERT(good);
  return out;
}

Secret<32> PrivateKey::agree(const PublicKey& peer) const {
  auto mine = make_key(public_.coordinates(), scalar_.expose());
  auto theirs = make_key(peer.coordinates(), {});
  std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new(mine.get(), nullptr),
                                                                      &EVP_PKEY_CTX_free);
  Secret<32> out;
  std::size_t size = 32;
  bool good = context && EVP_PKEY_derive_init(context.get()) == 1 &&
              EVP_PKEY_derive_set_peer(context.get(), theirs.get()) == 1 &&
              EVP_PKEY_derive(context.get(), out.fill().data(), &size) == 1 && size == 32;
  SEALCAST_ASSERT(good);
  return out;
}

}  // namespace sealcast::crypto
