#include <gtest/gtest.h>

#include "tests/support/seeded_random.hpp"
#include "tracking/registry.hpp"

namespace sealcast::tracking {
namespace {

constexpr UnixSeconds k_now = 1800000000;
const std::string k_alice = "sip:alice@sealcast.test", k_bob = "sip:bob@sealcast.test",
                  k_cache = "sip:cache@sealcast.test", k_keys = "sip:cache-b@sealcast.test";

class Tracking : public testing::Test {
 protected:
  test::SeededRandom random{41};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random);
  Registry registry{{"peers.sealcast.test"}, random};
  crypto::Digest root{1, 2, 3};

  Registry::Published announce(const std::string& who, PeerState state, const std::string& etag = {}, int expires = 600,
                               std::string keyinfo = {}) {
    Announcement a;
    a.swarms.push_back({root, state, {{0, 9}}, {}, std::nullopt, std::move(keyinfo)});
    return registry.publish(k_now, who, who.find("cache") != who.npos, etag, expires, std::move(a));
  }
};

TEST_F(Tracking, BodiesComeBack) {
  Announcement a;
  a.swarms.push_back({root, PeerState::seed, {{0, 9}, {20, 29}}, "desc", AccessList{false, {k_alice}}, "a~b"});
  auto back = parse_announcement(write_announcement(a));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->swarms[0].have, a.swarms[0].have);
  EXPECT_TRUE(back->swarms[0].access->allows(k_alice));
  EXPECT_FALSE(back->swarms[0].access->allows(k_bob));
  EXPECT_EQ(back->swarms[0].keyinfo, "a~b");
  PeerList list{root, "sip:me@peers.x", {{"sip:cache@x", true, PeerState::seed, "t"}}, {"k"}};
  EXPECT_EQ(parse_peer_list(write_peer_list(list))->peers[0].token, "t");
  EXPECT_EQ(parse_query(write_query({root, false, {}}))->root, root);
  EXPECT_TRUE(parse_query(write_query({std::nullopt, true, "x"}))->catalogue);
  EXPECT_EQ(parse_content_list(write_content_list({{"d"}, "n"}))->next, "n");
  for (auto* bad :
       {"", "{}", "[]", "{\"v\":1}", "{\"v\":2,\"sw\":[]}", "{\"v\":1,\"sw\":[{}]}",
        "{\"v\":1,\"sw\":[{\"id\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"st\":\"seed\",\"hv\":[[5,1]]}]}"}) {
    EXPECT_FALSE(parse_announcement(bad)) << bad;
    EXPECT_FALSE(parse_peer_list(bad)) << bad;
    EXPECT_FALSE(parse_query(bad)) << bad;
  }
}

TEST_F(Tracking, ListsCachesFirstOthersByPseudonymNeverOneself) {
  announce(k_alice, PeerState::seed);
  announce(k_cache, PeerState::seed);
  announce(k_bob, PeerState::leech);
  auto list = registry.list(k_now, root, k_bob, false, key);
  ASSERT_EQ(list.peers.size(), 2u);
  EXPECT_EQ(list.peers[0].uri, k_cache);
  EXPECT_EQ(list.peers[1].uri.find("alice"), std::string::npos);
  auto behind = registry.behind(list.peers[1].uri);
  ASSERT_TRUE(behind);
  EXPECT_EQ(behind->subscriber, k_alice);
  EXPECT_EQ(registry.behind(list.own_pseudonym)->subscriber, k_bob);
  EXPECT_EQ(registry.list(k_now, root, k_alice, false, key).own_pseudonym, list.peers[1].uri);
  EXPECT_TRUE(verify_token(list.peers[0].token, key.public_key(), inviter_hash(k_bob), k_cache, k_now));
}

TEST_F(Tracking, TokensAreForOnePairAndShortLived) {
  Token token{root, inviter_hash(k_bob), k_cache, k_now, k_now + k_token_life};
  auto jws = make_token(token, key);
  EXPECT_TRUE(verify_token(jws, key.public_key(), inviter_hash(k_bob), k_cache, k_now + 299));
  EXPECT_FALSE(verify_token(jws, key.public_key(), inviter_hash(k_alice), k_cache, k_now));
  EXPECT_FALSE(verify_token(jws, key.public_key(), inviter_hash(k_bob), k_keys, k_now));
  EXPECT_FALSE(verify_token(jws, key.public_key(), inviter_hash(k_bob), k_cache, k_now + 400));
  EXPECT_FALSE(
      verify_token(jws, crypto::PrivateKey::generate(random).public_key(), inviter_hash(k_bob), k_cache, k_now));
}

TEST_F(Tracking, KeyOnlyCachesAreKnownToCachesOnly) {
  announce(k_cache, PeerState::seed);
  announce(k_keys, PeerState::keys, {}, 600, "cert~info");
  EXPECT_TRUE(registry.list(k_now, root, k_bob, false, key).keyinfo.empty());
  auto list = registry.list(k_now, root, k_cache, true, key);
  EXPECT_EQ(list.keyinfo, std::vector<std::string>{"cert~info"});
  EXPECT_TRUE(list.peers.empty());
}

TEST_F(Tracking, SoftStateHasEtagsAndEnds) {
  auto first = announce(k_alice, PeerState::leech);
  EXPECT_EQ(announce(k_alice, PeerState::seed, "stale").status, 412);
  EXPECT_EQ(announce(k_bob, PeerState::seed, first.etag).status, 412);  // somebody else's
  auto second = registry.publish(k_now, k_alice, false, first.etag, 600, std::nullopt);
  EXPECT_EQ(second.status, 200);
  EXPECT_NE(second.etag, first.etag);
  EXPECT_EQ(registry.peers_of(root), 1u);
  EXPECT_FALSE(registry.take_changed().empty());
  EXPECT_TRUE(registry.take_changed().empty());
  registry.expire(k_now + 601);
  EXPECT_EQ(registry.peers_of(root), 0u);
  EXPECT_FALSE(registry.take_changed().empty());
  EXPECT_EQ(registry.publish(k_now, k_alice, false, second.etag, 600, std::nullopt).status, 412);
  auto third = announce(k_alice, PeerState::seed);
  EXPECT_EQ(announce(k_alice, PeerState::seed, third.etag, 0).status, 200);
  EXPECT_EQ(registry.peers_of(root), 0u);
}

TEST_F(Tracking, UesCannotFillTheRegistry) {
  Announcement many;
  for (int i = 0; i < 257; ++i)
    many.swarms.push_back({crypto::Digest{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)},
                           PeerState::seed,
                           {},
                           {},
                           std::nullopt,
                           {}});
  EXPECT_EQ(registry.publish(k_now, k_alice, false, {}, 600, many).status, 413);
  EXPECT_EQ(registry.publish(k_now, k_cache, true, {}, 600, many).status, 200);
  // Nor by announcing again and again; what is refused leaves earlier announcements alone.
  many.swarms.resize(1);
  std::string etag;
  for (int i = 0; i < 64; ++i) {
    auto done = registry.publish(k_now, k_alice, false, {}, 600, many);
    EXPECT_EQ(done.status, 200);
    etag = done.etag;
  }
  EXPECT_EQ(registry.publish(k_now, k_alice, false, {}, 600, many).status, 413);
  EXPECT_EQ(registry.publish(k_now, k_alice, false, etag, 600, std::nullopt).status, 200);
}

}  // namespace
}  // namespace sealcast::tracking
