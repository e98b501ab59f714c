#include "roles/common/swarm_peers.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "roles/common/names.hpp"
#include "sim/virtual_time.hpp"
#include "tests/support/scripted_media.hpp"
#include "tests/support/scripted_signalling.hpp"

namespace sealcast::roles {
namespace {

using swarm::EventKind;
using test::response;
using test::ScriptedMedia;
using test::ScriptedSignalling;

class Peers : public testing::Test {
 protected:
  static constexpr const char* k_address = "192.0.2.1:4000";
  Peers() {
    config_.tracker = "sip:tracker@sealcast.test";
    config_.root[0] = 7;
  }
  void begin() {
    SwarmPeersEvents events;
    events.on_hopeless = [this](const Error& error) { hopeless_.push_back(error.rule); };
    events.on_refused = [this](const sip::Response& answer) { refused_.push_back(answer.status); };
    events.on_pseudonym = [this](const std::string& own) { pseudonym_ = own; };
    peers_.emplace(time_, sip_, media_, config_, std::move(events));
  }
  static tracking::ListedPeer cache(int which, const std::string& token = "token") {
    return {"sip:cache-" + std::to_string(which) + "@sealcast.test", true, tracking::PeerState::seed, token};
  }
  static tracking::ListedPeer ue(int which, const std::string& token = "token") {
    return {"sip:ue-" + std::to_string(which) + "@peers.sealcast.test", false, tracking::PeerState::seed, token};
  }
  void list(std::vector<tracking::ListedPeer> peers) {
    sip_.notify_of(sip_.subscriptions.back(), tracking::write_peer_list({config_.root, "sip:me", peers, {}}));
  }
  // With a list of these.
  void begin(std::vector<tracking::ListedPeer> peers) {
    begin();
    list(std::move(peers));
  }
  std::size_t called() const { return sip_.calls.size(); }
  ScriptedSignalling::Call& last() { return sip_.calls.back(); }
  // How often it was called so far.
  std::size_t called(const tracking::ListedPeer& peer) const {
    return static_cast<std::size_t>(
        std::count_if(sip_.calls.begin(), sip_.calls.end(), [&](auto& c) { return c.request.uri == peer.uri; }));
  }
  void accept(ScriptedSignalling::Call& call, const std::string& address = k_address) {
    sip_.answer(call, response(200, {}, address));
  }
  swarm::AssociationId newest() const { return media_.associations.rbegin()->first; }
  void refuse_by_rule(const std::string& rule) {
    sip_.answer(last(), response(488, {{"Warning", sdp::Refusal{rule, "no"}.warning("sealcast.test")}}));
  }
  // The last call is the last one until `pause` is over, and then there is one more.
  void expect_next_call_after(Duration pause) {
    auto before = called();
    time_.advance(pause - 1us);
    EXPECT_EQ(called(), before) << pause.count();
    time_.advance(1us);
    EXPECT_EQ(called(), before + 1) << pause.count();
  }

  sim::VirtualTime time_;
  ScriptedSignalling sip_;
  ScriptedMedia media_;
  SwarmPeersConfig config_;
  std::vector<std::string> hopeless_;
  std::vector<int> refused_;
  std::string pseudonym_;
  std::optional<SwarmPeers> peers_;
};

// ---- the list

TEST_F(Peers, AreInvitedWithTheirTokenAndAnOfferAndGetAChannel) {
  begin();
  EXPECT_FALSE(peers_->list_seen());
  EXPECT_TRUE(peers_->calls_nobody());
  list({cache(1, "its token")});
  EXPECT_TRUE(peers_->list_seen());
  EXPECT_EQ(pseudonym_, "sip:me");
  ASSERT_EQ(called(), 1u);
  EXPECT_EQ(last().request.method, "INVITE");
  EXPECT_EQ(last().request.uri, cache(1).uri);
  EXPECT_EQ(last().request.body, "secured offer");
  EXPECT_EQ(last().request.values(k_token_header), std::vector<std::string>{"its token"});
  EXPECT_FALSE(peers_->calls_nobody());
  accept(last());
  ASSERT_EQ(media_.associations.size(), 1u);
  auto& association = media_.associations.begin()->second;
  EXPECT_TRUE(association.secured);
  EXPECT_EQ(association.partner, swarm::PartnerKind::cache);
  EXPECT_EQ(association.opened, std::set<swarm::SwarmId>{config_.root});
  EXPECT_EQ(peers_->suite(), "AEAD_AES_128_GCM");
  EXPECT_EQ(peers_->connected(), 0u);  // the partner has said nothing yet
  media_.tell(newest(), EventKind::channel_open);
  EXPECT_EQ(peers_->connected(), 1u);
}

TEST_F(Peers, OfAnotherContentOrAListThatCannotBeReadAreNobody) {
  begin();
  auto other = config_.root;
  other[0] = 8;
  sip_.notify_of(sip_.subscriptions.back(), tracking::write_peer_list({other, "sip:me", {cache(1)}, {}}));
  sip_.notify_of(sip_.subscriptions.back(), "{");
  EXPECT_EQ(called(), 0u);
  EXPECT_FALSE(peers_->list_seen());
}

TEST_F(Peers, AreCalledUpToTheLimitsOfCachesAndUes) {
  config_.max_caches = 2;
  config_.max_ues = 3;
  std::vector<tracking::ListedPeer> many;
  for (int i = 0; i < 9; ++i) many.push_back(cache(i)), many.push_back(ue(i));
  begin(many);
  std::size_t caches = 0;
  for (auto& call : sip_.calls) caches += call.request.uri.starts_with("sip:cache-");
  EXPECT_EQ(caches, 2u);
  EXPECT_EQ(called(), 5u);
  list(many);  // those that are being called count
  EXPECT_EQ(called(), 5u);
  for (auto& call : sip_.calls) accept(call);
  list(many);  // and those that were reached
  EXPECT_EQ(called(), 5u);
  // Whose place becomes free, another one gets.
  peers_->on_call_ended(sip_.calls.front().id, "bye");
  EXPECT_EQ(called(), 6u);
}

TEST_F(Peers, ThatLeaveTheListKeepTheirAssociationAndAreNotCalledAgain) {
  begin({cache(1), ue(1)});
  auto& to_cache = sip_.calls.at(0);
  accept(to_cache);
  sip_.answer(sip_.calls.at(1), response(503));
  EXPECT_EQ(peers_->listed(), 2u);
  list({});
  EXPECT_EQ(peers_->listed(), 1u);  // nobody knows the other any more
  EXPECT_EQ(media_.associations.size(), 1u);
  EXPECT_TRUE(to_cache.byes.empty());
  peers_->on_call_ended(to_cache.id, "bye");
  EXPECT_TRUE(media_.associations.empty());
  time_.advance(1h);
  EXPECT_EQ(called(), 2u);
  list({cache(1)});
  EXPECT_EQ(called(), 3u);
}

TEST_F(Peers, AreCalledWithTheNewestToken) {
  begin({cache(1, "old")});
  sip_.answer(last(), response(503));
  list({cache(1, "new")});
  time_.advance(500ms);
  ASSERT_EQ(called(), 2u);
  EXPECT_EQ(last().request.values(k_token_header), std::vector<std::string>{"new"});
}

TEST_F(Peers, ThatDoNotTakeOurTokenMakeUsAskForNewOnes) {
  begin({cache(1)});
  sip_.answer(last(), response(503));
  EXPECT_EQ(sip_.subscriptions.size(), 1u);
  time_.advance(500ms);
  sip_.answer(last(), response(403));
  EXPECT_EQ(sip_.subscriptions.size(), 2u);
}

TEST_F(Peers, WhoseListIsRefusedAreNotHeardOfButTheRefusalIs) {
  begin();
  sip_.end_of(sip_.subscriptions.back(), response(404));
  EXPECT_EQ(refused_, std::vector<int>{404});
}

// ---- what fails

TEST_F(Peers, ThatAreBusyOrAwayAreCalledMoreAndMoreSeldomForEver) {
  for (int status : {486, 503, 480, 0}) {
    begin({cache(1)});
    for (auto pause : {500ms, 1000ms, 2000ms, 4000ms, 8000ms, 10000ms, 10000ms}) {
      sip_.answer(last(), response(status));
      expect_next_call_after(pause);
    }
    EXPECT_TRUE(hopeless_.empty());
  }
}

TEST_F(Peers, OnlyContentMakesUpForTrouble) {
  begin({cache(1)});
  for (int i = 0; i < 3; ++i) sip_.answer(last(), response(503)), time_.advance(10s);
  accept(last());
  media_.tell(newest(), EventKind::channel_open);
  peers_->on_call_ended(last().id, "bye");
  expect_next_call_after(4s);
  accept(last());
  media_.tell(newest(), EventKind::chunks_verified);
  peers_->on_call_ended(last().id, "bye");
  expect_next_call_after(500ms);
}

TEST_F(Peers, ThatRefuseWhatMayNotBeGivenUpAreNotCalledAgainAndThenThereIsNoHope) {
  begin({cache(1), cache(2)});
  refuse_by_rule("suite");
  EXPECT_TRUE(hopeless_.empty());
  time_.settle();
  EXPECT_TRUE(hopeless_.empty());  // the other one may say yes
  sip_.answer(sip_.calls.front(), response(200, {}, "refuse tag"));
  EXPECT_EQ(sip_.calls.front().byes, std::vector<std::string>{"tag"});
  EXPECT_TRUE(hopeless_.empty());  // told later: whoever is told may end us
  time_.settle();
  ASSERT_EQ(hopeless_.size(), 1u);
  time_.advance(1h);
  list({cache(1), cache(2)});
  EXPECT_EQ(called(), 2u);
  EXPECT_EQ(media_.associations.size(), 0u);
}

TEST_F(Peers, OneWhoMayStillAnswerIsHope) {
  begin({cache(1), cache(2)});
  refuse_by_rule("suite");
  sip_.answer(sip_.calls.front(), response(503));
  time_.advance(1h);
  EXPECT_TRUE(hopeless_.empty());
}

TEST_F(Peers, ThatWantProtectionAreOfferedItOnceAndNeverLess) {
  config_.secured = false;
  begin({cache(1)});
  EXPECT_EQ(last().request.body, "plain offer");
  refuse_by_rule("sdes-required");
  ASSERT_EQ(called(), 2u);
  EXPECT_EQ(last().request.body, "secured offer");
  refuse_by_rule("suite");
  time_.advance(1h);
  EXPECT_EQ(called(), 2u);
  EXPECT_EQ(hopeless_, std::vector<std::string>{"suite"});
}

TEST_F(Peers, AreNotSentKeysThatOthersCouldRead) {
  config_.inline_key_allowed = false;
  begin({cache(1)});
  time_.settle();
  EXPECT_EQ(called(), 0u);
  EXPECT_EQ(hopeless_, std::vector<std::string>{"inline-key-needs-tls"});
  // Nor because a peer asks for them.
  config_.secured = false;
  hopeless_.clear();
  begin({cache(1)});
  refuse_by_rule("sdes-required");
  time_.advance(1h);
  EXPECT_EQ(called(), 1u);
  EXPECT_EQ(hopeless_, std::vector<std::string>{"sdes-required"});
}

TEST_F(Peers, WhoseAssociationIsTooWeakForTheSwarmAreHungUp) {
  media_.channels_fail = true;
  begin({cache(1)});
  accept(last());
  EXPECT_EQ(media_.dropped, 1u);
  EXPECT_EQ(last().byes.size(), 1u);
  time_.advance(1h);
  EXPECT_EQ(called(), 1u);
  EXPECT_EQ(hopeless_.size(), 1u);
}

TEST_F(Peers, ThatStallOrLeaveAreDroppedAndReplacedAfterAPause) {
  for (auto kind : {EventKind::stalled, EventKind::channel_closed}) {
    begin({cache(1)});
    accept(last());
    auto& call = last();
    auto dropped = media_.dropped;
    media_.tell(newest(), kind);
    EXPECT_EQ(call.byes, std::vector<std::string>{"replaced"});
    EXPECT_EQ(media_.dropped, dropped + 1);
    EXPECT_EQ(peers_->connected(), 0u);
    expect_next_call_after(500ms);
  }
}

TEST_F(Peers, WhoseKeyIsUsedUpAreCalledAgainWithoutAPause) {
  begin({cache(1)});
  for (int i = 0; i < 3; ++i) sip_.answer(last(), response(503)), time_.advance(10s);
  accept(last());
  media_.tell(newest(), EventKind::key_exhausted);
  EXPECT_EQ(sip_.calls.back().byes.size(), 1u);
  expect_next_call_after(1ms);
}

TEST_F(Peers, ThatHangUpAreNotHungUpByUs) {
  begin({cache(1)});
  accept(last());
  auto& call = last();
  peers_->on_call_ended(call.id + 1000, "somebody else's call");
  EXPECT_EQ(media_.dropped, 0u);
  peers_->on_call_ended(call.id, "bye");
  EXPECT_EQ(media_.dropped, 1u);
  EXPECT_TRUE(call.byes.empty());
}

TEST_F(Peers, WhosePathIsTooSmallAreTrouble) {
  begin({cache(1)});
  accept(last());
  EXPECT_EQ(peers_->path_trouble(), "");
  media_.tell(newest(), EventKind::path_too_small, "too small");
  EXPECT_EQ(peers_->path_trouble(), "too small");
  EXPECT_EQ(media_.dropped, 0u);
}

// ---- blame

TEST_F(Peers, ThatLieAreNotCalledForAWhileAndEachTimeLonger) {
  begin({cache(1)});
  for (auto pause : {30s, 120s, 480s}) {
    accept(last());
    media_.tell(newest(), EventKind::chunks_verified);
    media_.tell(newest(), EventKind::lied);
    media_.tell(newest(), EventKind::channel_closed);
    EXPECT_TRUE(media_.associations.empty());
    expect_next_call_after(pause);
  }
}

TEST_F(Peers, ThatLieMakeRoomForOthers) {
  config_.max_ues = 1;
  begin({ue(1), ue(2)});
  accept(last());
  media_.tell(newest(), EventKind::lied);
  media_.tell(newest(), EventKind::channel_closed);
  EXPECT_EQ(called(ue(2)), 1u);
  sip_.answer(last(), response(503));
  time_.advance(29s);
  EXPECT_EQ(called(ue(1)), 1u);
}

TEST_F(Peers, ThatLieAreKnownByTheirAddressUnderAnotherName) {
  begin({ue(1)});
  accept(last(), "192.0.2.66:4000");
  media_.tell(newest(), EventKind::lied);
  media_.tell(newest(), EventKind::channel_closed);
  list({ue(2)});
  ASSERT_EQ(called(ue(2)), 1u);
  accept(last(), "192.0.2.66:4000");
  EXPECT_TRUE(media_.associations.empty());
  EXPECT_EQ(last().byes, std::vector<std::string>{"not trusted"});
  expect_next_call_after(30s);
  accept(last(), "192.0.2.66:4000");
  EXPECT_EQ(media_.associations.size(), 1u);
}

TEST_F(Peers, AreNotBlamedForTheirNeighbours) {
  begin({ue(1)});
  accept(last(), "192.0.2.66:4000");
  media_.tell(newest(), EventKind::lied);
  list({ue(1), ue(2)});
  accept(last(), "192.0.2.66:4001");
  EXPECT_EQ(media_.associations.size(), 2u);
}

// ---- rest

TEST_F(Peers, AreLeftAloneUntilTheyAreSought) {
  config_.idle = true;
  begin();
  EXPECT_EQ(sip_.subscriptions.back().request.expires, 0);
  list({cache(1)});
  time_.advance(1h);
  EXPECT_EQ(called(), 0u);
  EXPECT_EQ(pseudonym_, "sip:me");
  peers_->seek();
  EXPECT_EQ(called(), 1u);
  EXPECT_GT(sip_.subscriptions.back().request.expires, 0);
  auto subscriptions = sip_.subscriptions.size();
  peers_->seek();  // as it does already
  EXPECT_EQ(called(), 1u);
  EXPECT_EQ(sip_.subscriptions.size(), subscriptions);
}

TEST_F(Peers, AreNotCalledAgainWhenNothingIsMissing) {
  begin({cache(1), cache(2)});
  accept(last());
  sip_.answer(sip_.calls.front(), response(503));
  peers_->rest();
  EXPECT_TRUE(sip_.subscriptions.back().unsubscribed);
  time_.advance(1h);
  EXPECT_EQ(called(), 2u);
  EXPECT_EQ(media_.associations.size(), 1u);  // who is there stays
  peers_->seek();
  EXPECT_EQ(called(), 3u);
}

TEST_F(Peers, AreHungUpInTheEndAndLateAnswersAreNobodys) {
  begin({cache(1), cache(2), ue(1)});
  accept(sip_.calls.at(0));
  sip_.answer(sip_.calls.at(2), response(503));
  peers_.reset();
  EXPECT_EQ(sip_.calls.at(0).byes, std::vector<std::string>{"done"});
  EXPECT_EQ(sip_.calls.at(1).byes, std::vector<std::string>{"done"});  // cancelled
  EXPECT_TRUE(sip_.calls.at(2).byes.empty());
  EXPECT_TRUE(media_.associations.empty());
  EXPECT_EQ(time_.waiting(), 0u);
  accept(sip_.calls.at(1));
  EXPECT_TRUE(media_.associations.empty());
}

TEST_F(Peers, WhoseOwnerGoesBeforeHeIsToldThatThereIsNoHope) {
  begin({cache(1)});
  refuse_by_rule("suite");
  peers_.reset();
  time_.settle();
  EXPECT_TRUE(hopeless_.empty());
}

}  // namespace
}  // namespace sealcast::roles
