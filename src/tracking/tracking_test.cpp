#include <gtest/gtest.h>

#include "tests/support/seeded_random.hpp"
#include "tracking/registry.hpp"

namespace sealcast::tracking {
namespace {

constexpr UnixSeconds k_wall = 1800000000;
constexpr Instant k_now{std::chrono::seconds(1000)};
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
  auto list = registry.list(k_now, k_wall, root, k_bob, false, key);
  ASSERT_EQ(list.peers.size(), 2u);
  EXPECT_EQ(list.peers[0].uri, k_cache);
  EXPECT_EQ(list.peers[1].uri.find("alice"), std::string::npos);
  auto behind = registry.behind(list.peers[1].uri);
  ASSERT_TRUE(behind);
  EXPECT_EQ(behind->subscriber, k_alice);
  EXPECT_EQ(registry.behind(list.own_pseudonym)->subscriber, k_bob);
  EXPECT_EQ(registry.list(k_now, k_wall, root, k_alice, false, key).own_pseudonym, list.peers[1].uri);
  EXPECT_TRUE(verify_token(list.peers[0].token, key.public_key(), inviter_hash(k_bob), k_cache, k_wall));
}

TEST_F(Tracking, TokensAreForOnePairAndShortLived) {
  Token token{root, inviter_hash(k_bob), k_cache, k_wall, k_wall + k_token_life};
  auto jws = make_token(token, key);
  EXPECT_TRUE(verify_token(jws, key.public_key(), inviter_hash(k_bob), k_cache, k_wall + 299));
  EXPECT_FALSE(verify_token(jws, key.public_key(), inviter_hash(k_alice), k_cache, k_wall));
  EXPECT_FALSE(verify_token(jws, key.public_key(), inviter_hash(k_bob), k_keys, k_wall));
  EXPECT_FALSE(verify_token(jws, key.public_key(), inviter_hash(k_bob), k_cache, k_wall + k_token_life))
      << "its end is its end";
  EXPECT_FALSE(
      verify_token(jws, crypto::PrivateKey::generate(random).public_key(), inviter_hash(k_bob), k_cache, k_wall));
}

TEST_F(Tracking, KeyOnlyCachesAreKnownToCachesOnly) {
  announce(k_cache, PeerState::seed);
  announce(k_keys, PeerState::keys, {}, 600, "cert~info");
  EXPECT_TRUE(registry.list(k_now, k_wall, root, k_bob, false, key).keyinfo.empty());
  auto list = registry.list(k_now, k_wall, root, k_cache, true, key);
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
  registry.expire(k_now + 601s);
  EXPECT_EQ(registry.peers_of(root), 0u);
  EXPECT_FALSE(registry.take_changed().empty());
  EXPECT_EQ(registry.publish(k_now, k_alice, false, second.etag, 600, std::nullopt).status, 412);
  auto third = announce(k_alice, PeerState::seed);
  EXPECT_EQ(announce(k_alice, PeerState::seed, third.etag, 0).status, 200);
  EXPECT_EQ(registry.peers_of(root), 0u);
}

TEST_F(Tracking, AnnouncementsAreBoundedByWhatTheyCost) {
  Registry small{{"peers.sealcast.test", 100, 20, 50}, random};
  Announcement many;
  for (std::uint8_t i = 0; i < 20; ++i)
    many.swarms.push_back({crypto::Digest{i}, PeerState::seed, {}, {}, std::nullopt, {}});
  auto one = many;
  one.swarms.resize(1);
  EXPECT_EQ(small.publish(k_now, k_alice, false, {}, 600, many).status, 413);  // 21 of 20
  // However many processes come one after the other, what has left costs nothing.
  for (int i = 0; i < 200; ++i) {
    auto done = small.publish(k_now, k_alice, false, {}, 600, one);
    ASSERT_EQ(done.status, 200);
    ASSERT_EQ(small.publish(k_now, k_alice, false, done.etag, 0, std::nullopt).status, 200);
  }
  std::string etag;
  for (int i = 0; i < 10; ++i) etag = small.publish(k_now, k_alice, false, {}, 600, one).etag;
  EXPECT_EQ(small.publish(k_now, k_alice, false, {}, 600, one).status, 413);
  // What is refused leaves the earlier one as it was.
  EXPECT_EQ(small.publish(k_now, k_alice, false, etag, 600, many).status, 413);
  EXPECT_EQ(small.publish(k_now, k_alice, false, etag, 600, std::nullopt).status, 200);
  EXPECT_EQ(small.publish(k_now, k_bob, false, {}, 600, one).status, 200);
  EXPECT_EQ(small.publish(k_now, k_cache, true, {}, 600, many).status, 200);
}

TEST_F(Tracking, OneThatIsStartedAgainReplacesWhatItAnnouncedBefore) {
  for (int i = 0; i < 50; ++i) announce(k_cache, PeerState::seed);
  EXPECT_EQ(registry.peers_of(root), 1u);
  EXPECT_EQ(*json::Value(registry.status()).find("announcements")->find("size")->as_int(), 1);
  // Processes of a subscriber have names of their own and do not displace each other.
  Announcement a;
  a.swarms.push_back({root, PeerState::seed, {}, {}, std::nullopt, {}});
  std::string etag;
  for (auto* name : {"one", "two", "one", "two"}) {
    a.instance = name;
    etag = registry.publish(k_now, k_alice, false, {}, 600, a).etag;
  }
  EXPECT_EQ(registry.peers_of(root), 3u);
  a.instance = "one";
  EXPECT_EQ(registry.publish(k_now, k_bob, false, {}, 600, a).status, 200);
  EXPECT_EQ(registry.peers_of(root), 4u);
  EXPECT_EQ(registry.publish(k_now, k_alice, false, etag, 600, std::nullopt).status, 200);
}

TEST_F(Tracking, ATokenIsSignedOnceAndKeptForAWhile) {
  announce(k_cache, PeerState::seed);
  auto token = registry.list(k_now, k_wall, root, k_bob, false, key).peers.at(0).token;
  EXPECT_EQ(registry.list(k_now + 30s, k_wall + 30, root, k_bob, false, key).peers.at(0).token, token);
  EXPECT_NE(registry.list(k_now + 30s, k_wall + 30, root, k_alice, false, key).peers.at(0).token, token);
  EXPECT_NE(registry.list(k_now + 61s, k_wall + 61, root, k_bob, false, key).peers.at(0).token, token);
  // The wall clock was set meanwhile.
  auto later = registry.list(k_now + 62s, k_wall + 9000, root, k_bob, false, key).peers.at(0).token;
  EXPECT_TRUE(verify_token(later, key.public_key(), inviter_hash(k_bob), k_cache, k_wall + 9000));
}

TEST_F(Tracking, WhoIsNoLongerEntitledLeavesAndHisPseudonymGoes) {
  announce(k_alice, PeerState::seed);
  announce(k_cache, PeerState::seed);
  auto pseudonym = registry.list(k_now, k_wall, root, k_bob, false, key).peers.at(1).uri;
  EXPECT_TRUE(registry.announces(k_alice, root));
  (void)registry.take_changed();
  registry.withdraw(root, [](const std::string& who) { return who != k_alice; });
  EXPECT_FALSE(registry.behind(pseudonym));
  EXPECT_FALSE(registry.announces(k_alice, root));
  EXPECT_EQ(registry.list(k_now, k_wall, root, k_bob, false, key).peers.size(), 1u);
  EXPECT_EQ(registry.take_changed().size(), 1u);
}

TEST_F(Tracking, AnAnnouncerWhoseTimeIsOverIsNotListed) {
  announce(k_cache, PeerState::seed, {}, 60);
  EXPECT_EQ(registry.list(k_now + 59s, k_wall, root, k_bob, false, key).peers.size(), 1u);
  EXPECT_EQ(registry.list(k_now + 60s, k_wall, root, k_bob, false, key).peers.size(), 0u);
}

TEST_F(Tracking, APseudonymLastsAsLongAsItsSubscriberAnnounces) {
  auto etag = announce(k_alice, PeerState::seed, {}, 3600).etag;
  auto pseudonym = registry.pseudonym(k_now, k_alice, root), other = registry.pseudonym(k_now, k_bob, root);
  registry.publish(k_now + 3500s, k_alice, false, etag, 3600, std::nullopt);
  registry.expire(k_now + 3601s);
  EXPECT_TRUE(registry.behind(pseudonym));
  EXPECT_FALSE(registry.behind(other));
  EXPECT_EQ(registry.pseudonym(k_now + 3602s, k_alice, root), pseudonym);
}

TEST_F(Tracking, ALargeSwarmIsListedBySample) {
  for (int i = 0; i < 300; ++i) announce("sip:s" + std::to_string(i) + "@sealcast.test", PeerState::seed);
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i)
    for (auto& peer : registry.list(k_now, k_wall, root, k_bob, false, key).peers) seen.insert(peer.uri);
  EXPECT_EQ(registry.list(k_now, k_wall, root, k_bob, false, key).peers.size(), 20u);
  EXPECT_GT(seen.size(), 100u);
}

}  // namespace
}  // namespace sealcast::tracking
