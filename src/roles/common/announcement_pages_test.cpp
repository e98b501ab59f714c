#include "roles/common/announcement_pages.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "sim/virtual_time.hpp"
#include "tests/support/scripted_signalling.hpp"

namespace sealcast::roles {
namespace {

using test::response;
using test::ScriptedSignalling;

class Pages : public testing::Test {
 protected:
  Pages() {
    limits_.swarms = 2;
    limits_.octets = 1000;
    limits_.under_way = 2;
    begin();
  }
  void begin() {
    AnnouncementPages::Events events;
    events.describe = [this](const crypto::Digest& root) -> std::optional<tracking::AnnouncedSwarm> {
      if (silent_.contains(root)) return std::nullopt;
      tracking::AnnouncedSwarm out;
      out.root = root;
      return out;
    };
    events.on_answer = [this](const sip::Response& answer) { told_.push_back(answer.status); };
    pages_.emplace(
        time_, sip_, "sip:tracker@sealcast.test", [](std::size_t page) { return "page " + std::to_string(page); },
        limits_, std::move(events));
  }
  static crypto::Digest root(int which) {
    crypto::Digest out{};
    out[0] = static_cast<std::uint8_t>(which);
    return out;
  }
  void put(int first, int last) {
    for (int i = first; i <= last; ++i) pages_->put(root(i), 100);
  }
  // Which swarms a body names, and of which page it is.
  static std::pair<std::string, std::vector<int>> said(const ScriptedSignalling::Sent& sent) {
    auto body = tracking::parse_announcement(sent.request.body);
    EXPECT_TRUE(body) << sent.request.body;
    if (!body) return {};
    std::vector<int> out;
    for (auto& swarm : body->swarms) out.push_back(swarm.root[0]);
    return {body->instance, out};
  }
  using Said = std::pair<std::string, std::vector<int>>;
  static sip::Response taken(const std::vector<crypto::Digest>& left_out = {}) {
    return response(200, {{"SIP-ETag", "tag"}}, tracking::write_publish_answer({left_out, {}}));
  }
  // Answers whatever is out, and what follows from that, for so long.
  void answer_all(Duration duration = 1s) {
    for (auto end = time_.now() + duration;;) {
      for (auto& each : sip_.sent)
        if (each.on_response) sip_.answer(each, taken());
      if (time_.run_until(end, [&] { return sip_.unanswered() > 0; })) continue;
      return;
    }
  }

  sim::VirtualTime time_;
  ScriptedSignalling sip_;
  AnnouncementPages::Limits limits_;
  std::set<crypto::Digest> silent_;
  std::vector<int> told_;
  std::optional<AnnouncementPages> pages_;
};

TEST_F(Pages, GatherWhatChangesTogether) {
  EXPECT_FALSE(pages_->settled());
  put(1, 1);
  time_.advance(5ms);
  put(2, 2);
  EXPECT_TRUE(sip_.sent.empty());
  time_.advance(5ms);
  ASSERT_EQ(sip_.sent.size(), 1u);
  EXPECT_EQ(said(sip_.sent[0]), (Said{"page 0", {1, 2}}));
  EXPECT_FALSE(pages_->settled());
  sip_.answer(sip_.sent[0], taken());
  EXPECT_TRUE(pages_->settled());
  EXPECT_EQ(pages_->taken(), 2u);
  EXPECT_EQ(told_, std::vector<int>{200});
}

TEST_F(Pages, HoldSoManySwarmsAndOctetsAndNoMore) {
  put(1, 3);
  EXPECT_EQ(pages_->pages(), 2u);
  pages_->put(root(4), 901);  // page 1 has 100 already
  EXPECT_EQ(pages_->pages(), 3u);
  pages_->put(root(5), 5000);  // too much for any page: one of its own
  EXPECT_EQ(pages_->pages(), 4u);
  answer_all();
  ASSERT_EQ(sip_.sent.size(), 4u);
  EXPECT_EQ(said(sip_.sent[0]), (Said{"page 0", {1, 2}}));
  EXPECT_EQ(said(sip_.sent[1]), (Said{"page 1", {3}}));
  EXPECT_EQ(said(sip_.sent[2]), (Said{"page 2", {4}}));
  EXPECT_EQ(said(sip_.sent[3]), (Said{"page 3", {5}}));
}

TEST_F(Pages, MoveWhatHasGrownTooLarge) {
  pages_->put(root(1), 500);
  pages_->put(root(2), 500);
  answer_all();
  pages_->put(root(1), 501);
  answer_all();
  EXPECT_EQ(pages_->pages(), 2u);
  ASSERT_EQ(sip_.sent.size(), 3u);
  std::map<std::string, std::vector<int>> now{said(sip_.sent[1]), said(sip_.sent[2])};
  EXPECT_EQ(now, (std::map<std::string, std::vector<int>>{{"page 0", {2}}, {"page 1", {1}}}));
}

TEST_F(Pages, AreUnderWaySomeAtATime) {
  put(1, 10);  // five pages
  time_.advance(1s);
  EXPECT_EQ(sip_.sent.size(), 2u);
  sip_.answer(sip_.sent[0], taken());
  time_.settle();
  EXPECT_EQ(sip_.sent.size(), 3u);
  sip_.answer(sip_.sent[1], response(503));  // an answer is an answer
  sip_.answer(sip_.sent[2], taken());
  time_.settle();
  EXPECT_EQ(sip_.sent.size(), 5u);
  EXPECT_FALSE(pages_->settled());
}

TEST_F(Pages, AreSentAgainWhenSomethingOnThemChangesButNotTooOften) {
  put(1, 4);
  answer_all(10ms);
  ASSERT_EQ(sip_.sent.size(), 2u);
  EXPECT_TRUE(pages_->announced(root(1)));
  put(1, 1);
  EXPECT_FALSE(pages_->announced(root(1)));
  EXPECT_TRUE(pages_->announced(root(2)));
  put(1, 1);
  time_.advance(250ms - 1us);
  EXPECT_EQ(sip_.sent.size(), 2u);
  time_.advance(1us);
  ASSERT_EQ(sip_.sent.size(), 3u);
  EXPECT_EQ(said(sip_.sent[2]), (Said{"page 0", {1, 2}}));
  // A page that has to wait does not hold up another one.
  put(1, 1);
  put(3, 3);
  sip_.answer(sip_.sent[2], taken());
  time_.advance(10ms);
  ASSERT_EQ(sip_.sent.size(), 4u);
  EXPECT_EQ(said(sip_.sent[3]), (Said{"page 1", {3, 4}}));
  answer_all();
  EXPECT_TRUE(pages_->settled());
  EXPECT_EQ(sip_.sent.size(), 5u);
}

TEST_F(Pages, WhatChangesWhileItsPageIsUnderWayIsNotAnnouncedYet) {
  put(1, 1);
  time_.advance(10ms);
  put(1, 1);
  sip_.answer(sip_.sent[0], taken());
  EXPECT_FALSE(pages_->announced(root(1)));
  EXPECT_FALSE(pages_->settled());
  answer_all();
  EXPECT_TRUE(pages_->announced(root(1)));
  EXPECT_TRUE(pages_->settled());
}

TEST_F(Pages, WhatTheTrackerLeavesOutIsNotTaken) {
  put(1, 2);
  time_.advance(10ms);
  sip_.answer(sip_.sent[0], taken({root(2)}));
  EXPECT_TRUE(pages_->announced(root(1)));
  EXPECT_FALSE(pages_->announced(root(2)));
  EXPECT_EQ(pages_->taken(), 1u);
  EXPECT_TRUE(pages_->settled());
}

TEST_F(Pages, ARefusalThatNamesSwarmsSettlesThePageAndOneThatDoesNotIsRepeated) {
  put(1, 1);
  time_.advance(10ms);
  sip_.answer(sip_.sent[0], response(403));
  EXPECT_FALSE(pages_->settled());
  time_.advance(1s);
  ASSERT_EQ(sip_.sent.size(), 2u);
  sip_.answer(sip_.sent[1], response(403, {}, tracking::write_publish_answer({{root(1)}, {}})));
  EXPECT_TRUE(pages_->settled());
  EXPECT_EQ(pages_->taken(), 0u);
}

TEST_F(Pages, ThatAreRefreshedAreNotWrittenAgain) {
  limits_.least_expires = 60;
  put(1, 3);  // two pages: each lives 62 s
  answer_all(1s);
  ASSERT_EQ(sip_.sent.size(), 2u);
  EXPECT_EQ(sip_.sent[0].request.expires, 62);
  silent_ = {root(1), root(2), root(3)};  // would be said if they were written
  time_.advance(31s);
  ASSERT_EQ(sip_.sent.size(), 4u);
  EXPECT_EQ(sip_.sent[3].request.body, "");
  EXPECT_EQ(pages_->taken(), 3u);
}

TEST_F(Pages, WhoIsSilentIsLeftOut) {
  silent_ = {root(1)};
  put(1, 2);
  answer_all();
  EXPECT_EQ(said(sip_.sent.at(0)), (Said{"page 0", {2}}));
  EXPECT_FALSE(pages_->announced(root(1)));
}

TEST_F(Pages, AreWithdrawnWhenNothingIsLeftOnThemAndTheirRoomIsUsedAgain) {
  put(1, 4);
  answer_all();
  pages_->remove(root(1));
  answer_all();
  ASSERT_EQ(sip_.sent.size(), 3u);
  EXPECT_EQ(said(sip_.sent[2]), (Said{"page 0", {2}}));
  pages_->remove(root(2));
  pages_->remove(root(2));
  ASSERT_EQ(sip_.sent.size(), 4u);
  EXPECT_EQ(sip_.sent[3].request.expires, 0);
  EXPECT_TRUE(pages_->settled());
  put(5, 5);
  EXPECT_EQ(pages_->pages(), 2u);
  answer_all();
  EXPECT_EQ(said(sip_.sent.back()), (Said{"page 0", {5}}));
}

// Its answer does not come any more.
TEST_F(Pages, ThatGoWhileTheyAreUnderWayMakeRoomForOthers) {
  for (int i = 1; i <= 3; ++i) pages_->put(root(i), 1000);  // three pages
  time_.advance(10ms);
  ASSERT_EQ(sip_.sent.size(), 2u);
  pages_->remove(root(1));
  time_.settle();
  ASSERT_EQ(sip_.sent.size(), 4u);
  EXPECT_EQ(sip_.sent[2].request.expires, 0);
  EXPECT_EQ(said(sip_.sent[3]), (Said{"page 2", {3}}));
  sip_.answer(sip_.sent[0], taken());
  EXPECT_EQ(pages_->taken(), 0u);
}

TEST_F(Pages, AreAllSentAgainWhenTheTrackerHasForgottenOne) {
  put(1, 6);
  answer_all();
  ASSERT_EQ(sip_.sent.size(), 3u);
  pages_->touch();
  ASSERT_EQ(sip_.sent.size(), 4u);
  EXPECT_EQ(sip_.sent[3].request.body, "");
  sip_.answer(sip_.sent[3], response(412));
  answer_all();
  std::set<std::string> again;
  for (std::size_t i = 4; i < sip_.sent.size(); ++i) again.insert(said(sip_.sent[i]).first);
  EXPECT_EQ(again, (std::set<std::string>{"page 0", "page 1", "page 2"}));
}

TEST_F(Pages, AreTouchedInTurn) {
  put(1, 6);
  pages_->touch();  // of what is not announced yet
  answer_all();
  ASSERT_EQ(sip_.sent.size(), 3u);
  for (int i = 0; i < 3; ++i) pages_->touch();
  EXPECT_EQ(sip_.sent.size(), 6u);  // one that is under way is not touched twice
}

TEST_F(Pages, AreAllWithdrawnAndNothingComesAfterwards) {
  put(1, 6);
  answer_all();
  put(1, 1);  // waits for its turn
  pages_->withdraw();
  EXPECT_EQ(sip_.sent.size(), 6u);
  for (std::size_t i = 3; i < 6; ++i) EXPECT_EQ(sip_.sent[i].request.expires, 0);
  put(7, 9);
  pages_->remove(root(1));
  pages_->put_all_again();
  answer_all(1h);
  EXPECT_EQ(sip_.sent.size(), 6u);
}

TEST_F(Pages, LeaveNothingBehind) {
  put(1, 6);
  time_.advance(10ms);
  pages_.reset();
  for (auto& each : sip_.sent) sip_.answer(each, taken());
  EXPECT_EQ(time_.waiting(), 0u);
}

}  // namespace
}  // namespace sealcast::roles
