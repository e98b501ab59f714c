#include "tracking/admission.hpp"

#include <gtest/gtest.h>

#include "tests/support/seeded_random.hpp"

namespace sealcast::tracking {
namespace {

constexpr UnixSeconds k_wall = 1800000000;
const std::string k_alice = "sip:alice@sealcast.test", k_cache = "sip:cache@sealcast.test";

class Admissions : public testing::Test {
 protected:
  test::SeededRandom random{17};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random), foreign = crypto::PrivateKey::generate(random);
  TokenGate gate{{10, 1}};
  Instant now{};
  int asked = 0;

  std::string token(std::uint8_t root, const crypto::PrivateKey& signer, const std::string& audience = k_cache,
                    UnixSeconds issued = k_wall) {
    return make_token({crypto::Digest{root}, inviter_hash(k_alice), audience, issued, issued + k_token_life}, signer);
  }
  // Genuine in everything but the signature.
  std::string forged(std::uint8_t root) {
    auto out = token(root, key);
    out[out.size() - 20] = out[out.size() - 20] == 'A' ? 'B' : 'A';
    return out;
  }
  Admission admit(const std::vector<std::string>& tokens) {
    return gate.admit(now, k_wall, {k_alice, inviter_hash(k_alice)}, tokens, key.public_key(),
                      [this](const Token& claims) -> Expected<std::string, std::string> {
                        ++asked;
                        if (claims.root[0] > 9) return unexpected(std::string("Not entitled"));
                        return k_cache;
                      });
  }
};

TEST_F(Admissions, EachGoodTokenAdmitsItsSwarmOnce) {
  auto out = admit({token(1, key), token(2, key), token(1, key), forged(3), token(10, key)});
  EXPECT_EQ(out.swarms, (std::vector<crypto::Digest>{{1}, {2}}));
  EXPECT_EQ(out.retry_after, 0);
}

TEST_F(Admissions, MoreThanEightTokensAreRefusedUnread) {
  auto out = admit(std::vector<std::string>(9, token(1, key)));
  EXPECT_TRUE(out.swarms.empty());
  EXPECT_EQ(out.status, 403);
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(admit(std::vector<std::string>(8, token(1, key))).swarms.size(), 1u);
}

TEST_F(Admissions, WhatIsWrongByItsWordsCostsNoSignature) {
  // Ten signatures are the budget: none of these touches it.
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(admit({"x", token(1, foreign), token(2, key, "sip:cache-b@sealcast.test"), token(3, key, k_cache, 5),
                       token(10, key), token(4, key, "")})
                    .swarms.empty());
  }
  EXPECT_EQ(admit({token(1, key)}).swarms.size(), 1u);
}

TEST_F(Admissions, ForgedTokensSpendTheirCallersBudgetAndNobodyElses) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(admit({forged(1)}).status, 403);
  auto spent = admit({token(1, key)});
  EXPECT_EQ(spent.status, 503);
  EXPECT_EQ(spent.retry_after, 1);
  EXPECT_TRUE(spent.swarms.empty());
  auto other = gate.admit(now, k_wall, {"sip:bob@sealcast.test", inviter_hash(k_alice)}, {token(1, key)},
                          key.public_key(), [](const Token&) { return Expected<std::string, std::string>(k_cache); });
  EXPECT_EQ(other.swarms.size(), 1u);
  now += 2s;
  EXPECT_EQ(admit({token(1, key)}).swarms.size(), 1u);
}

TEST_F(Admissions, ATokenForAnotherDeviceIsNotAddressedToUs) {
  EXPECT_FALSE(admit({}).addressed);
  EXPECT_FALSE(admit({token(1, key, "sip:x@peers.sealcast.test")}).addressed);
  EXPECT_TRUE(admit({forged(1)}).addressed);
}

}  // namespace
}  // namespace sealcast::tracking
