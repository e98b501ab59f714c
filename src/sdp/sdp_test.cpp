#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "sdp/crypto_attribute.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::sdp {
namespace {

using rtp::CryptoSuite;
using test::SeededRandom;

constexpr CryptoSuite k_suites[] = {CryptoSuite::aead_aes_128_gcm, CryptoSuite::aes_cm_128_hmac_sha1_80,
                                    CryptoSuite::aead_aes_256_gcm};
const Endpoint k_a{IpAddress::v4(192, 0, 2, 1), 4000}, k_b = *parse_endpoint("[2001:db8::7]:5000");

class Sdp : public testing::Test {
 protected:
  std::string offer_text(Transport transport = Transport::savpf) {
    offer = make_offer(k_a, transport, k_suites, 1204, random);
    return write(offer, 1);
  }
  std::string rule_of(const std::string& text, Policy policy = {}) {
    auto parsed = parse(text);
    if (!parsed) return parsed.error().rule;
    auto answered = answer(*parsed, policy, k_b, 1204, random);
    return answered ? "ok" : answered.error().rule;
  }
  static std::string replaced(std::string text, const std::string& from, const std::string& to) {
    auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }
  std::string line_of(const std::string& text, const std::string& begin) {
    auto at = text.find(begin);
    return text.substr(at, text.find("\r\n", at) + 2 - at);
  }
  SeededRandom random{21};
  MediaDescription offer;
};

TEST_F(Sdp, OfferAndAnswerAgreeOnKeysBothWays) {
  auto text = offer_text();
  auto answered = answer(*parse(text), {}, k_b, 1204, random);
  ASSERT_TRUE(answered);
  auto back = parse(write(answered->answer, 2));
  ASSERT_TRUE(back) << back.error().sentence;
  auto agreed = check_answer(offer, *back, {});
  ASSERT_TRUE(agreed) << agreed.error().sentence;
  EXPECT_EQ(agreed->send_key->suite, CryptoSuite::aead_aes_128_gcm);
  EXPECT_TRUE(equal(agreed->send_key->key_and_salt.expose(), answered->receive_key->key_and_salt.expose()));
  EXPECT_TRUE(equal(agreed->receive_key->key_and_salt.expose(), answered->send_key->key_and_salt.expose()));
  EXPECT_EQ(agreed->remote, k_b);
  EXPECT_EQ(answered->remote, k_a);
  EXPECT_EQ(agreed->local_ssrc, answered->remote_ssrc);
  EXPECT_EQ(agreed->remote_ssrc, answered->local_ssrc);
}

TEST_F(Sdp, PlainAssociationsOnlyWhereTheyAreAllowed) {
  auto text = offer_text(Transport::avpf);
  EXPECT_EQ(rule_of(text), "sdes-required");
  Policy relaxed;
  relaxed.secured_required = false;
  EXPECT_EQ(rule_of(text, relaxed), "ok");
  EXPECT_EQ(rule_of(offer_text(Transport::savpf), relaxed), "ok");  // stronger is accepted
}

TEST_F(Sdp, EachRuleIsNamed) {
  auto text = offer_text();
  EXPECT_EQ(rule_of(""), "no-media-line");
  EXPECT_EQ(rule_of(std::string(70000, 'x')), "no-media-line");
  EXPECT_EQ(rule_of(replaced(text, "RTP/SAVPF", "RTP/SAVP")), "profile-mismatch");
  EXPECT_EQ(rule_of(replaced(text, "a=rtcp-mux\r\n", "")), "rtcp-mux-required");
  EXPECT_EQ(rule_of(replaced(text, line_of(text, "a=ssrc"), "")), "ssrc-required");
  EXPECT_EQ(rule_of(replaced(text, "mhf=2", "mhf=0")), "fmtp-mismatch");
  EXPECT_EQ(rule_of(replaced(text, "maxdg=1204", "maxdg=1203")), "fmtp-mismatch");
  EXPECT_EQ(rule_of(replaced(text, "a=rtcp-fb:* ack ccfb\r\n", "")), "fmtp-mismatch");
  Policy no_tls;
  no_tls.inline_key_allowed = false;
  EXPECT_EQ(rule_of(text, no_tls), "inline-key-needs-tls");
  auto bare = text;
  for (int i = 0; i < 3; ++i) bare = replaced(bare, line_of(bare, "a=crypto"), "");
  EXPECT_EQ(rule_of(bare), "sdes-required");
  EXPECT_EQ(rule_of(replaced(bare, "a=rtcp-mux",
                             "a=crypto:1 F8_128_HMAC_SHA1_80 inline:" + base64(Bytes(30)) + "\r\na=rtcp-mux")),
            "no-common-suite");
  for (auto* bad : {" UNENCRYPTED_SRTP", " UNAUTHENTICATED_SRTP", " KDR=3", " FEC_ORDER=SRTP_FEC"})
    EXPECT_EQ(rule_of(replaced(bare, "a=rtcp-mux",
                               "a=crypto:1 AEAD_AES_128_GCM inline:" + base64(Bytes(28)) + bad + "\r\na=rtcp-mux")),
              "unsupported-parameter");
}

// RFC 4568 section 9.1 and 6.1: lifetime, MKI, parameters.
TEST_F(Sdp, CryptoAttributeGrammar) {
  auto key = base64(Bytes(30, 1));
  EXPECT_TRUE(parse_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + key));
  EXPECT_EQ(parse_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|2^20")->lifetime, 1u << 20);
  EXPECT_EQ(parse_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|1048576 WSH=128")->window, 128u);
  EXPECT_EQ(parse_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|2^20|1:4").error().rule,
            "unsupported-parameter");
  EXPECT_TRUE(parse_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + key + " -X-OTHER=1"));
  EXPECT_FALSE(parse_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + key + " X-OTHER=1"));
  EXPECT_FALSE(parse_crypto("01 AES_CM_128_HMAC_SHA1_80 inline:" + key));
  EXPECT_FALSE(parse_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + base64(Bytes(29))));
  EXPECT_FALSE(parse_crypto("1 AES_CM_128_HMAC_SHA1_80 " + key));
  EXPECT_FALSE(parse_crypto("1"));
  // Padding may be missing.
  auto padded = base64(Bytes(28, 3));
  EXPECT_TRUE(padded.ends_with("=="));
  EXPECT_TRUE(parse_crypto("1 AEAD_AES_128_GCM inline:" + padded.substr(0, padded.size() - 2)));
}

TEST_F(Sdp, AnswersThatWeakenAreRefused) {
  auto text = offer_text();
  auto answered = *answer(*parse(text), {}, k_b, 1204, random);
  auto rule = [&](const std::string& changed) {
    auto parsed = parse(changed);
    if (!parsed) return parsed.error().rule;
    auto result = check_answer(offer, *parsed, {});
    return result ? std::string("ok") : result.error().rule;
  };
  auto good = write(answered.answer, 3);
  EXPECT_EQ(rule(good), "ok");
  EXPECT_EQ(rule(replaced(good, "RTP/SAVPF", "RTP/AVPF")), "profile-mismatch");
  EXPECT_EQ(rule(replaced(good, "a=crypto:1 ", "a=crypto:7 ")), "tag-mismatch");
  EXPECT_EQ(rule(replaced(good, line_of(good, "a=crypto"),
                          "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + base64(Bytes(30, 5)) + "\r\n")),
            "suite-mismatch");
  EXPECT_EQ(rule(replaced(good, line_of(good, "a=crypto"), line_of(text, "a=crypto:1"))), "own-key-reflected");
  EXPECT_EQ(rule(replaced(good, line_of(good, "a=crypto"), "")), "sdes-required");
  // One line that is understood does not make another one harmless; what is wrong is named.
  EXPECT_EQ(rule(replaced(good, "a=rtcp-mux",
                          "a=crypto:2 NULL_HMAC_SHA1_80 inline:" + base64(Bytes(30, 5)) + "\r\na=rtcp-mux")),
            "no-common-suite");
  EXPECT_EQ(rule(replaced(good, line_of(good, "a=crypto"),
                          "a=crypto:1 AEAD_AES_128_GCM inline:" + base64(Bytes(28, 5)) + " UNENCRYPTED_SRTP\r\n")),
            "unsupported-parameter");
}

TEST_F(Sdp, EveryLineOfDefenceHolds) {
  auto text = offer_text(), plain = offer_text(Transport::avpf);
  Policy relaxed;
  relaxed.secured_required = false;
  EXPECT_EQ(rule_of(replaced(plain, "a=rtcp-mux",
                             "a=crypto:1 AEAD_AES_128_GCM inline:" + base64(Bytes(28)) + "\r\na=rtcp-mux"),
                    relaxed),
            "profile-mismatch");
  Policy one;
  one.suites = {CryptoSuite::aead_aes_256_gcm};
  auto answered = answer(*parse(text), one, k_b, 1204, random);
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->send_key->suite, CryptoSuite::aead_aes_256_gcm);
  EXPECT_EQ(answered->answer.crypto.front().tag, 3u);
  one.suites = {};
  EXPECT_EQ(rule_of(text, one), "no-common-suite");
  EXPECT_EQ(rule_of("s=-\r\n" + text), "no-media-line");
  EXPECT_EQ(rule_of(replaced(text, "s=-", "nonsense")), "no-media-line");
  EXPECT_EQ(rule_of(replaced(text, "RTP/SAVPF 98", "RTP/SAVPF")), "no-media-line");
  EXPECT_EQ(rule_of(replaced(text, "m=application 4000", "m=application 0")), "no-media-line");
  EXPECT_EQ(rule_of(replaced(text, "m=application 4000", "m=application 70000")), "no-media-line");
  EXPECT_EQ(rule_of(replaced(replaced(text, "c=IN IP4", "c=IN IP6"), "o=- 1 1 IN IP4", "o=- 1 1 IN IP4")),
            "no-media-line");
  EXPECT_EQ(rule_of(replaced(text, line_of(text, "a=fmtp"), "")), "fmtp-mismatch");
  for (auto* part : {"ver=1; ", "cam=2; ", "mhf=2; "}) EXPECT_EQ(rule_of(replaced(text, part, "")), "fmtp-mismatch");
  EXPECT_EQ(rule_of(replaced(text, "maxdg=1204", "maxdg=65508")), "fmtp-mismatch");
  EXPECT_EQ(rule_of(replaced(text, "maxdg=1204", "maxdg=x")), "fmtp-mismatch");
  EXPECT_EQ(rule_of(replaced(text, line_of(text, "a=ssrc"), "a=ssrc:0 cname:x\r\n")), "ssrc-required");
  std::string many;
  for (int i = 0; i < 17; ++i) many += "m=audio 1 RTP/AVP 0\r\n";
  EXPECT_EQ(rule_of(text + many), "no-media-line");
}

TEST_F(Sdp, KeysAreFreshAndOfTheirSuite) {
  auto first = make_offer(k_a, Transport::savpf, k_suites, 1204, random);
  for (auto& line : first.crypto) {
    auto shape = rtp::sizes(line.key.suite);
    EXPECT_EQ(line.key.key_and_salt.size(), shape.key + shape.salt);
    EXPECT_FALSE(equal(line.key.key_and_salt.expose(), Bytes(shape.key + shape.salt)));
  }
  EXPECT_FALSE(
      equal(first.crypto[0].key.key_and_salt.expose().first(16), first.crypto[1].key.key_and_salt.expose().first(16)));
  auto answered = answer(*parse(write(first, 1)), {}, k_b, 1204, random);
  EXPECT_FALSE(equal(answered->send_key->key_and_salt.expose(), answered->receive_key->key_and_salt.expose()));
  EXPECT_TRUE(make_offer(k_a, Transport::avpf, k_suites, 1204, random).crypto.empty());
}

TEST_F(Sdp, CryptoLimits) {
  auto key = base64(Bytes(30, 1));
  auto line = "1 AES_CM_128_HMAC_SHA1_80 inline:" + key;
  for (auto* bad : {"|2^49", "|0", "|x", "|281474976710657", "|2^20|1:4", ";inline:x", " WSH=63", " WSH=x",
                    " WSH=1048577", " KDR=1"})
    EXPECT_FALSE(parse_crypto(line + bad)) << bad;
  for (auto* good : {"|2^48", "|1", " WSH=64", " WSH=1048576", " KDR=0"})
    EXPECT_TRUE(parse_crypto(line + good)) << good;
  EXPECT_FALSE(parse_crypto("1000000000 AES_CM_128_HMAC_SHA1_80 inline:" + key));
  EXPECT_FALSE(parse_crypto("x AES_CM_128_HMAC_SHA1_80 inline:" + key));
  EXPECT_FALSE(parse_crypto("1 AES_CM_128_HMAC_SHA1_32 inline:" + key));
  EXPECT_FALSE(parse_crypto("1 AEAD_AES_128_GCM inline:" + key));  // the key of another suite
  // The window that is used is a power of two within bounds.
  auto text = offer_text();
  for (auto [asked, used] : {std::pair{"64", 64u}, {"65", 128u}, {"1000000", 32768u}}) {
    auto answered = answer(*parse(replaced(text, "WSH=16384", std::string("WSH=") + asked)), {}, k_b, 1204, random);
    ASSERT_TRUE(answered);
    EXPECT_EQ(answered->receive_window, used);
  }
}

TEST_F(Sdp, AnAnswerHasOneKeyUnderOneTag) {
  auto text = offer_text();
  auto answered = *answer(*parse(text), {}, k_b, 1204, random);
  auto good = write(answered.answer, 3);
  auto twice = replaced(good, "a=rtcp-mux",
                        "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + base64(Bytes(30, 5)) + "\r\na=rtcp-mux");
  EXPECT_EQ(check_answer(offer, *parse(twice), {}).error().rule, "sdes-required");
  auto plain_text = offer_text(Transport::avpf);
  Policy relaxed;
  relaxed.secured_required = false;
  auto plain = answer(*parse(plain_text), relaxed, k_b, 1204, random);
  ASSERT_TRUE(plain);
  EXPECT_EQ(check_answer(offer, plain->answer, {}).error().rule, "sdes-required");
  EXPECT_TRUE(check_answer(offer, plain->answer, relaxed));
}

TEST_F(Sdp, OtherMediaSectionsAreAnsweredWithPortZero) {
  auto text =
      replaced(offer_text(), "m=application", "m=audio 49170 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\nm=application");
  auto answered = answer(*parse(text), {}, k_b, 1204, random);
  ASSERT_TRUE(answered);
  EXPECT_NE(write(answered->answer, 1).find("m=audio 0 RTP/AVP 0 8\r\nm=application"), std::string::npos);
}

TEST_F(Sdp, WarningsComeBack) {
  Refusal refusal{"sdes-required", "say \"please\" \\ twice"};
  auto back = parse_warning(refusal.warning("cache.sealcast.test"));
  EXPECT_EQ(back.rule, "sdes-required");
  EXPECT_EQ(back.sentence, refusal.sentence);
  EXPECT_EQ(parse_warning("nonsense").rule, "");
}

TEST_F(Sdp, GarbageNeverHarms) {
  auto text = offer_text();
  for (int i = 0; i < 20000; ++i) {
    auto changed = text;
    for (int n = 0; n < 4; ++n) changed[random.u32() % changed.size()] = static_cast<char>(random.u32());
    (void)rule_of(changed);
  }
}

}  // namespace
}  // namespace sealcast::sdp
