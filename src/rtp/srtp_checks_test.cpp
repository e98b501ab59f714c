// Each check of the SRTP sender and receiver alone.
#include <gtest/gtest.h>

#include "rtp/feedback.hpp"
#include "rtp/packet.hpp"
#include "rtp/srtp.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::rtp {
namespace {

constexpr std::uint32_t k_ssrc = 0x5501a0b2;

struct Packet {
  Bytes octets = Bytes(200);
  PacketSlot slot;
  explicit Packet(std::uint16_t sequence, std::uint32_t ssrc = k_ssrc) {
    write_header({98, sequence, 7, ssrc}, octets.data());
    slot = {octets.data(), 60, 200, false};
  }
  Packet(const Packet& other) : octets(other.octets), slot(other.slot) { slot.data = octets.data(); }
  Packet& operator=(const Packet&) = delete;
};

class SrtpChecks : public testing::TestWithParam<CryptoSuite> {
 protected:
  SrtpChecks() {
    test::SeededRandom random(5);
    random.fill(key.key_and_salt.fill());
  }
  Packet sent(std::uint16_t sequence) {
    Packet out(sequence);
    sender.protect({&out.slot, 1});
    EXPECT_TRUE(out.slot.ok);
    return out;
  }
  bool received(Packet packet) {
    receiver.unprotect({&packet.slot, 1});
    return packet.slot.ok;
  }
  Packet sent_rtcp() {
    Packet out(0);
    out.slot.size = static_cast<std::uint32_t>(write_feedback({k_ssrc, 7, 1, {{true, 3}}, 99}, out.octets));
    sender.protect_rtcp(out.slot);
    EXPECT_TRUE(out.slot.ok);
    return out;
  }
  bool received_rtcp(Packet packet) {
    receiver.unprotect_rtcp(packet.slot);
    return packet.slot.ok;
  }
  SrtpKey key{GetParam(), SecretBytes(sizes(GetParam()).key + sizes(GetParam()).salt)};
  SrtpSender sender{key, k_ssrc};
  SrtpReceiver receiver{key, k_ssrc, {64}};
};
INSTANTIATE_TEST_SUITE_P(Suites, SrtpChecks,
                         testing::Values(CryptoSuite::aead_aes_128_gcm, CryptoSuite::aes_cm_128_hmac_sha1_80,
                                         CryptoSuite::aead_aes_256_gcm));

TEST_P(SrtpChecks, NothingIsSentForAnotherSource) {
  Packet other(1, k_ssrc + 1);
  sender.protect({&other.slot, 1});
  EXPECT_FALSE(other.slot.ok);
}

TEST_P(SrtpChecks, NothingIsSentWithoutRoomForTheTag) {
  Packet tight(1);
  tight.slot.capacity = tight.slot.size + static_cast<std::uint32_t>(sender.overhead()) - 1;
  sender.protect({&tight.slot, 1});
  EXPECT_FALSE(tight.slot.ok);
  EXPECT_EQ(tight.octets[tight.slot.capacity], 0);
  Packet report(0);
  report.slot.size = static_cast<std::uint32_t>(write_feedback({k_ssrc, 7, 1, {{true, 3}}, 99}, report.octets));
  report.slot.capacity = report.slot.size + 4;
  sender.protect_rtcp(report.slot);
  EXPECT_FALSE(report.slot.ok);
}

TEST_P(SrtpChecks, WhatIsOlderThanTheWindowIsRefusedUnread) {
  auto early = sent(1);
  std::vector<Packet> rest;
  for (std::uint16_t i = 2; i <= 66; ++i) rest.push_back(sent(i));
  EXPECT_TRUE(received(rest.front()));
  EXPECT_TRUE(received(rest.back()));  // 66: the window of 64 ends at 3
  EXPECT_FALSE(received(early));
  EXPECT_EQ(receiver.counters().replays, 1u);
  EXPECT_EQ(receiver.counters().authentication_failures, 0u);
}

TEST_P(SrtpChecks, AReplayCostsNoCipher) {
  auto packet = sent(1);
  EXPECT_TRUE(received(packet));
  packet.octets[30] ^= 1;
  EXPECT_FALSE(received(packet));  // the index alone condemns it
  EXPECT_EQ(receiver.counters().replays, 1u);
  EXPECT_EQ(receiver.counters().authentication_failures, 0u);
}

TEST_P(SrtpChecks, TheWindowForgetsWhatItSlidesOver) {
  std::vector<Packet> all;
  for (std::uint16_t i = 1; i <= 130; ++i) all.push_back(sent(i));
  EXPECT_TRUE(received(all[0]));
  EXPECT_TRUE(received(all[40]));   // 41: slides over 2..41
  EXPECT_TRUE(received(all[80]));   // 81
  EXPECT_TRUE(received(all[64]));   // 65 has the place of 1, which is long gone
  EXPECT_FALSE(received(all[64]));  // once
  EXPECT_FALSE(received(all[80]));
}

TEST_P(SrtpChecks, PacketsOfAnotherSourceAreMalformed) {
  SrtpReceiver other(key, k_ssrc + 1, {64});
  auto packet = sent(1);
  other.unprotect({&packet.slot, 1});
  EXPECT_FALSE(packet.slot.ok);
  EXPECT_EQ(other.counters().malformed, 1u);
  auto report = sent_rtcp();
  other.unprotect_rtcp(report.slot);
  EXPECT_FALSE(report.slot.ok);
  EXPECT_EQ(other.counters().malformed, 2u);
}

TEST_P(SrtpChecks, EveryOctetOfRtcpIsAuthenticated) {
  auto report = sent_rtcp();
  for (std::size_t octet = 0; octet < report.slot.size; ++octet) {
    auto changed = report;
    changed.octets[octet] ^= 0x10;
    EXPECT_FALSE(received_rtcp(changed)) << octet;
  }
  EXPECT_TRUE(received_rtcp(report));
  EXPECT_FALSE(received_rtcp(report));
}

TEST_P(SrtpChecks, RtcpInTheClearIsMalformed) {
  auto report = sent_rtcp();
  auto tag = sizes(GetParam()).rtp_tag;
  auto word = report.slot.size - (GetParam() == CryptoSuite::aes_cm_128_hmac_sha1_80 ? tag + 4 : 4);
  report.octets[word] ^= 0x80;
  EXPECT_FALSE(received_rtcp(report));
  EXPECT_EQ(receiver.counters().malformed, 1u);
}

TEST_P(SrtpChecks, NothingIsLearntBeforeAPacketAuthenticates) {
  auto packet = sent(1);
  auto forged = packet;
  forged.octets[2] = 0xff;  // a sequence number far ahead
  EXPECT_FALSE(received(forged));
  EXPECT_TRUE(received(packet));
}

}  // namespace
}  // namespace sealcast::rtp
