#include <gtest/gtest.h>

#include "tests/support/key_parties.hpp"

namespace sealcast::keys {
namespace {

class Keys : public testing::Test, public test::KeyParties {
 protected:
  Keys() : KeyParties(31) {
    certificate = make_holder_certificate(k_cache, holder.public_key(), k_now, 3600, key_service);
    keyinfo = make_keyinfo(certificate, d, k_cache, k_now, 3600, holder);
  }
  PendingRequest request() {
    return make_request(d, k_alice, *verify_keyinfo(keyinfo, d, k_now), k_now, device, random);
  }
  KeyDecision decide(const PendingRequest& r, UnixSeconds now = k_now) {
    return decide(r, Instant(std::chrono::seconds(now)), now);
  }
  KeyDecision decide(const PendingRequest& r, Instant now, UnixSeconds wall) {
    return service.decide(now, wall, k_alice, device.public_key().thumbprint(), r.body, *this);
  }

  std::string certificate, keyinfo;
};

TEST_F(Keys, TheKeyReachesTheUeThatMayHaveIt) {
  EXPECT_LE(keyinfo.size(), 1190u);
  auto r = request();
  auto decision = decide(r);
  EXPECT_EQ(decision.audit.status, 200);
  EXPECT_LE(decision.answer.size(), 1600u);
  EXPECT_EQ(rid_of_answer(decision.answer), r.rid);
  auto answer = check_answer(decision.answer, r, d, k_alice, k_now);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->key, key);
  EXPECT_EQ(decision.answer.find(base64url(key.expose())), std::string::npos);
}

TEST_F(Keys, EveryLinkOfKeyinfoIsChecked) {
  EXPECT_TRUE(verify_keyinfo(keyinfo, d, k_now));
  auto stranger = crypto::PrivateKey::generate(random);
  EXPECT_FALSE(verify_keyinfo(make_keyinfo(make_holder_certificate(k_cache, holder.public_key(), k_now, 3600, stranger),
                                           d, k_cache, k_now, 3600, holder),
                              d, k_now));
  EXPECT_FALSE(verify_keyinfo(make_keyinfo(certificate, d, k_cache, k_now, 3600, stranger), d, k_now));
  EXPECT_FALSE(
      verify_keyinfo(make_keyinfo(certificate, d, "sip:cache-x@sealcast.test", k_now, 3600, holder), d, k_now));
  auto other = d;
  other.root[0] = 1;
  EXPECT_FALSE(verify_keyinfo(make_keyinfo(certificate, other, k_cache, k_now, 3600, holder), d, k_now));
  EXPECT_FALSE(verify_keyinfo(keyinfo, d, k_now + 4000));
  for (auto* bad : {"", "~", "a~b", "x"}) EXPECT_FALSE(verify_keyinfo(bad, d, k_now));
}

TEST_F(Keys, RefusalsHaveTheirStatus) {
  auto status = [&] {
    auto r = request();
    auto decision = decide(r);
    auto answer = check_answer(decision.answer, r, d, k_alice, k_now);
    EXPECT_TRUE(answer);
    EXPECT_EQ(decision.answer.find("jwe"), std::string::npos);
    return answer ? answer->status : -1;
  };
  entitled = false;
  EXPECT_EQ(status(), 403);
  entitled = true;
  has_key = false;
  EXPECT_EQ(status(), 425);
  has_key = true;
  not_before = k_now + 5;
  EXPECT_EQ(status(), 425);
  not_before = 0;
  d.expires_at = k_now - 1;
  EXPECT_EQ(status(), 410);
  auto r = request();
  d.root[0] = 10;  // the holder knows another content only
  EXPECT_EQ(decide(r).audit.status, 404);
}

TEST_F(Keys, IdentityKeyFreshnessAndReplay) {
  auto r = request();
  auto thumbprint = device.public_key().thumbprint();
  auto none = [&](UnixSeconds now, const std::string& who, const std::string& which, const std::string& body) {
    auto decision = service.decide(Instant(std::chrono::seconds(now)), now, who, which, body, *this);
    return decision.answer.empty() && decision.audit.status >= 400;
  };
  EXPECT_TRUE(none(k_now, "", thumbprint, r.body));
  EXPECT_TRUE(none(k_now, "sip:mallory@sealcast.test", thumbprint, r.body));
  EXPECT_EQ(service.decide(Instant(std::chrono::seconds(k_now)), k_now, k_alice, "", r.body, *this).audit.status, 498);
  EXPECT_EQ(
      service
          .decide(Instant(std::chrono::seconds(k_now)), k_now, k_alice, holder.public_key().thumbprint(), r.body, *this)
          .audit.status,
      498);
  EXPECT_TRUE(none(k_now + 300, k_alice, thumbprint, r.body));
  const Instant then{std::chrono::seconds(k_now + 300)};
  EXPECT_TRUE(service.decide(then, k_now + 300, k_alice, thumbprint, r.body, *this).not_fresh);
  EXPECT_FALSE(service.decide(then, k_now + 300, "sip:mallory@sealcast.test", thumbprint, r.body, *this).not_fresh);
  EXPECT_TRUE(none(k_now, k_alice, thumbprint, "{\"jws\":\"a.b.c\"}"));
  EXPECT_TRUE(none(k_now, k_alice, thumbprint, std::string(100000, 'x')));
  auto first = decide(r);
  EXPECT_EQ(decide(r).answer, first.answer);          // idempotent
  EXPECT_TRUE(decide(r, k_now + 61).answer.empty());  // and then a replay
}

TEST_F(Keys, ARepetitionHasTheFirstDecisionAndOneLine) {
  entitled = false;
  auto r = request();
  EXPECT_EQ(decide(r).audit.status, 403);
  int lines = 0;
  for (int i = 0; i < 10; ++i) {
    auto again = decide(r);
    EXPECT_EQ(again.audit.status, 403);
    EXPECT_EQ(again.audit.reason, "repeated, same answer: not entitled");
    lines += again.for_the_log;
  }
  EXPECT_EQ(lines, 1);
}

TEST_F(Keys, WhatNobodyCanKnowIsNoDecision) {
  unavailable = true;
  auto r = request();
  auto none = decide(r);
  EXPECT_TRUE(none.undecided);
  EXPECT_TRUE(none.answer.empty());
  EXPECT_FALSE(none.for_the_log);
  unavailable = false;
  auto first = decide(r);
  EXPECT_EQ(first.audit.status, 200);
  service.take_back(first);  // its line could not be written
  EXPECT_EQ(decide(r).audit.reason, "released");
}

TEST_F(Keys, StepsOfTheWallClockGiveNothingAndForgetNothing) {
  const Instant start(1h);
  auto request_at = [&](UnixSeconds wall) {
    return make_request(d, k_alice, *verify_keyinfo(keyinfo, d, k_now), wall, device, random);
  };
  auto first = request_at(k_now);
  EXPECT_EQ(decide(first, start, k_now).audit.status, 200);
  for (int i = 0; i < 19; ++i) EXPECT_EQ(decide(request_at(k_now), start, k_now).audit.status, 200);
  // Ten minutes on the wall are no rest, and one that never passed takes nothing away.
  for (UnixSeconds step : {600, -600}) {
    EXPECT_EQ(decide(request_at(k_now + step), start, k_now + step).audit.status, 429);
    EXPECT_EQ(decide(request_at(k_now + step), start + 12s, k_now + step).audit.status, step > 0 ? 200 : 429);
  }
  // The same answer for a minute that has really passed.
  EXPECT_TRUE(decide(first, start + 59s, k_now + 100).audit.reason.starts_with("repeated"));
  EXPECT_EQ(decide(first, start + 61s, k_now + 1).audit.reason, "replayed request id");
  // What looks fresh again because the clock was set back is still known.
  EXPECT_EQ(decide(first, start + 700s, k_now + 100).audit.reason, "replayed request id");
}

TEST_F(Keys, TooManyRequestsWait) {
  int limited = 0;
  for (int i = 0; i < 25; ++i) {
    auto decision = decide(request());
    limited += decision.audit.status == 429;
    EXPECT_EQ(decision.for_the_log, decision.audit.status == 200);  // beyond the rate nothing fills the log
  }
  EXPECT_EQ(limited, 5);
  auto late = request();
  EXPECT_EQ(decide(late).audit.status, 429);
  EXPECT_EQ(decide(late, k_now + 60).audit.status, 200);  // 429 is not remembered
  auto r = request();
  auto decision = service.decide(Instant(std::chrono::seconds(k_now + 60)), k_now + 60, k_alice,
                                 device.public_key().thumbprint(), r.body, *this);
  EXPECT_EQ(decision.audit.status, 200);
}

TEST_F(Keys, AnswersAreBoundToTheirRequest) {
  auto first = request(), second = request();
  auto answer = decide(first).answer;
  EXPECT_FALSE(check_answer(answer, second, d, k_alice, k_now));
  EXPECT_FALSE(check_answer(answer, first, d, "sip:bob@sealcast.test", k_now));
  EXPECT_FALSE(check_answer(answer, first, d, k_alice, k_now + 500));
  auto other = d;
  content::ContentKey wrong;
  other.header = content::make_sealed_header({5}, wrong);
  EXPECT_FALSE(check_answer(answer, first, other, k_alice, k_now));
  for (auto iat : {INT64_MIN, INT64_MAX}) {
    auto payload = *crypto::jws_peek(*jws_of_body(answer))->payload.as_object();
    payload["iat"] = std::int64_t{iat};
    auto forged = json::Value(json::Object{{"jws", crypto::jws_sign(payload, "sealcast-krsp+jwt", holder)}}).text();
    EXPECT_FALSE(check_answer(forged, first, d, k_alice, k_now));
  }
  for (std::size_t i = 0; i < answer.size(); i += 7) {
    auto changed = answer;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(check_answer(changed, first, d, k_alice, k_now)) << i;
  }
}

TEST_F(Keys, EnrolmentProvesTheKey) {
  auto proof = make_enrolment(k_alice, k_now, device);
  EXPECT_EQ(*verify_enrolment(proof, k_alice, k_now + 10), device.public_key().thumbprint());
  EXPECT_FALSE(verify_enrolment(proof, "sip:bob@sealcast.test", k_now));
  EXPECT_FALSE(verify_enrolment(proof, k_alice, k_now + 1000));
  for (auto iat : {INT64_MIN, INT64_MAX}) {  // no arithmetic with a foreign time
    auto payload = json::Object{{"v", 1}, {"sub", k_alice}, {"iat", std::int64_t{iat}}};
    EXPECT_FALSE(verify_enrolment(crypto::jws_sign(payload, "sealcast-enrol+jwt", device, true), k_alice, k_now));
  }
}

}  // namespace
}  // namespace sealcast::keys
