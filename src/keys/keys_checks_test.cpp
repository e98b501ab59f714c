// Each check of a key request, its answer and KEYINFO alone: everything else about the document is right.
#include <gtest/gtest.h>

#include "tests/support/key_parties.hpp"

namespace sealcast::keys {
namespace {

constexpr const char* k_request = "sealcast-kreq+jwt";

class KeyChecks : public testing::Test, public test::KeyParties {
 protected:
  KeyChecks() : KeyParties(32) { pending = request(); }
  PendingRequest request() { return make_request(d, k_alice, {k_cache, holder.public_key()}, k_now, device, random); }

  static std::string body_of(const std::string& jws) { return json::Value(json::Object{{"jws", jws}}).text(); }
  static json::Object payload_of(const std::string& body) {
    return *crypto::jws_peek(*jws_of_body(body))->payload.as_object();
  }
  // The request of `pending` with another member, signed by the device as it should be.
  std::string changed(const char* member, json::Value value, const char* type = k_request) {
    auto payload = payload_of(request().body);
    payload[member] = std::move(value);
    return body_of(crypto::jws_sign(payload, type, device, true));
  }
  KeyDecision decide(const std::string& body, const std::string& asserted = k_alice, UnixSeconds now = k_now) {
    return service.decide(Instant(std::chrono::seconds(now)), now, asserted, device.public_key().thumbprint(), body,
                          *this);
  }
  void ignored(const KeyDecision& decision, int status) {
    EXPECT_TRUE(decision.answer.empty());
    EXPECT_EQ(decision.audit.status, status) << decision.audit.reason;
  }
  // Told so by an answer without a key.
  void refused(const KeyDecision& decision, int status) {
    EXPECT_EQ(decision.audit.status, status) << decision.audit.reason;
    auto body = json::parse(decision.answer);
    ASSERT_TRUE(body) << decision.answer;
    auto answer = crypto::jws_peek(body->string_or("jws"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->payload.int_or("st"), status);
    EXPECT_FALSE(answer->payload.find("jwe"));
  }
  static std::string with_broken_signature(std::string jws) {
    auto dot = jws.rfind('.');
    jws[dot + 5] = jws[dot + 5] == 'A' ? 'B' : 'A';
    return jws;
  }

  std::optional<PendingRequest> pending;
};

TEST_F(KeyChecks, TheRequestIsForThisHolderAndFromWhoIsAsserted) {
  ignored(decide(changed("aud", "sip:cache-b@sealcast.test")), 403);
  ignored(decide(changed("sub", "sip:bob@sealcast.test")), 403);
  ignored(decide(changed("sub", ""), ""), 403);  // nobody asserted, nobody claimed: still nobody
  EXPECT_EQ(decide(changed("aud", k_cache)).audit.status, 200);
}

TEST_F(KeyChecks, TheRequestIsOfNow) {
  ignored(decide(changed("iat", k_now + 300)), 403);
  ignored(decide(changed("iat", k_now - 300)), 403);
}

TEST_F(KeyChecks, TheRequestHasAnIdOfItsOwn) {
  ignored(decide(changed("rid", "AAAA")), 403);
  ignored(decide(changed("rid", "")), 403);
  auto first = request();
  EXPECT_EQ(decide(first.body).audit.status, 200);
  ignored(decide(changed("rid", first.rid)), 403);  // another request under the same id, at once
}

TEST_F(KeyChecks, TheRequestIsARequestAndSigned) {
  ignored(decide(changed("v", 1, "sealcast-enrol+jwt")), 400);
  refused(decide(body_of(with_broken_signature(pending->jws))), 498);
  EXPECT_EQ(decide(pending->body).audit.status, 200);
}

TEST_F(KeyChecks, TheRequestNamesTheContent) {
  EXPECT_EQ(decide(changed("cid", "urn:sealcast:" + base64url(Bytes(16, 2)))).audit.status, 404);
  EXPECT_EQ(decide(changed("kid", json::Array{base64url(Bytes(32, 2))})).audit.status, 404);
}

TEST_F(KeyChecks, ABodyIsNotLongerThanItNeedsToBe) {
  auto padded = [&](std::size_t size) {
    auto body = json::Value(json::Object{{"jws", pending->jws}, {"pad", ""}}).text();
    return body.insert(body.size() - 2, size - body.size(), 'x');
  };
  EXPECT_TRUE(jws_of_body(padded(8192)));
  EXPECT_FALSE(jws_of_body(padded(8193)));
}

TEST_F(KeyChecks, RefusalsHoldNoKey) {
  entitled = false;
  auto payload = payload_of(decide(pending->body).answer);
  EXPECT_EQ(json::Value(payload).int_or("st"), 403);
  EXPECT_FALSE(payload.contains("jwe"));
}

TEST_F(KeyChecks, PatienceEarnsNoMoreThanABurst) {
  EXPECT_EQ(decide(pending->body).audit.status, 200);
  auto late = k_now + 500;  // minutes worth more than the burst
  d.expires_at = late + 1000;
  int released = 0;
  for (int i = 0; i < 45; ++i) {
    auto r = make_request(d, k_alice, {k_cache, holder.public_key()}, late, device, random);
    released += decide(r.body, k_alice, late).audit.status == 200;
  }
  EXPECT_EQ(released, 20);
}

TEST_F(KeyChecks, TheAnswerIsThatOfThisRequest) {
  auto payload = payload_of(decide(pending->body).answer);
  auto accepted = [&](const json::Object& changed_payload) {
    auto body = body_of(crypto::jws_sign(changed_payload, "sealcast-krsp+jwt", holder));
    return check_answer(body, *pending, d, k_alice, k_now).has_value();
  };
  EXPECT_TRUE(accepted(payload));
  auto digest = base64url(crypto::Digest{});
  for (auto& [member, value] : std::map<std::string, json::Value>{{"rid", base64url(Bytes(16, 5))},
                                                                  {"apv", digest},
                                                                  {"iss", "sip:cache-b@sealcast.test"},
                                                                  {"sub", "sip:bob@sealcast.test"},
                                                                  {"cid", "urn:sealcast:" + base64url(Bytes(16, 3))},
                                                                  {"root", digest},
                                                                  {"iat", k_now - 500},
                                                                  {"v", 2}}) {
    auto other = payload;
    other[member] = value;
    EXPECT_FALSE(accepted(other)) << member;
  }
  auto jws = crypto::jws_sign(payload, "sealcast-krsp+jwt", holder);
  EXPECT_FALSE(check_answer(body_of(with_broken_signature(jws)), *pending, d, k_alice, k_now));
}

TEST_F(KeyChecks, TheAnswersKeyIsTheContents) {
  auto payload = payload_of(decide(pending->body).answer);
  auto answer_with = [&](json::Array keys) {
    auto plaintext = json::Value(json::Object{{"keys", std::move(keys)}}).text();
    payload["jwe"] = crypto::jwe_encrypt(view_of(plaintext), pending->ephemeral.public_key(),
                                         apu_of(holder.public_key()), crypto::sha256(view_of(pending->jws)), random);
    auto body = body_of(crypto::jws_sign(payload, "sealcast-krsp+jwt", holder));
    return check_answer(body, *pending, d, k_alice, k_now);
  };
  auto named = [](const std::string& id, ByteView octets) {
    return json::Object{{"kid", id}, {"k", base64url(octets)}, {"from", 0}, {"to", 0}};
  };
  auto id = content::key_id(*d.header);
  Bytes wrong(16, 7);
  auto both = answer_with({named(base64url(Bytes(32, 1)), wrong), named(id, key.expose())});
  ASSERT_TRUE(both) << both.error().message;
  EXPECT_EQ(both->key, key);
  EXPECT_FALSE(answer_with({named(id, wrong)}));  // the header commits to another one
  EXPECT_FALSE(answer_with({named(base64url(Bytes(32, 1)), key.expose())}));
  EXPECT_FALSE(answer_with({}));
}

TEST_F(KeyChecks, KeyinfoIsValidNowAboutThisKey) {
  auto certificate = [&](UnixSeconds from, UnixSeconds life) {
    return make_holder_certificate(k_cache, holder.public_key(), from, life, key_service);
  };
  auto good = certificate(k_now, 3600);
  auto checked = [&](const std::string& holder_certificate, const content::Description& about, UnixSeconds from,
                     UnixSeconds life) {
    auto keyinfo = make_keyinfo(holder_certificate, about, k_cache, from, life, holder);
    return verify_keyinfo(keyinfo, d, k_now).has_value();
  };
  EXPECT_TRUE(checked(good, d, k_now, 3600));
  EXPECT_FALSE(checked(certificate(k_now - 5000, 3600), d, k_now, 3600));
  EXPECT_FALSE(checked(certificate(k_now + 1000, 3600), d, k_now, 3600));
  EXPECT_FALSE(checked(good, d, k_now - 5000, 3600));
  EXPECT_FALSE(checked(good, d, k_now + 1000, 3600));
  auto other = d;
  content::ContentKey another;
  other.header = content::make_sealed_header({5}, another);
  EXPECT_FALSE(checked(good, other, k_now, 3600));
  auto keyinfo = make_keyinfo(good, d, k_cache, k_now, 3600, holder);
  EXPECT_FALSE(verify_keyinfo(with_broken_signature(keyinfo), d, k_now));
  EXPECT_FALSE(verify_keyinfo(with_broken_signature(good) + keyinfo.substr(keyinfo.find('~')), d, k_now));
}

TEST_F(KeyChecks, KeyinfoFitsItsDatagram) {
  std::string uri = "sip:" + std::string(251, 'c');
  auto certificate = make_holder_certificate(uri, holder.public_key(), k_now, 3600, key_service);
  auto keyinfo = make_keyinfo(certificate, d, uri, k_now, 3600, holder);
  EXPECT_GT(keyinfo.size(), 1190u);
  EXPECT_FALSE(verify_keyinfo(keyinfo, d, k_now));
}

TEST_F(KeyChecks, EnrolmentIsSigned) {
  auto proof = make_enrolment(k_alice, k_now, device);
  EXPECT_TRUE(verify_enrolment(proof, k_alice, k_now));
  EXPECT_FALSE(verify_enrolment(with_broken_signature(proof), k_alice, k_now));
}

}  // namespace
}  // namespace sealcast::keys
