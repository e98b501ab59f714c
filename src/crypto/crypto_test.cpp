#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "crypto/aead.hpp"
#include "crypto/certificate.hpp"
#include "crypto/jose.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::crypto {
namespace {

using test::SeededRandom;

TEST(Hash, FipsAndRfcVectors) {
  EXPECT_EQ(hex(sha256(view_of("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(md5(view_of("abc"))), "900150983cd24fb0d6963f7d28e17f72");
  // RFC 4231 section 4.3
  EXPECT_EQ(hex(hmac_sha256(view_of("Jefe"), view_of("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  // RFC 5869 A.1
  auto okm =
      hkdf_sha256(*parse_hex("000102030405060708090a0b0c"), Bytes(22, 0x0b), *parse_hex("f0f1f2f3f4f5f6f7f8f9"), 42);
  EXPECT_EQ(hex(okm.expose()), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  Sha256 pieces;
  pieces.update(view_of("a"));
  pieces.update(view_of("bc"));
  EXPECT_EQ(pieces.finish(), sha256(view_of("abc")));
}

TEST(KeyWrap, Rfc3394) {
  auto wrapped =
      wrap_key(*parse_hex("000102030405060708090A0B0C0D0E0F"), *parse_hex("00112233445566778899AABBCCDDEEFF"));
  EXPECT_EQ(hex(wrapped), "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
  EXPECT_EQ(hex(unwrap_key(*parse_hex("000102030405060708090A0B0C0D0E0F"), wrapped)->expose()),
            "00112233445566778899aabbccddeeff");
  wrapped[3] ^= 1;
  EXPECT_FALSE(unwrap_key(*parse_hex("000102030405060708090A0B0C0D0E0F"), wrapped));
}

TEST(AesGcm, SealsAndRefusesWhatWasChanged) {
  AesGcm key(*parse_hex("feffe9928665731c6d6a8f9467308308"));
  Bytes nonce = *parse_hex("cafebabefacedbaddecaf888"), plain(60, 7), sealed(76), opened(60);
  key.seal(nonce, view_of("aad"), plain, sealed);
  ASSERT_TRUE(key.open(nonce, view_of("aad"), sealed, opened));
  EXPECT_EQ(opened, plain);
  EXPECT_FALSE(key.open(nonce, view_of("aae"), sealed, opened));
  sealed[10] ^= 0x80;
  EXPECT_FALSE(key.open(nonce, view_of("aad"), sealed, opened));
  EXPECT_EQ(opened, Bytes(60, 0));
}

TEST(Jws, Rfc7515AppendixA3Verifies) {
  auto jwk = json::parse(R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
                         R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
  auto key = PublicKey::from_jwk(*jwk);
  ASSERT_TRUE(key);
  std::string input =
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
  auto signature =
      *parse_base64url("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  EXPECT_TRUE(key->verify(view_of(input), signature));
  input[0] = 'f';
  EXPECT_FALSE(key->verify(view_of(input), signature));
}

TEST(Jws, SignedDocumentsAreBoundToTypeKeyAndOctets) {
  SeededRandom random(1);
  auto key = PrivateKey::generate(random), other = PrivateKey::generate(random);
  auto compact = jws_sign(json::Object{{"v", 1}}, "test+jwt", key, true);
  ASSERT_TRUE(jws_verify(compact, "test+jwt", key.public_key()));
  ASSERT_TRUE(jws_verify_embedded(compact, "test+jwt"));
  EXPECT_EQ(jws_verify(compact, "else+jwt", key.public_key()).error(), JoseError::wrong_type);
  EXPECT_EQ(jws_verify(compact, "test+jwt", other.public_key()).error(), JoseError::unknown_key);
  for (std::size_t i = 0; i < compact.size(); ++i) {
    auto changed = compact;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(jws_verify(changed, "test+jwt", key.public_key())) << i;
  }
  auto none = base64url(view_of(R"({"alg":"none","typ":"test+jwt"})")) + "." + base64url(view_of("{}")) + ".";
  EXPECT_EQ(jws_verify(none, "test+jwt", key.public_key()).error(), JoseError::wrong_algorithm);
}

TEST(Jwe, OnlyTheRecipientOpensIt) {
  SeededRandom random(2);
  auto key = PrivateKey::generate(random), other = PrivateKey::generate(random);
  auto compact = jwe_encrypt(view_of("secret"), key.public_key(), view_of("u"), view_of("v"), random);
  EXPECT_EQ(string_of(jwe_decrypt(compact, key, view_of("u"), view_of("v"))->expose()), "secret");
  EXPECT_FALSE(jwe_decrypt(compact, other, view_of("u"), view_of("v")));
  EXPECT_FALSE(jwe_decrypt(compact, key, view_of("u"), view_of("w")));
  for (std::size_t i = 0; i < compact.size(); i += 3) {
    auto changed = compact;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(jwe_decrypt(changed, key, view_of("u"), view_of("v"))) << i;
  }
}

TEST(Ec, PointsOffTheCurveAndPrivateMembersAreRefused) {
  SeededRandom random(3);
  auto key = PrivateKey::generate(random);
  auto xy = key.public_key().coordinates();
  EXPECT_TRUE(PublicKey::from_coordinates(xy));
  xy[63] ^= 1;
  EXPECT_FALSE(PublicKey::from_coordinates(xy));
  auto jwk = *key.public_key().jwk().as_object();
  jwk["d"] = "AAAA";
  EXPECT_FALSE(PublicKey::from_jwk(jwk));
  auto again = PrivateKey::from_pem(key.pem());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->public_key(), key.public_key());
  EXPECT_FALSE(PrivateKey::from_pem("garbage"));
}

TEST(Certificate, IssuedByOurCa) {
  SeededRandom random(4);
  auto ca = make_ca({"CA", {}, 1000, 4000000000}, random);
  ASSERT_TRUE(ca);
  auto leaf =
      issue({"core.sealcast.test", {"DNS:core.sealcast.test", "DNS:127.0.0.1", "IP:127.0.0.1"}, 1000, 4000000000}, *ca,
            random);
  ASSERT_TRUE(leaf);
  EXPECT_NE(leaf->certificate_pem.find("BEGIN CERTIFICATE"), std::string::npos);
  EXPECT_FALSE(issue({"x", {}, 0, 1}, {"no", "no"}, random));
}

TEST(Certificate, LongNamesStandInTheAlternativeOnes) {
  SeededRandom random(5);
  auto ca = make_ca({"CA", {}, 1000, 4000000000}, random);
  ASSERT_TRUE(ca);
  for (auto& name :
       {"cache-" + std::string(40, 'a') + ".ims.mnc001.mcc001.3gppnetwork.org",
        std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(61, 'd')}) {
    auto leaf = issue({name, {"DNS:" + name}, 1000, 4000000000}, *ca, random);
    ASSERT_TRUE(leaf);
    auto facts = inspect_identity(leaf->certificate_pem + leaf->key_pem);
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->name, name);
    EXPECT_EQ(facts->not_before, 1000);
    EXPECT_EQ(facts->not_after, 4000000000);
  }
  EXPECT_FALSE(inspect_identity(ca->certificate_pem));
  auto other = make_ca({"CA", {}, 1000, 4000000000}, random);
  EXPECT_FALSE(inspect_identity(ca->certificate_pem + other->key_pem));
}

}  // namespace
}  // namespace sealcast::crypto
