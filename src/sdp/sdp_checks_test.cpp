// Rules of offer and answer, each broken alone.
#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "sdp/crypto_attribute.hpp"
#include "sdp/offer_answer.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::sdp {
namespace {

using rtp::CryptoSuite;

constexpr CryptoSuite k_suites[] = {CryptoSuite::aead_aes_128_gcm, CryptoSuite::aes_cm_128_hmac_sha1_80,
                                    CryptoSuite::aead_aes_256_gcm};
const Endpoint k_a{IpAddress::v4(192, 0, 2, 1), 4000}, k_b{IpAddress::v4(192, 0, 2, 2), 5000};

class SdpChecks : public testing::Test {
 protected:
  MediaDescription offered(Transport transport = Transport::savpf) {
    return *parse(write(make_offer(k_a, transport, k_suites, 1204, random), 1));
  }
  std::string answered(const MediaDescription& offer, const Policy& policy = {}) {
    auto out = answer(offer, policy, k_b, 1204, random);
    return out ? "ok" : out.error().rule;
  }
  std::string crypto(const std::string& rest, const std::string& key = base64(Bytes(28, 1))) {
    auto line = parse_crypto("1 AEAD_AES_128_GCM inline:" + key + rest);
    return line ? "ok" : line.error().rule;
  }
  test::SeededRandom random{22};
  Policy plain_allowed = [] {
    Policy out;
    out.secured_required = false;
    return out;
  }();
};

TEST_F(SdpChecks, APlainOfferHasNoKeys) {
  auto offer = offered(Transport::avpf);
  EXPECT_EQ(answered(offer, plain_allowed), "ok");
  offer.crypto = offered().crypto;
  EXPECT_EQ(answered(offer, plain_allowed), "profile-mismatch");
}

TEST_F(SdpChecks, OnlyAllowedSuitesAreTaken) {
  auto offer = offered();
  Policy strict;
  strict.suites = {CryptoSuite::aead_aes_256_gcm};
  auto taken = answer(offer, strict, k_b, 1204, random);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->receive_key->suite, CryptoSuite::aead_aes_256_gcm);
  offer.crypto.pop_back();
  EXPECT_EQ(answered(offer, strict), "no-common-suite");
}

TEST_F(SdpChecks, BothDirectionsHaveTheirOwnKey) {
  auto taken = answer(offered(), {}, k_b, 1204, random);
  ASSERT_TRUE(taken);
  EXPECT_NE(bytes_of(taken->send_key->key_and_salt.expose()), bytes_of(taken->receive_key->key_and_salt.expose()));
}

TEST_F(SdpChecks, AnAnswerHasOneKeyOfThoseOffered) {
  auto offer = make_offer(k_a, Transport::savpf, k_suites, 1204, random);
  auto taken = answer(*parse(write(offer, 1)), {}, k_b, 1204, random);
  auto& good = taken->answer;
  auto rule = [&] {
    auto checked = check_answer(offer, *parse(write(good, 2)), {});
    return checked ? std::string("ok") : checked.error().rule;
  };
  EXPECT_EQ(rule(), "ok");
  CryptoLine second;
  second.tag = 2;
  second.key = {k_suites[1], SecretBytes(30)};
  good.crypto.push_back(std::move(second));
  EXPECT_EQ(rule(), "sdes-required");
  good.crypto.clear();
  EXPECT_EQ(rule(), "sdes-required");
  // A key of ours comes back under whichever tag it was offered.
  good.crypto.push_back({1, {k_suites[0], SecretBytes(28)}});
  EXPECT_EQ(rule(), "ok");
  good.crypto[0].key = offer.crypto[0].key.duplicate();
  EXPECT_EQ(rule(), "own-key-reflected");
}

TEST_F(SdpChecks, APlainAnswerToAPlainOfferStillMeetsThePolicy) {
  auto offer = make_offer(k_a, Transport::avpf, k_suites, 1204, random);
  auto taken = answer(*parse(write(offer, 1)), plain_allowed, k_b, 1204, random);
  auto& good = taken->answer;
  auto parsed = *parse(write(good, 2));
  EXPECT_TRUE(check_answer(offer, parsed, plain_allowed));
  auto refused = check_answer(offer, parsed, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().rule, "sdes-required");
}

TEST_F(SdpChecks, WindowsAreOnesThatWeCanHave) {
  for (auto [asked, used] : {std::pair{64u, 64u}, {65u, 128u}, {32768u, 32768u}, {1048576u, 32768u}}) {
    auto offer = offered();
    offer.crypto[0].window = asked;
    EXPECT_EQ(answer(offer, {}, k_b, 1204, random)->receive_window, used) << asked;
  }
}

TEST_F(SdpChecks, EveryPartOfACryptoLineIsChecked) {
  auto key = base64(Bytes(28, 1));
  EXPECT_EQ(crypto(""), "ok");
  EXPECT_EQ(crypto("|2^20"), "ok");
  EXPECT_EQ(crypto(";inline:" + key), "unsupported-parameter");
  EXPECT_EQ(crypto("|2^20;inline:" + key), "unsupported-parameter");
  EXPECT_EQ(crypto("|1:4"), "unsupported-parameter");
  EXPECT_EQ(parse_crypto("1 AEAD_AES_128_GCM inline:" + key + "|1:4").error().sentence, "a=crypto:1 asks for an MKI");
  EXPECT_EQ(crypto("|0"), "unsupported-parameter");
  EXPECT_EQ(crypto("|2^49"), "unsupported-parameter");
  EXPECT_EQ(crypto(" WSH=63"), "unsupported-parameter");
  EXPECT_EQ(crypto(" WSH=64"), "ok");
  EXPECT_EQ(crypto("", base64(Bytes(27, 1))), "no-common-suite");
  auto other = parse_crypto("1 AEAD_AES_128_GCM outlet:" + key);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().rule, "unsupported-parameter");
}

TEST_F(SdpChecks, SeveralKeysAreCalledSo) {
  auto key = base64(Bytes(28, 1));
  auto several = parse_crypto("1 AEAD_AES_128_GCM inline:" + key + ";inline:" + key);
  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().sentence, "a=crypto:1 has several keys");
}

TEST_F(SdpChecks, LinesHaveAnEnd) {
  auto text = write(make_offer(k_a, Transport::savpf, k_suites, 1204, random), 1);
  std::string audio;
  for (int i = 0; i < 15; ++i) audio += "m=audio 9 RTP/AVP 0\r\n";
  EXPECT_TRUE(parse(text + audio));
  EXPECT_FALSE(parse(text + audio + "m=audio 9 RTP/AVP 0\r\n"));
  auto line = "a=crypto:9 AEAD_AES_128_GCM inline:" + base64(Bytes(28, 3)) + "\r\n";
  auto many = text;
  for (int i = 0; i < 40; ++i) many += line;
  EXPECT_EQ(parse(many)->crypto.size(), 16u);
}

TEST_F(SdpChecks, TheProfileIsNamedWhole) {
  auto text = write(make_offer(k_a, Transport::savpf, k_suites, 1204, random), 1);
  for (std::string word : {"ver=1", "cam=2", "mhf=2"}) {
    auto changed = text;
    auto at = changed.find(word);
    changed.replace(at + word.size() - 1, 1, "0");
    auto parsed = parse(changed);
    ASSERT_FALSE(parsed) << word;
    EXPECT_EQ(parsed.error().rule, "fmtp-mismatch");
  }
}

}  // namespace
}  // namespace sealcast::sdp
