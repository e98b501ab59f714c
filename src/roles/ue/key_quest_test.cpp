// One key from KEYINFO to release: KeyQuest and the requests that it makes, against the key service itself.
#include "roles/ue/key_quest.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "roles/common/names.hpp"
#include "sdp/offer_answer.hpp"
#include "sim/virtual_time.hpp"
#include "tests/support/key_parties.hpp"
#include "tests/support/scripted_signalling.hpp"

namespace sealcast::roles {
namespace {

using test::response;
using test::ScriptedSignalling;

class KeyQuests : public testing::Test, public test::KeyParties {
 protected:
  KeyQuests() : KeyParties(41), time_(Instant{1s}, k_now) {
    auto confirm = [this](std::function<void(Status)> done) { confirmations_.push_back(std::move(done)); };
    requests_.emplace(time_, sip_, random, KeyRequests::Device{k_alice, device, std::move(confirm)});
    KeyQuestEvents events;
    events.on_keyinfo = [this](const std::string&) { ++keyinfos_; };
    events.on_key = [this] { ++keys_; };
    events.on_refused = [this](const Error& error) { refused_.push_back(error.code); };
    events.on_silence = [this] { ++silences_; };
    quest_.emplace(time_, *requests_, d, "get", std::move(events));
  }
  std::string keyinfo(const std::string& uri, UnixSeconds life = 3600) {
    auto certificate = keys::make_holder_certificate(uri, holder.public_key(), k_now, life, key_service);
    return keys::make_keyinfo(certificate, d, uri, k_now, life, holder);
  }
  std::size_t asked() const { return sip_.sent.size(); }
  const std::string& whom() const { return sip_.sent.back().request.uri; }
  // The holder takes the message, and answers it by one of its own.
  void decide_with(keys::KeyService& by) {
    auto body = sip_.sent.back().request.body;
    sip_.answer(sip_.sent.back(), response(200));
    auto decision = by.decide(time_.now(), time_.unix_now(), k_alice, device.public_key().thumbprint(), body, *this);
    ASSERT_TRUE(requests_->expects(decision.answer)) << decision.audit.reason;
    requests_->take(decision.answer);
  }
  void decide() { decide_with(service); }
  void refuse(int status, std::vector<sip::Header> headers = {}) {
    sip_.answer(sip_.sent.back(), response(status, std::move(headers)));
  }

  sim::VirtualTime time_;
  ScriptedSignalling sip_;
  std::vector<std::function<void(Status)>> confirmations_;
  std::optional<KeyRequests> requests_;
  std::optional<KeyQuest> quest_;
  int keyinfos_ = 0, keys_ = 0, silences_ = 0;
  std::vector<ErrorCode> refused_;
};

// ---- who is asked

TEST_F(KeyQuests, AskTheHolderThatAPeerNamesAndEndWithTheKey) {
  quest_->take_keyinfo(keyinfo(k_cache));
  ASSERT_EQ(asked(), 1u);
  EXPECT_EQ(whom(), k_cache);
  EXPECT_EQ(sip_.sent.back().request.method, "MESSAGE");
  EXPECT_EQ(sip_.sent.back().request.content_type, k_key_body);
  EXPECT_TRUE(quest_->under_way());
  EXPECT_EQ(quest_->key(), nullptr);
  decide();
  EXPECT_EQ(keys_, 1);
  ASSERT_NE(quest_->key(), nullptr);
  EXPECT_TRUE(*quest_->key() == key);
  EXPECT_EQ(quest_->holder(), k_cache);
  EXPECT_EQ(time_.waiting(), 0u);
  quest_->take_keyinfo(keyinfo("sip:cache-b@sealcast.test"));  // too late
  EXPECT_EQ(asked(), 1u);
}

TEST_F(KeyQuests, DoNotBelieveWhatDoesNotVerifyOrHasRunOut) {
  auto stranger = crypto::PrivateKey::generate(random);
  auto certificate = keys::make_holder_certificate(k_cache, holder.public_key(), k_now, 3600, stranger);
  quest_->take_keyinfo(keys::make_keyinfo(certificate, d, k_cache, k_now, 3600, holder));
  EXPECT_TRUE(quest_->trouble());
  quest_->take_keyinfo("nonsense");
  time_.advance(500s);
  quest_->take_keyinfo(keyinfo(k_cache, 100));
  EXPECT_EQ(asked(), 0u);
  EXPECT_EQ(keyinfos_, 0);
  quest_->take_keyinfo(keyinfo(k_cache));
  EXPECT_EQ(asked(), 1u);
}

TEST_F(KeyQuests, KnowAHolderOnce) {
  for (int i = 0; i < 3; ++i) quest_->take_keyinfo(keyinfo(k_cache));
  EXPECT_EQ(keyinfos_, 1);
  EXPECT_EQ(asked(), 1u);
}

TEST_F(KeyQuests, GoOnWithTheNextHolderAndTheLastOnesVerdictCounts) {
  const std::string b = "sip:cache-b@sealcast.test";
  keys::KeyService second(b, holder.duplicate(), random);
  quest_->take_keyinfo(keyinfo(k_cache));
  quest_->take_keyinfo(keyinfo(b));
  EXPECT_EQ(asked(), 1u);  // one after the other
  has_key = false;
  decide();
  ASSERT_EQ(asked(), 2u);
  EXPECT_EQ(whom(), b);
  EXPECT_TRUE(refused_.empty());
  has_key = true;
  entitled = false;
  decide_with(second);
  EXPECT_EQ(refused_, std::vector<ErrorCode>{ErrorCode::not_entitled});
  time_.advance(1h);
  EXPECT_EQ(asked(), 2u);
}

TEST_F(KeyQuests, AskABusyHolderAgainWhenItSaysSo) {
  while (service
             .decide(time_.now(), time_.unix_now(), k_alice, device.public_key().thumbprint(),
                     keys::make_request(d, k_alice, {k_cache, holder.public_key()}, k_now, device, random).body, *this)
             .audit.status != 429) {
  }
  quest_->take_keyinfo(keyinfo(k_cache));
  decide();
  EXPECT_TRUE(quest_->busy());
  EXPECT_TRUE(refused_.empty());
  time_.advance(12s - 1us);
  EXPECT_EQ(asked(), 1u);
  quest_->take_keyinfo(keyinfo("sip:cache-b@sealcast.test"));  // its turn comes when the pause is over
  EXPECT_EQ(asked(), 1u);
  time_.advance(1us);
  ASSERT_EQ(asked(), 2u);
  EXPECT_EQ(whom(), k_cache);
}

TEST_F(KeyQuests, GoOnAskingWhoeverIsSilent) {
  quest_->take_keyinfo(keyinfo(k_cache));
  time_.advance(10s);
  EXPECT_EQ(asked(), 3u);
  time_.advance(5s - 1us);
  EXPECT_EQ(silences_, 0);
  EXPECT_FALSE(quest_->trouble());
  time_.advance(1us);
  EXPECT_EQ(silences_, 1);
  EXPECT_EQ(asked(), 3u);
  ASSERT_TRUE(quest_->trouble());
  EXPECT_EQ(quest_->trouble()->code, ErrorCode::network);
  EXPECT_TRUE(refused_.empty());
  time_.advance(2s);
  EXPECT_EQ(asked(), 4u);
  decide();
  EXPECT_EQ(keys_, 1);
}

TEST_F(KeyQuests, AreOverWhenTheirOwnerSaysSo) {
  quest_->take_keyinfo(keyinfo(k_cache));
  quest_->end();
  decide();
  EXPECT_EQ(keys_, 0);
  quest_->take_keyinfo(keyinfo("sip:cache-b@sealcast.test"));
  time_.advance(1h);
  EXPECT_EQ(asked(), 1u);
}

TEST_F(KeyQuests, LeaveNothingBehind) {
  quest_->take_keyinfo(keyinfo(k_cache));
  quest_.reset();
  decide();
  EXPECT_EQ(keys_, 0);
  EXPECT_EQ(time_.waiting(), 0u);
}

// ---- requests

class Requests : public KeyQuests {
 protected:
  void request() {
    requests_->request(d, {k_cache, holder.public_key()}, [this](Result<keys::KeyAnswer> answer) {
      ++answers_;
      error_ = answer ? std::nullopt : std::optional(answer.error().code);
    });
  }

  int answers_ = 0;
  std::optional<ErrorCode> error_;
};

TEST_F(Requests, AreMadeThreeTimesAndThenNobodyIsThere) {
  request();
  for (std::size_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(asked(), i);
    if (i == 2) refuse(503);  // not now
    time_.advance(5s - 1us);
    EXPECT_EQ(asked(), i);
    time_.advance(1us);
  }
  EXPECT_EQ(asked(), 3u);
  EXPECT_EQ(answers_, 1);
  EXPECT_EQ(error_, ErrorCode::network);
  for (std::size_t i = 1; i < 3; ++i) EXPECT_EQ(sip_.sent[i].request.body, sip_.sent[0].request.body);
}

TEST_F(Requests, EndWithAnAnswerThatIsNotTheHolders) {
  request();
  keys::KeyService impostor(k_cache, crypto::PrivateKey::generate(random), random);
  decide_with(impostor);
  EXPECT_EQ(answers_, 1);
  EXPECT_TRUE(error_);
  EXPECT_EQ(time_.waiting(), 0u);
}

TEST_F(Requests, AreAnsweredOnce) {
  request();
  auto decision = service.decide(time_.now(), k_now, k_alice, device.public_key().thumbprint(),
                                 sip_.sent.back().request.body, *this);
  requests_->take(decision.answer);
  EXPECT_FALSE(requests_->expects(decision.answer));
  requests_->take(decision.answer);
  EXPECT_EQ(answers_, 1);
  EXPECT_FALSE(error_);
}

// A core that has forgotten us says 403 as a holder does.
TEST_F(Requests, ARefusalIsBelievedWhenItComesAgainAfterANewRegistration) {
  request();
  refuse(403);
  ASSERT_EQ(confirmations_.size(), 1u);
  time_.advance(1min);
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(answers_, 0);
  confirmations_[0]({});
  ASSERT_EQ(asked(), 2u);
  refuse(403);
  EXPECT_EQ(confirmations_.size(), 1u);
  EXPECT_EQ(answers_, 1);
  EXPECT_EQ(error_, ErrorCode::not_entitled);
}

TEST_F(Requests, ARefusalForTheClocksSaysNothingAboutThePerson) {
  request();
  refuse(403);
  confirmations_.at(0)({});
  refuse(403, {{"Warning", sdp::Refusal{k_not_fresh_rule, "the clocks differ"}.warning("sealcast.test")}});
  EXPECT_EQ(error_, ErrorCode::authentication);
}

TEST_F(Requests, EndWhenTheRegistrationDoes) {
  request();
  refuse(403);
  confirmations_.at(0)(fail(ErrorCode::authentication, "expelled"));
  EXPECT_EQ(error_, ErrorCode::authentication);
  EXPECT_EQ(asked(), 1u);
}

TEST_F(Requests, ThatTheHolderDoesNotTakeAreNotRepeated) {
  for (int status : {400, 404}) {
    request();
    auto before = asked();
    refuse(status);
    EXPECT_EQ(error_, ErrorCode::key_not_released);
    time_.advance(1min);
    EXPECT_EQ(asked(), before);
  }
}

TEST_F(Requests, ThatAreForgottenTellNobody) {
  request();
  refuse(403);
  request();
  requests_->forget();
  confirmations_.at(0)({});
  time_.advance(1h);
  requests_.reset();
  refuse(404);
  EXPECT_EQ(answers_, 0);
  EXPECT_EQ(asked(), 2u);
}

}  // namespace
}  // namespace sealcast::roles
