#include "roles/common/peer_watch.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "sim/virtual_time.hpp"
#include "tests/support/scripted_signalling.hpp"

namespace sealcast::roles {
namespace {

using test::response;
using test::ScriptedSignalling;

class PeerWatches : public testing::Test {
 protected:
  void begin(WatchKind kind = WatchKind::standing) {
    watch_.emplace(
        time_, sip_, "sip:tracker@sealcast.test", "cm9vdA", [this](const std::string& body) { lists_.push_back(body); },
        [this](const sip::Response& answer) { refusals_.push_back(answer.status); }, kind);
  }
  ScriptedSignalling::Subscription& last() { return sip_.subscriptions.back(); }
  std::size_t asked() const { return sip_.subscriptions.size(); }
  void hear(const std::string& body = "list") { sip_.notify_of(last(), body); }
  void end(int status) { sip_.end_of(last(), response(status)); }

  sim::VirtualTime time_;
  ScriptedSignalling sip_;
  std::vector<std::string> lists_;
  std::vector<int> refusals_;
  std::optional<PeerWatch> watch_;
};

TEST_F(PeerWatches, AskTheTrackerForThisSwarmAndHandEachListOn) {
  begin();
  ASSERT_EQ(asked(), 1u);
  EXPECT_EQ(last().request.method, "SUBSCRIBE");
  EXPECT_EQ(last().request.uri, "sip:tracker@sealcast.test");
  EXPECT_EQ(last().request.event, "p2pcds-peers");
  EXPECT_EQ(last().request.body, R"({"id":"cm9vdA","v":1})");
  hear("one");
  hear("");  // says nothing but that it stands
  hear("two");
  EXPECT_EQ(lists_, (std::vector<std::string>{"one", "two"}));
}

// A token lives 300 s; the subscription is renewed before, and each renewal brings new ones.
TEST_F(PeerWatches, LiveShorterThanTheTokensThatTheyBring) {
  begin();
  EXPECT_LT(last().request.expires, 300);
  EXPECT_GE(last().request.expires, 60);
}

TEST_F(PeerWatches, WhoseDialogIsLostBeginAgainMoreAndMoreSeldomUntilTheyHear) {
  begin();
  hear();
  for (auto pause : {1s, 2s, 4s, 8s, 15s, 15s}) {
    auto before = asked();
    end(before % 3 == 0 ? 481 : before % 3 == 1 ? 0 : 200);
    time_.advance(pause - 1us);
    EXPECT_EQ(asked(), before) << pause.count();
    time_.advance(1us);
    EXPECT_EQ(asked(), before + 1) << pause.count();
  }
  hear();
  auto before = asked();
  end(481);
  time_.advance(1s);
  EXPECT_EQ(asked(), before + 1);
  EXPECT_TRUE(refusals_.empty());
}

TEST_F(PeerWatches, ARefusalOfANewOneIsFinal) {
  for (int status : {403, 404, 489}) {
    begin();
    end(status);
    EXPECT_EQ(refusals_, std::vector<int>{status});
    refusals_.clear();
    auto before = asked();
    time_.advance(1h);
    EXPECT_EQ(asked(), before);
  }
}

// A core that was started anew has not registered us yet.
TEST_F(PeerWatches, ARefusalOfARefreshIsNotButThatOfTheNextOneIs) {
  begin();
  hear();
  end(403);
  EXPECT_TRUE(refusals_.empty());
  time_.advance(1s);
  ASSERT_EQ(asked(), 2u);
  end(403);
  EXPECT_EQ(refusals_, std::vector<int>{403});
}

TEST_F(PeerWatches, OtherAnswersAreNoRefusals) {
  begin();
  for (int status : {0, 408, 481, 500, 503}) end(status), time_.advance(15s);
  EXPECT_EQ(asked(), 6u);
  EXPECT_TRUE(refusals_.empty());
}

TEST_F(PeerWatches, AskAtOnceWhenTheyAreToldTo) {
  begin();
  hear();
  auto& before = last();
  watch_->refresh();
  ASSERT_EQ(asked(), 2u);
  EXPECT_TRUE(before.unsubscribed);
  hear("new");
  EXPECT_EQ(lists_.back(), "new");
  // In a pause too, and only once.
  end(481);
  watch_->refresh();
  EXPECT_EQ(asked(), 3u);
  time_.advance(1h);
  EXPECT_EQ(asked(), 3u);
}

TEST_F(PeerWatches, ForOneListEndWithIt) {
  begin(WatchKind::once);
  EXPECT_EQ(last().request.expires, 0);
  hear();
  end(200);
  time_.advance(1h);
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(lists_.size(), 1u);
}

TEST_F(PeerWatches, ForOneListAskAgainUntilItHasCome) {
  begin(WatchKind::once);
  end(0);
  time_.advance(1s);
  ASSERT_EQ(asked(), 2u);
  EXPECT_EQ(last().request.expires, 0);
}

TEST_F(PeerWatches, BecomeStandingOnesByANewSubscription) {
  begin(WatchKind::once);
  hear();
  end(200);
  watch_->set_kind(WatchKind::standing);
  ASSERT_EQ(asked(), 2u);
  EXPECT_GT(last().request.expires, 0);
  watch_->set_kind(WatchKind::standing);
  EXPECT_EQ(asked(), 2u);
}

TEST_F(PeerWatches, ThatAreNotToStandAnyMoreEnd) {
  begin();
  hear();
  watch_->set_kind(WatchKind::once);
  EXPECT_TRUE(last().unsubscribed);
  time_.advance(1h);
  EXPECT_EQ(asked(), 1u);
}

TEST_F(PeerWatches, ThatAreNotToStandAnyMoreGetTheListThatTheyWaitFor) {
  begin();
  watch_->set_kind(WatchKind::once);
  EXPECT_FALSE(last().unsubscribed);
  hear("late");
  EXPECT_EQ(lists_, std::vector<std::string>{"late"});
  EXPECT_TRUE(last().unsubscribed);
  time_.advance(1h);
  EXPECT_EQ(asked(), 1u);
}

TEST_F(PeerWatches, LeaveNothingBehind) {
  begin();
  watch_.reset();
  EXPECT_TRUE(last().unsubscribed);
  begin();
  end(481);
  watch_.reset();
  EXPECT_EQ(time_.waiting(), 0u);
}

}  // namespace
}  // namespace sealcast::roles
