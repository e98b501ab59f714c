// Each check of the tracker's documents alone: everything else about them is right.
#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "content/uri.hpp"
#include "tests/support/seeded_random.hpp"
#include "tracking/registry.hpp"

namespace sealcast::tracking {
namespace {

constexpr UnixSeconds k_now = 1800000000;
constexpr Instant k_start{std::chrono::seconds(1000)};
const std::string k_alice = "sip:alice@sealcast.test", k_bob = "sip:bob@sealcast.test",
                  k_cache = "sip:cache@sealcast.test";

class TrackingChecks : public testing::Test {
 protected:
  void announce(const std::string& who, Instant at, int expires) {
    Announcement a;
    a.swarms.push_back({root, PeerState::seed, {{0, 9}}, {}, std::nullopt, {}});
    EXPECT_EQ(registry.publish(at, who, who.find("cache") != who.npos, {}, expires, std::move(a)).status, 200);
  }
  std::string token(std::string_view changed = {}, json::Value value = {}, std::string_view type = "sealcast-token+jwt",
                    const crypto::PrivateKey* signer = nullptr) {
    json::Object payload{
        {"v", 1},       {"root", content::root_text(root)}, {"sub", inviter_hash(k_bob)}, {"aud", k_cache},
        {"iat", k_now}, {"exp", k_now + k_token_life}};
    if (!changed.empty()) payload[std::string(changed)] = std::move(value);
    return crypto::jws_sign(payload, type, signer ? *signer : key);
  }
  bool accepted(const std::string& jws) {
    return verify_token(jws, key.public_key(), inviter_hash(k_bob), k_cache, k_now).has_value();
  }
  bool claimed(const std::string& jws) {
    return claims_of(jws, key.public_key().thumbprint(), inviter_hash(k_bob), k_now).has_value();
  }

  test::SeededRandom random{42};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random);
  Registry registry{{"peers.sealcast.test"}, random};
  crypto::Digest root{1, 2, 3};
};

TEST_F(TrackingChecks, WhoHasExpiredIsListedNoMore) {
  announce(k_alice, k_start, 600);
  announce(k_cache, k_start, 900);
  EXPECT_EQ(registry.list(k_start + 599s, k_now, root, k_bob, false, key).peers.size(), 2u);
  // Nobody has called expire() yet.
  auto later = registry.list(k_start + 600s, k_now, root, k_bob, false, key);
  ASSERT_EQ(later.peers.size(), 1u);
  EXPECT_EQ(later.peers[0].uri, k_cache);
  EXPECT_TRUE(registry.list(k_start + 900s, k_now, root, k_bob, false, key).peers.empty());
}

TEST_F(TrackingChecks, APeerListHasItsLength) {
  for (int i = 0; i < 40; ++i) announce("sip:u" + std::to_string(i) + "@sealcast.test", k_start, 600);
  EXPECT_EQ(registry.list(k_start, k_now, root, k_bob, false, key).peers.size(), RegistryOptions{}.list_length);
}

TEST_F(TrackingChecks, APseudonymEndsWithWhatItStoodFor) {
  announce(k_alice, k_start, 600);
  auto uri = registry.list(k_start, k_now, root, k_bob, false, key).peers.at(0).uri;
  registry.expire(k_start + 3599s);
  EXPECT_TRUE(registry.behind(uri));
  registry.expire(k_start + 3600s);
  EXPECT_FALSE(registry.behind(uri));
  EXPECT_NE(registry.pseudonym(k_start + 3600s, k_alice, root), uri);
}

TEST_F(TrackingChecks, EveryMemberOfATokenIsChecked) {
  EXPECT_TRUE(accepted(token()) && claimed(token()));
  auto stranger = crypto::PrivateKey::generate(random);
  for (auto& bad : {token("sub", inviter_hash(k_alice)), token("root", "short"), token("v", 2),
                    token("iat", k_now + 100), token("exp", k_now - 100), token("pad", std::string(4096, 'x')),
                    token({}, {}, "sealcast-krsp+jwt"), token({}, {}, "sealcast-token+jwt", &stranger)}) {
    EXPECT_FALSE(accepted(bad)) << bad;
    EXPECT_FALSE(claimed(bad)) << bad;
  }
  EXPECT_FALSE(accepted(token("aud", "sip:cache-b@sealcast.test")));
  auto forged = token();
  auto dot = forged.rfind('.');
  forged[dot + 5] = forged[dot + 5] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(accepted(forged));
}

TEST_F(TrackingChecks, ATokenDoesNotSayWhoInvites) {
  EXPECT_EQ(inviter_hash(k_alice).size(), 43u);
  EXPECT_NE(inviter_hash(k_alice), inviter_hash(k_bob));
  EXPECT_NE(inviter_hash(k_alice), base64url(crypto::sha256(view_of(k_alice))));  // labelled
}

TEST_F(TrackingChecks, WithoutAListNobodyHasAccess) {
  EXPECT_FALSE(parse_access("{}"));
  EXPECT_FALSE(parse_access("{\"public\":false}"));
  EXPECT_FALSE(parse_access("{\"who\":\"sip:alice@sealcast.test\"}"));
  auto nobody = parse_access("{\"who\":[]}");
  ASSERT_TRUE(nobody);
  EXPECT_FALSE(nobody->allows(k_alice));
  EXPECT_TRUE(parse_access("{\"public\":true}")->allows(k_alice));
}

TEST_F(TrackingChecks, APeerHasAUriAndAToken) {
  auto parsed = [&](const std::string& uri, const std::string& jws) {
    return parse_peer_list(write_peer_list({root, "sip:me@x", {{uri, true, PeerState::seed, jws}}, {}})).has_value();
  };
  EXPECT_TRUE(parsed(k_cache, "t"));
  EXPECT_FALSE(parsed(k_cache, ""));
  EXPECT_FALSE(parsed("tel:+1", "t"));
  EXPECT_FALSE(parsed("sip:" + std::string(300, 'x'), "t"));
}

}  // namespace
}  // namespace sealcast::tracking
