// Checks of signed and encrypted documents, each alone.
#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "crypto/jose.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::crypto {
namespace {

struct JoseChecks : testing::Test {
  std::string signed_with(json::Object header) {
    header["kid"] = key.public_key().thumbprint();
    auto input = base64url(view_of(json::Value(std::move(header)).text())) + "." + base64url(view_of("{\"v\":1}"));
    return input + "." + base64url(key.sign(view_of(input)));
  }
  JoseError error_of(const std::string& compact) {
    auto verified = jws_verify(compact, "t", key.public_key());
    EXPECT_FALSE(verified);
    return verified ? JoseError::bad_tag : verified.error();
  }
  test::SeededRandom random{3};
  PrivateKey key = PrivateKey::generate(random);
};

TEST_F(JoseChecks, WhatMustBeUnderstoodIsRefused) {
  EXPECT_TRUE(jws_verify(signed_with({{"alg", "ES256"}, {"typ", "t"}}), "t", key.public_key()));
  EXPECT_EQ(error_of(signed_with({{"alg", "ES256"}, {"typ", "t"}, {"crit", json::Array{"exp"}}})),
            JoseError::malformed);
  EXPECT_EQ(error_of(signed_with({{"alg", "ES256"}, {"typ", "t"}, {"b64", false}})), JoseError::malformed);
  EXPECT_EQ(error_of(signed_with({{"alg", "HS256"}, {"typ", "t"}})), JoseError::wrong_algorithm);
}

TEST_F(JoseChecks, ADocumentHasALength) {
  auto document = [&](std::size_t size) { return jws_sign(json::Object{{"pad", std::string(size, 'x')}}, "t", key); };
  EXPECT_TRUE(jws_verify(document(40000), "t", key.public_key()));
  EXPECT_EQ(error_of(document(60000)), JoseError::too_long);
  EXPECT_FALSE(jws_peek(document(60000)));
}

TEST_F(JoseChecks, OnlyOneWayOfEncryptionIsKnown) {
  auto compact = jwe_encrypt(view_of("secret"), key.public_key(), view_of("u"), view_of("v"), random);
  auto dot = compact.find('.');
  auto header = *json::parse(string_of(*parse_base64url(compact.substr(0, dot))))->as_object();
  for (auto [member, value] : {std::pair{"alg", "ECDH-ES"}, std::pair{"enc", "A256GCM"}}) {
    auto changed = header;
    changed[member] = value;
    auto other = base64url(view_of(json::Value(changed).text())) + compact.substr(dot);
    auto opened = jwe_decrypt(other, key, view_of("u"), view_of("v"));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), JoseError::wrong_algorithm);
  }
}

}  // namespace
}  // namespace sealcast::crypto
