#include "roles/common/answered_calls.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "sim/virtual_time.hpp"
#include "tests/support/scripted_media.hpp"
#include "tests/support/scripted_signalling.hpp"

namespace sealcast::roles {
namespace {

using swarm::EventKind;
using test::ScriptedMedia;
using test::ScriptedSignalling;

class Calls : public testing::Test {
 protected:
  Calls() {
    one_[0] = 1;
    two_[0] = 2;
    calls_.emplace(time_, sip_, media_, "sealcast.test");
    calls_->on_unused = [this](const swarm::SwarmId& swarm) { unused_.push_back(swarm); };
  }
  AnsweredCalls::Terms terms(const std::string& caller = "sip:bob") const { return {{}, {one_}, {}, caller}; }
  // 0: the call was taken.
  int call(sip::CallId id, const AnsweredCalls::Terms& terms, const std::string& offer = "offer") {
    sip::Request invite;
    invite.body = offer;
    calls_->answer(id, invite, terms);
    auto status = sip_.answered.at(id).status;
    return status == 200 ? 0 : status;
  }
  swarm::AssociationId newest() const { return media_.associations.rbegin()->first; }
  bool runs(sip::CallId id) const { return sip_.answered.at(id).status == 200 && !sip_.hung_up.contains(id); }
  // Says something, so that patience has no end.
  void call_and_open(sip::CallId id, const AnsweredCalls::Terms& terms) {
    ASSERT_EQ(call(id, terms), 0);
    media_.tell(newest(), EventKind::channel_open);
  }

  sim::VirtualTime time_;
  ScriptedSignalling sip_;
  ScriptedMedia media_;
  swarm::SwarmId one_{}, two_{};
  std::vector<swarm::SwarmId> unused_;
  std::optional<AnsweredCalls> calls_;
};

TEST_F(Calls, AreAnsweredAndTheirSwarmsAdmitted) {
  auto both = terms();
  both.admitted = {one_, two_};
  both.partner = swarm::PartnerKind::cache;
  ASSERT_EQ(call(1, both), 0);
  EXPECT_EQ(sip_.answered.at(1).body, "answer to offer");
  EXPECT_EQ(sip_.answered.at(1).content_type, "application/sdp");
  EXPECT_EQ(media_.associations.at(newest()).admitted, (std::set<swarm::SwarmId>{one_, two_}));
  EXPECT_EQ(media_.associations.at(newest()).partner, swarm::PartnerKind::cache);
  EXPECT_TRUE(calls_->uses(one_));
  EXPECT_TRUE(calls_->uses(two_));
}

TEST_F(Calls, WhoseOfferWillNotDoAreToldByWhichRule) {
  EXPECT_EQ(call(1, terms(), "refuse sdes-required"), 488);
  auto warnings = sip_.answered.at(1).values("Warning");
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(sdp::parse_warning(warnings.front()).rule, "sdes-required");
  EXPECT_EQ(calls_->size(), 0u);
  EXPECT_FALSE(calls_->uses(one_));
  EXPECT_EQ(time_.waiting(), 0u);
}

// ---- bounds

TEST_F(Calls, OfOneCallerAreBoundedAndOthersAreServed) {
  for (sip::CallId id = 0; id < 16; ++id) EXPECT_EQ(call(id, terms("sip:mallory")), 0);
  EXPECT_EQ(call(16, terms("sip:mallory")), 486);
  EXPECT_FALSE(sip_.answered.at(16).values("Retry-After").empty());
  EXPECT_EQ(media_.associations.size(), 16u);
  EXPECT_EQ(call(17, terms("sip:bob")), 0);
  calls_->on_call_ended(3);
  EXPECT_EQ(call(18, terms("sip:mallory")), 0);
  EXPECT_EQ(call(19, terms("sip:mallory")), 486);
}

TEST_F(Calls, OfServicesHaveNoShareAndRoomThatIsKeptForThem) {
  sip::CallId id = 0;
  while (id < 5000 && call(id, terms("sip:" + std::to_string(id))) == 0) ++id;
  EXPECT_EQ(id, 4096u - 256u);
  EXPECT_EQ(sip_.answered.at(id).status, 486);
  auto service = terms("sip:cache");
  service.service = true;
  for (int i = 0; i < 256; ++i) EXPECT_EQ(call(++id, service), 0);
  EXPECT_EQ(call(++id, service), 486);
}

// ---- how long

TEST_F(Calls, OnWhichNoChannelIsOpenedEnd) {
  ASSERT_EQ(call(1, terms()), 0);
  ASSERT_EQ(call(2, terms()), 0);
  media_.tell(newest(), EventKind::channel_open);
  time_.advance(30s - 1us);
  EXPECT_TRUE(runs(1));
  time_.advance(1us);
  EXPECT_FALSE(runs(1));
  EXPECT_EQ(media_.associations.size(), 1u);
  EXPECT_TRUE(runs(2));
  EXPECT_TRUE(unused_.empty());
}

TEST_F(Calls, EndWithTheirLastChannel) {
  call_and_open(1, terms());
  media_.tell(newest(), EventKind::channel_open);
  media_.tell(newest(), EventKind::channel_closed);
  EXPECT_TRUE(runs(1));
  media_.tell(newest(), EventKind::channel_closed);
  EXPECT_FALSE(runs(1));
  EXPECT_TRUE(media_.associations.empty());
  EXPECT_EQ(unused_, std::vector<swarm::SwarmId>{one_});
}

TEST_F(Calls, EndWithTheTokenThatTheyCameWith) {
  auto longer = terms(), shorter = terms("sip:carol");
  longer.life = 200s;
  shorter.life = 100s;
  call_and_open(1, longer);
  call_and_open(2, shorter);
  time_.advance(100s - 1us);
  EXPECT_TRUE(runs(2));
  time_.advance(1us);
  EXPECT_FALSE(runs(2));
  EXPECT_TRUE(runs(1));
  time_.advance(100s - 1us);
  EXPECT_TRUE(runs(1));
  time_.advance(1us);
  EXPECT_FALSE(runs(1));
  EXPECT_TRUE(media_.associations.empty());
  EXPECT_EQ(time_.waiting(), 0u);
}

TEST_F(Calls, LiveAsLongAsATokenAtMostAndASecondAtLeast) {
  auto forever = terms(), over = terms("sip:carol");
  forever.life = 24h;
  over.life = -5s;
  call_and_open(1, forever);
  call_and_open(2, over);
  time_.advance(1s - 1us);
  EXPECT_TRUE(runs(2));
  time_.advance(1us);
  EXPECT_FALSE(runs(2));
  time_.advance(299s - 1us);
  EXPECT_TRUE(runs(1));
  time_.advance(1us);
  EXPECT_FALSE(runs(1));
}

TEST_F(Calls, WhoseKeyIsUsedUpEnd) {
  call_and_open(1, terms());
  media_.tell(newest(), EventKind::key_exhausted);
  EXPECT_FALSE(runs(1));
}

// ---- who ends them

TEST_F(Calls, AreNotRenegotiatedAndGoOn) {
  call_and_open(1, terms());
  calls_->refuse_reinvite(1);
  EXPECT_EQ(sip_.answered.at(1).status, 488);
  EXPECT_EQ(sdp::parse_warning(sip_.answered.at(1).values("Warning").at(0)).rule, "unsupported-parameter");
  EXPECT_EQ(calls_->size(), 1u);
  EXPECT_TRUE(sip_.hung_up.empty());
  EXPECT_EQ(media_.associations.size(), 1u);
}

TEST_F(Calls, ThatTheCallerEndsAreNotHungUpByUs) {
  call_and_open(1, terms());
  calls_->on_call_ended(4711);  // not one of ours
  EXPECT_EQ(calls_->size(), 1u);
  calls_->on_call_ended(1);
  EXPECT_TRUE(sip_.hung_up.empty());
  EXPECT_TRUE(media_.associations.empty());
  EXPECT_FALSE(calls_->uses(one_));
  EXPECT_EQ(unused_, std::vector<swarm::SwarmId>{one_});
}

TEST_F(Calls, AreHungUpUnlessTheCallerMayStillHaveTheContent) {
  auto other = terms("sip:mallory");
  other.admitted = {two_};
  call_and_open(1, terms("sip:bob"));
  call_and_open(2, terms("sip:mallory"));
  call_and_open(3, other);
  calls_->hang_up_unless(
      one_, [](const std::string& caller) { return caller == "sip:bob"; }, "no more");
  EXPECT_TRUE(runs(1));
  EXPECT_EQ(sip_.hung_up, (std::map<sip::CallId, std::string>{{2, "no more"}}));
  EXPECT_TRUE(unused_.empty());  // bob is there
  calls_->hang_up(one_, "gone");
  EXPECT_FALSE(runs(1));
  EXPECT_TRUE(runs(3));
  EXPECT_EQ(unused_, std::vector<swarm::SwarmId>{one_});
}

TEST_F(Calls, OfSeveralSwarmsEndWithEachOfThem) {
  auto both = terms();
  both.admitted = {one_, two_};
  call_and_open(1, both);
  calls_->hang_up(two_, "gone");
  EXPECT_FALSE(runs(1));
  EXPECT_EQ(unused_, (std::vector<swarm::SwarmId>{one_, two_}));
}

TEST_F(Calls, AreHungUpInTheEnd) {
  call_and_open(1, terms());
  ASSERT_EQ(call(2, terms()), 0);
  calls_.reset();
  EXPECT_EQ(sip_.hung_up.size(), 2u);
  EXPECT_TRUE(media_.associations.empty());
  EXPECT_TRUE(unused_.empty());
  EXPECT_EQ(time_.waiting(), 0u);
}

}  // namespace
}  // namespace sealcast::roles
