#include "roles/common/announcer.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "sim/virtual_time.hpp"
#include "tests/support/scripted_signalling.hpp"

namespace sealcast::roles {
namespace {

using test::response;
using test::ScriptedSignalling;

class Announcements : public testing::Test {
 protected:
  void SetUp() override { begin(60); }
  void begin(int expires) {
    announcer_.emplace(
        time_, sip_, "sip:tracker@sealcast.test", expires, [this] { return body_; }, "farewell",
        [this](const sip::Response& answer, Announcer::Sent) { told_.push_back(answer.status); });
    announcer_->on_forgotten = [this] { ++forgotten_; };
  }
  sip::Request& sent(std::size_t which) { return sip_.sent.at(which).request; }
  void answer(const sip::Response& what) { sip_.answer(sip_.sent.back(), what); }
  void announce() {
    announcer_->update();
    answer(response(200, {{"SIP-ETag", "one"}}));
  }
  static std::string if_match(const sip::Request& request) {
    auto values = request.values("SIP-If-Match");
    return values.empty() ? "" : values.front();
  }

  sim::VirtualTime time_;
  ScriptedSignalling sip_;
  std::string body_ = "first";
  std::vector<int> told_;
  int forgotten_ = 0;
  std::optional<Announcer> announcer_;
};

TEST_F(Announcements, AreRefreshedAtHalfOfTheirLifeWithoutABody) {
  announce();
  EXPECT_EQ(sent(0).method, "PUBLISH");
  EXPECT_EQ(sent(0).uri, "sip:tracker@sealcast.test");
  EXPECT_EQ(sent(0).body, "first");
  EXPECT_EQ(sent(0).expires, 60);
  EXPECT_EQ(if_match(sent(0)), "");
  EXPECT_TRUE(announcer_->announced());
  time_.advance(30s - 1us);
  EXPECT_EQ(sip_.sent.size(), 1u);
  time_.advance(1us);
  ASSERT_EQ(sip_.sent.size(), 2u);
  EXPECT_EQ(sent(1).body, "");
  EXPECT_EQ(sent(1).content_type, "");
  EXPECT_EQ(sent(1).expires, 60);
  EXPECT_EQ(if_match(sent(1)), "one");
  answer(response(200, {{"SIP-ETag", "two"}}));
  time_.advance(30s);
  EXPECT_EQ(if_match(sent(2)), "two");
}

TEST_F(Announcements, OfAShortLifeAreRefreshedOnceASecondAtMost) {
  begin(1);
  announce();
  time_.advance(1s - 1us);
  EXPECT_EQ(sip_.sent.size(), 1u);
}

TEST_F(Announcements, ThatTheTrackerHasForgottenAreMadeAnewAtOnce) {
  announce();
  time_.advance(30s);
  body_ = "second";
  answer(response(412));
  ASSERT_EQ(sip_.sent.size(), 3u);
  EXPECT_EQ(sent(2).body, "second");
  EXPECT_EQ(if_match(sent(2)), "");
  EXPECT_EQ(forgotten_, 1);
  EXPECT_FALSE(announcer_->announced());
  // Nothing stands behind an ETag any more: another 412 is a refusal like others.
  answer(response(412));
  EXPECT_EQ(sip_.sent.size(), 3u);
  EXPECT_EQ(forgotten_, 1);
  time_.advance(1s);
  EXPECT_EQ(sip_.sent.size(), 4u);
}

TEST_F(Announcements, ThatAreRefusedAreRepeatedMoreAndMoreSeldom) {
  announcer_->update();
  for (auto pause : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    auto before = sip_.sent.size();
    answer(response(before % 2 == 0 ? 503 : 0));
    time_.advance(pause - 1us);
    EXPECT_EQ(sip_.sent.size(), before) << pause.count();
    time_.advance(1us);
    EXPECT_EQ(sip_.sent.size(), before + 1) << pause.count();
    EXPECT_EQ(sip_.sent.back().request.body, "first");
  }
  answer(response(200, {{"SIP-ETag", "one"}}));
  EXPECT_EQ(told_, (std::vector<int>{0, 503, 0, 503, 0, 503, 0, 200}));
  // It begins again with the shortest.
  time_.advance(30s);
  answer(response(503));
  auto before = sip_.sent.size();
  time_.advance(1s);
  EXPECT_EQ(sip_.sent.size(), before + 1);
  // What became of the last one nobody knows: it goes with its body, in the place of the last one.
  EXPECT_EQ(sip_.sent.back().request.body, "first");
  EXPECT_EQ(if_match(sip_.sent.back().request), "one");
}

TEST_F(Announcements, LiveAsLongAsTheTrackerWantsAtLeast) {
  announcer_->update();
  answer(response(423, {{"Min-Expires", "600"}}));
  time_.advance(1s);
  EXPECT_EQ(sent(1).expires, 600);
  answer(response(200, {{"SIP-ETag", "one"}}));
  time_.advance(300s - 1us);
  EXPECT_EQ(sip_.sent.size(), 2u);
  time_.advance(1us);
  EXPECT_EQ(sent(2).expires, 600);
}

TEST_F(Announcements, ThatChangeWhileOneIsUnderWayFollowItOnce) {
  announcer_->update();
  body_ = "second";
  announcer_->update();
  announcer_->update();
  EXPECT_EQ(sip_.sent.size(), 1u);
  answer(response(200, {{"SIP-ETag", "one"}}));
  ASSERT_EQ(sip_.sent.size(), 2u);
  EXPECT_EQ(sent(1).body, "second");
  EXPECT_EQ(if_match(sent(1)), "one");
  answer(response(200, {{"SIP-ETag", "two"}}));
  EXPECT_EQ(sip_.sent.size(), 2u);
  time_.advance(30s);
  EXPECT_EQ(sent(2).body, "");
}

TEST_F(Announcements, ThatChangeBetweenTwoRefreshesAreSentAtOnceAndTheNextRefreshIsCountedFromThere) {
  announce();
  time_.advance(10s);
  body_ = "second";
  announcer_->update();
  ASSERT_EQ(sip_.sent.size(), 2u);
  EXPECT_EQ(sent(1).body, "second");
  answer(response(200, {{"SIP-ETag", "two"}}));
  time_.advance(30s - 1us);
  EXPECT_EQ(sip_.sent.size(), 2u);
  time_.advance(1us);
  EXPECT_EQ(sip_.sent.size(), 3u);
}

TEST_F(Announcements, AreWithdrawnByTheirETagAndNothingFollows) {
  announce();
  announcer_->withdraw();
  ASSERT_EQ(sip_.sent.size(), 2u);
  EXPECT_EQ(sent(1).expires, 0);
  EXPECT_EQ(if_match(sent(1)), "one");
  EXPECT_EQ(sent(1).body, "");
  answer(response(503));
  announcer_->update();
  announcer_->touch();
  time_.advance(1h);
  EXPECT_EQ(sip_.sent.size(), 2u);
}

TEST_F(Announcements, ThatNeverStoodNeedNoWithdrawal) {
  announcer_->withdraw();
  EXPECT_TRUE(sip_.sent.empty());
}

TEST_F(Announcements, AreWithdrawnByTheirNameWhileOneIsUnderWay) {
  announcer_->update();
  announcer_->withdraw();
  ASSERT_EQ(sip_.sent.size(), 2u);
  EXPECT_EQ(sent(1).expires, 0);
  EXPECT_EQ(sent(1).body, "farewell");
  EXPECT_EQ(if_match(sent(1)), "");
  sip_.answer(sip_.sent[0], response(200, {{"SIP-ETag", "one"}}));
  sip_.answer(sip_.sent[1], response(200));
  time_.advance(1h);
  EXPECT_EQ(sip_.sent.size(), 2u);
  EXPECT_TRUE(told_.empty());
}

TEST_F(Announcements, MayBeRefreshedBeforeTheirTime) {
  announcer_->touch();
  EXPECT_TRUE(sip_.sent.empty());  // there is nothing to refresh
  announce();
  time_.advance(10s);
  announcer_->touch();
  announcer_->touch();
  ASSERT_EQ(sip_.sent.size(), 2u);
  EXPECT_EQ(sent(1).body, "");
  answer(response(200, {{"SIP-ETag", "two"}}));
  time_.advance(30s - 1us);
  EXPECT_EQ(sip_.sent.size(), 2u);
}

TEST_F(Announcements, LeaveNothingBehindWhenTheirAnnouncerGoes) {
  announce();
  announcer_->touch();
  announcer_.reset();
  answer(response(412));
  EXPECT_EQ(time_.waiting(), 0u);
  EXPECT_EQ(forgotten_, 0);
  begin(60);
  announce();
  EXPECT_EQ(time_.waiting(), 1u);
  announcer_.reset();
  EXPECT_EQ(time_.waiting(), 0u);
}

}  // namespace
}  // namespace sealcast::roles
