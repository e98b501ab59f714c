#include <gtest/gtest.h>
#include <srtp2/srtp.h>

#include <deque>

#include "base/encoding.hpp"
#include "crypto/backend.hpp"
#include "crypto/packet_cipher.hpp"
#include "rtp/feedback.hpp"
#include "rtp/packet.hpp"
#include "rtp/srtp.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::rtp {
namespace {

constexpr std::uint32_t k_ssrc = 0x5501a0b2;

SrtpKey key_of(CryptoSuite suite, std::uint64_t seed = 1) {
  test::SeededRandom random(seed);
  SrtpKey out{suite, SecretBytes(sizes(suite).key + sizes(suite).salt)};
  random.fill(out.key_and_salt.fill());
  return out;
}

struct Packet {
  Bytes octets = Bytes(1500);
  PacketSlot slot;
  Packet(std::uint16_t sequence, std::size_t payload) {
    write_header({98, sequence, 7, k_ssrc}, octets.data());
    for (std::size_t i = 0; i < payload; ++i) octets[12 + i] = static_cast<std::uint8_t>(i + sequence);
    slot = {octets.data(), static_cast<std::uint32_t>(12 + payload), 1500, false};
  }
  explicit Packet(ByteView from) {
    std::copy(from.begin(), from.end(), octets.begin());
    slot = {octets.data(), static_cast<std::uint32_t>(from.size()), 1500, false};
  }
  Packet(const Packet& other) : octets(other.octets), slot(other.slot) { slot.data = octets.data(); }
  Packet& operator=(const Packet&) = delete;
  ByteView view() const { return {octets.data(), slot.size}; }
};

// libsrtp as the other end of one direction.
class Oracle {
 public:
  Oracle(const SrtpKey& key, bool sends, std::uint32_t window = 16384, bool encrypts_rtcp = true) {
    static bool ready = srtp_init() == srtp_err_status_ok;
    EXPECT_TRUE(ready);
    srtp_policy_t policy{};
    auto profile = key.suite == CryptoSuite::aead_aes_128_gcm   ? srtp_profile_aead_aes_128_gcm
                   : key.suite == CryptoSuite::aead_aes_256_gcm ? srtp_profile_aead_aes_256_gcm
                                                                : srtp_profile_aes128_cm_sha1_80;
    srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, profile);
    srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, profile);
    if (!encrypts_rtcp) policy.rtcp.sec_serv = sec_serv_auth;
    policy.ssrc = {sends ? ssrc_any_outbound : ssrc_any_inbound, 0};
    policy.key = const_cast<unsigned char*>(key.key_and_salt.expose().data());
    policy.window_size = window;
    EXPECT_EQ(srtp_create(&session_, &policy), srtp_err_status_ok);
  }
  ~Oracle() { srtp_dealloc(session_); }
  bool protect(Packet& p) { return apply(srtp_protect, p); }
  bool unprotect(Packet& p) { return apply(srtp_unprotect, p); }
  bool protect_rtcp(Packet& p) { return apply(srtp_protect_rtcp, p); }
  bool unprotect_rtcp(Packet& p) { return apply(srtp_unprotect_rtcp, p); }

 private:
  bool apply(srtp_err_status_t (*call)(srtp_t, void*, int*), Packet& p) {
    int size = static_cast<int>(p.slot.size);
    bool good = call(session_, p.octets.data(), &size) == srtp_err_status_ok;
    p.slot.size = static_cast<std::uint32_t>(size);
    return good;
  }
  srtp_t session_ = nullptr;
};

TEST(KeyDerivation, Rfc3711AppendixB3) {
  auto key = *parse_hex("E1F97A0D3E018BE0D64FA32C06DE4139");
  auto salt = *parse_hex("0EC675AD498AFEEBB6960B3AABE6");
  auto keystream = [&](std::uint8_t label, std::size_t size) {
    std::array<std::uint8_t, 16> iv{};
    std::copy(salt.begin(), salt.end(), iv.begin());
    iv[7] ^= label;
    Bytes out(size);
    crypto::aes_counter_keystream(key, iv, out);
    return hex(out);
  };
  EXPECT_EQ(keystream(0, 16), "c61e7a93744f39ee10734afe3ff7a087");
  EXPECT_EQ(keystream(2, 14), "30cbbc08863d8c85d49db34a9ae1");
  EXPECT_EQ(keystream(1, 20), "cebe321f6ff7716b6fd4ab49af256a156d38baa4");
  // B.2: AES counter mode
  Bytes out(32);
  crypto::aes_counter_keystream(
      *parse_hex("2B7E151628AED2A6ABF7158809CF4F3C"),
      {0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0, 0}, out);
  EXPECT_EQ(hex(out), "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab");
}

TEST(PacketCipher, Rfc7714GalliaPacket) {
  for (auto [key, expected] : {std::pair{"000102030405060708090a0b0c0d0e0f",
                                         "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf88338"
                                         "99d7f27beb16a9152cf765ee4390cce"},
                               std::pair{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                         "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7"
                                         "aa3db36dfffd6b0f9bb7878d7a76c13"}}) {
    for (auto backend : {crypto::Backend::automatic, crypto::Backend::openssl}) {
      crypto::set_backend(backend);
      auto cipher = crypto::make_gcm_cipher(*parse_hex(key));
      auto header = *parse_hex("8040f17b8041f8d35501a0b2");
      auto text = bytes_of("Gallia est omnis divisa in partes tres");
      text.resize(text.size() + 16);
      crypto::PacketJob job;
      auto iv = *parse_hex("51753c6580c2726f20718414");
      std::copy(iv.begin(), iv.end(), job.iv.begin());
      job.aad = header;
      job.text = MutableByteView(text).first(38);
      job.tag = text.data() + 38;
      cipher->seal({&job, 1});
      EXPECT_EQ(hex(text), expected);
      cipher->open({&job, 1});
      EXPECT_TRUE(job.ok);
      EXPECT_EQ(string_of(job.text), "Gallia est omnis divisa in partes tres");
      text[50] ^= 1;
      cipher->open({&job, 1});
      EXPECT_FALSE(job.ok);
    }
    crypto::set_backend(crypto::Backend::automatic);
  }
}

class EachSuite : public testing::TestWithParam<std::tuple<CryptoSuite, crypto::Backend>> {
 protected:
  EachSuite() { crypto::set_backend(std::get<1>(GetParam())); }
  ~EachSuite() override { crypto::set_backend(crypto::Backend::automatic); }
  CryptoSuite suite() const { return std::get<0>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Suites, EachSuite,
                         testing::Combine(testing::Values(CryptoSuite::aead_aes_128_gcm,
                                                          CryptoSuite::aes_cm_128_hmac_sha1_80,
                                                          CryptoSuite::aead_aes_256_gcm),
                                          testing::Values(crypto::Backend::automatic, crypto::Backend::openssl)));

TEST_P(EachSuite, LibsrtpReadsUsThroughAWrap) {
  auto key = key_of(suite());
  SrtpSender sender(key, k_ssrc);
  Oracle oracle(key, false);
  std::uint16_t sequence = 0x7ff0;
  for (int i = 0; i < 70000; ++i, ++sequence) {
    Packet packet(sequence, static_cast<std::size_t>(i % 5 == 0 ? 0 : 60)), plain = packet;
    sender.protect({&packet.slot, 1});
    ASSERT_TRUE(packet.slot.ok);
    ASSERT_TRUE(oracle.unprotect(packet)) << i;
    ASSERT_EQ(hex(packet.view()), hex(plain.view()));
  }
}

TEST_P(EachSuite, WeReadLibsrtpThroughAWrap) {
  auto key = key_of(suite());
  SrtpReceiver receiver(key, k_ssrc);
  Oracle oracle(key, true);
  std::uint16_t sequence = 100;
  for (int i = 0; i < 70000; ++i, ++sequence) {
    Packet packet(sequence, 60), plain = packet;
    ASSERT_TRUE(oracle.protect(packet));
    receiver.unprotect({&packet.slot, 1});
    ASSERT_TRUE(packet.slot.ok) << i;
    ASSERT_EQ(hex(packet.view()), hex(plain.view()));
  }
}

TEST_P(EachSuite, RtcpBothWays) {
  auto key = key_of(suite());
  Feedback feedback{k_ssrc, 7, 65530, {{true, 3}, {false, 0}, {true, 1}}, 99};
  Bytes octets(feedback_octets(3));
  ASSERT_EQ(write_feedback(feedback, octets), octets.size());
  SrtpSender sender(key, k_ssrc);
  SrtpReceiver receiver(key, k_ssrc);
  Oracle reader(key, false), writer(key, true);
  for (int i = 0; i < 10; ++i) {
    Packet ours{ByteView(octets)}, theirs{ByteView(octets)};
    sender.protect_rtcp(ours.slot);
    ASSERT_TRUE(ours.slot.ok && reader.unprotect_rtcp(ours));
    EXPECT_EQ(hex(ours.view()), hex(octets));
    ASSERT_TRUE(writer.protect_rtcp(theirs));
    auto again = theirs;
    receiver.unprotect_rtcp(theirs.slot);
    ASSERT_TRUE(theirs.slot.ok);
    EXPECT_EQ(hex(theirs.view()), hex(octets));
    receiver.unprotect_rtcp(again.slot);
    EXPECT_FALSE(again.slot.ok);
  }
}

// 16,383 packets of reordering: the first packet comes after all the others.
TEST_P(EachSuite, ReorderingUpToTheWindow) {
  for (auto [window, accepted] : {std::pair{16384u, true}, std::pair{1024u, false}}) {
    auto key = key_of(suite());
    SrtpSender sender(key, k_ssrc);
    SrtpReceiver receiver(key, k_ssrc, {window});
    Oracle oracle(key, false, window);
    Packet start(9, 1), late(10, 60);
    sender.protect({&start.slot, 1});
    sender.protect({&late.slot, 1});
    auto start_copy = start, late_copy = late;
    receiver.unprotect({&start.slot, 1});
    EXPECT_TRUE(oracle.unprotect(start_copy));
    for (int i = 1; i <= 16383; ++i) {
      Packet packet(static_cast<std::uint16_t>(10 + i), 20);
      sender.protect({&packet.slot, 1});
      auto copy = packet;
      receiver.unprotect({&packet.slot, 1});
      ASSERT_TRUE(packet.slot.ok && oracle.unprotect(copy));
    }
    receiver.unprotect({&late.slot, 1});
    EXPECT_EQ(late.slot.ok, accepted);
    EXPECT_EQ(oracle.unprotect(late_copy), accepted);
  }
}

TEST_P(EachSuite, ReplaysChangesAndTruncationsAreRefused) {
  auto key = key_of(suite());
  SrtpSender sender(key, k_ssrc);
  SrtpReceiver receiver(key, k_ssrc);
  Packet packet(1, 40);
  sender.protect({&packet.slot, 1});
  for (std::size_t octet = 0; octet < packet.slot.size; ++octet) {
    auto changed = packet;
    changed.octets[octet] ^= 0x10;
    receiver.unprotect({&changed.slot, 1});
    EXPECT_FALSE(changed.slot.ok) << octet;
  }
  for (std::uint32_t size = 0; size < packet.slot.size; ++size) {
    auto cut = packet;
    cut.slot.size = size;
    receiver.unprotect({&cut.slot, 1});
    EXPECT_FALSE(cut.slot.ok) << size;
  }
  std::vector<Packet> twice{packet, packet};
  std::vector<PacketSlot> batch{twice[0].slot, twice[1].slot};
  receiver.unprotect(batch);
  EXPECT_TRUE(batch[0].ok);
  EXPECT_FALSE(batch[1].ok);
  EXPECT_EQ(receiver.counters().replays, 1u);
}

TEST_P(EachSuite, ASenderNeverRepeatsAnIndexNorOutlivesItsKey) {
  SrtpSender sender(key_of(suite()), k_ssrc, {16384, 3});
  Packet first(5, 10), again(5, 10), gap(7, 10), second(6, 10), third(7, 10), fourth(8, 10);
  for (auto [packet, good] :
       {std::pair{&first, true}, {&again, false}, {&gap, false}, {&second, true}, {&third, true}, {&fourth, false}}) {
    sender.protect({&packet->slot, 1});
    EXPECT_EQ(packet->slot.ok, good);
  }
  EXPECT_EQ(sender.packets_left(), 0u);
}

TEST(Srtp, RecoversFromAnUnseenWrap) {
  auto key = key_of(CryptoSuite::aead_aes_128_gcm);
  SrtpSender sender(key, k_ssrc);
  SrtpReceiver receiver(key, k_ssrc);
  int accepted_after = 0;
  for (int i = 0; i < 80000; ++i) {
    Packet packet(static_cast<std::uint16_t>(i), 20);
    sender.protect({&packet.slot, 1});
    if (i > 100 && i < 66000) continue;  // lost
    receiver.unprotect({&packet.slot, 1});
    if (i >= 66000 && packet.slot.ok) ++accepted_after;
  }
  EXPECT_GT(accepted_after, 13000);
}

TEST(Feedback, ParsesWhatItWritesAndNothingElse) {
  for (std::size_t count : {1u, 2u, 33u, 1024u}) {
    Feedback in{1, 2, 3, std::vector<FeedbackReport>(count, {true, 5}), 4};
    in.reports[count / 2].received = false;
    Bytes octets(feedback_octets(count));
    write_feedback(in, octets);
    auto out = parse_feedback(octets);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->reports.size(), count);
    EXPECT_FALSE(out->reports[count / 2].received);
    for (std::size_t cut = 0; cut < octets.size(); ++cut) EXPECT_FALSE(parse_feedback(ByteView(octets).first(cut)));
  }
}

// What a line of defence holds back, one by one.

TEST_P(EachSuite, ASenderRefusesWhatIsNotItsOwnOrDoesNotFit) {
  auto key = key_of(suite());
  SrtpSender sender(key, k_ssrc);
  Packet foreign(5, 10), tight(5, 10), headless(5, 0), good(5, 10);
  foreign.octets[11] ^= 1;
  tight.slot.capacity = tight.slot.size + static_cast<std::uint32_t>(sender.overhead()) - 1;
  headless.slot.size = 11;
  for (auto* packet : {&foreign, &tight, &headless}) {
    auto before = packet->octets;
    sender.protect({&packet->slot, 1});
    EXPECT_FALSE(packet->slot.ok);
    EXPECT_EQ(packet->octets, before);
  }
  Packet control(5, 10);
  control.slot.capacity = control.slot.size + static_cast<std::uint32_t>(sizes(suite()).rtcp_tag) + 3;
  sender.protect_rtcp(control.slot);
  EXPECT_FALSE(control.slot.ok);
  control.slot.size = 7;
  control.slot.capacity = 1500;
  sender.protect_rtcp(control.slot);
  EXPECT_FALSE(control.slot.ok);
  sender.protect({&good.slot, 1});
  EXPECT_TRUE(good.slot.ok);  // nothing of this has used up a number
}

TEST_P(EachSuite, AReceiverTakesItsOwnSenderOnly) {
  auto key = key_of(suite());
  SrtpSender other(key, k_ssrc + 1), sender(key, k_ssrc);
  SrtpReceiver receiver(key, k_ssrc);
  Packet foreign(5, 40), extended(5, 40);
  foreign.octets[11] += 1;
  other.protect({&foreign.slot, 1});
  ASSERT_TRUE(foreign.slot.ok);
  receiver.unprotect({&foreign.slot, 1});
  EXPECT_FALSE(foreign.slot.ok);
  extended.octets[0] = 0x90;  // an extension: not in our profile, whoever signs it
  sender.protect({&extended.slot, 1});
  ASSERT_TRUE(extended.slot.ok);
  receiver.unprotect({&extended.slot, 1});
  EXPECT_FALSE(extended.slot.ok);
  EXPECT_EQ(receiver.counters().malformed, 2u);
  Bytes report(feedback_octets(1));
  write_feedback({k_ssrc + 1, 7, 0, {{true, 0}}, 0}, report);
  Packet control{ByteView(report)};
  other.protect_rtcp(control.slot);
  receiver.unprotect_rtcp(control.slot);
  EXPECT_FALSE(control.slot.ok);
  EXPECT_EQ(receiver.counters().malformed, 3u);
}

TEST_P(EachSuite, AReplayIsLeftAloneAndFailuresTeachNothing) {
  auto key = key_of(suite());
  SrtpSender sender(key, k_ssrc);
  SrtpReceiver receiver(key, k_ssrc);
  Packet first(5, 40), second(6, 40);
  sender.protect({&first.slot, 1});
  sender.protect({&second.slot, 1});
  auto again = first, forged = second;
  receiver.unprotect({&first.slot, 1});
  auto before = again.octets;
  receiver.unprotect({&again.slot, 1});
  EXPECT_FALSE(again.slot.ok);
  EXPECT_EQ(again.octets, before);
  forged.octets[2] = 0x40;  // far ahead, and not authentic
  receiver.unprotect({&forged.slot, 1});
  EXPECT_FALSE(forged.slot.ok);
  EXPECT_EQ(receiver.counters().authentication_failures, 1u);
  receiver.unprotect({&second.slot, 1});
  EXPECT_TRUE(second.slot.ok);
  EXPECT_EQ(receiver.counters().packets, 2u);
}

// A sender's packets 0..n, of which the test delivers what it likes.
struct Stream {
  explicit Stream(CryptoSuite suite, std::uint32_t window, std::uint16_t from, int count)
      : receiver(key_of(suite), k_ssrc, {window}), first(from) {
    SrtpSender sender(key_of(suite), k_ssrc);
    for (int i = 0; i < count; ++i) {
      packets.emplace_back(static_cast<std::uint16_t>(from + i), 8);
      sender.protect({&packets.back().slot, 1});
    }
  }
  bool deliver(int number) {
    auto copy = packets[static_cast<std::size_t>(number - first)];
    receiver.unprotect({&copy.slot, 1});
    return copy.slot.ok;
  }
  SrtpReceiver receiver;
  int first;
  std::deque<Packet> packets;
};

TEST_P(EachSuite, EdgesOfTheReplayWindow) {
  Stream s(suite(), 64, 0, 1200);
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(s.deliver(i));
  EXPECT_FALSE(s.deliver(0));  // the oldest that is remembered
  EXPECT_TRUE(s.deliver(100));
  EXPECT_TRUE(s.deliver(70));  // its place was taken by 6, and is free again
  EXPECT_FALSE(s.deliver(70));
  EXPECT_FALSE(s.deliver(36));  // fallen out
  EXPECT_FALSE(s.deliver(37));  // the last that is in
  EXPECT_TRUE(s.deliver(64));
  EXPECT_TRUE(s.deliver(164));  // a whole window further
  EXPECT_TRUE(s.deliver(101));
  EXPECT_FALSE(s.deliver(100));
  EXPECT_TRUE(s.deliver(1100));  // far beyond
  EXPECT_TRUE(s.deliver(1064));
  EXPECT_TRUE(s.deliver(1037));
  EXPECT_FALSE(s.deliver(1036));
  EXPECT_FALSE(s.deliver(1100));
}

TEST_P(EachSuite, TheRollOverCounterFollowsReorderingAroundAWrap) {
  Stream s(suite(), 16384, 65500, 100);
  EXPECT_TRUE(s.deliver(65533));
  EXPECT_TRUE(s.deliver(65537));  // number 1
  EXPECT_TRUE(s.deliver(65535));  // of before the wrap
  EXPECT_TRUE(s.deliver(65536));
  EXPECT_FALSE(s.deliver(65535));
  EXPECT_TRUE(s.deliver(65534));
  EXPECT_TRUE(s.deliver(65599));
  EXPECT_TRUE(s.deliver(65500));
  // Before any wrap there is nothing to go back to.
  Stream early(suite(), 16384, 10, 65000);
  EXPECT_TRUE(early.deliver(10));
  EXPECT_TRUE(early.deliver(65000));
}

// Authenticated, and not encrypted (E = 0): refused all the same.
TEST(Srtcp, WhatIsNotEncryptedIsRefused) {
  auto key = key_of(CryptoSuite::aes_cm_128_hmac_sha1_80);
  Oracle plain(key, true, 16384, false), encrypting(key, true);
  SrtpReceiver receiver(key, k_ssrc);
  Bytes report(feedback_octets(1));
  write_feedback({k_ssrc, 7, 0, {{true, 0}}, 0}, report);
  Packet open{ByteView(report)}, sealed{ByteView(report)};
  ASSERT_TRUE(plain.protect_rtcp(open));
  receiver.unprotect_rtcp(open.slot);
  EXPECT_FALSE(open.slot.ok);
  EXPECT_EQ(receiver.counters().malformed, 1u);
  ASSERT_TRUE(encrypting.protect_rtcp(sealed));
  receiver.unprotect_rtcp(sealed.slot);
  EXPECT_TRUE(sealed.slot.ok);
  Packet shortest{ByteView(report).first(8)};
  receiver.unprotect_rtcp(shortest.slot);
  EXPECT_FALSE(shortest.slot.ok);
}

TEST_P(EachSuite, ControlPacketsThatWereChangedAreRefused) {
  auto key = key_of(suite());
  SrtpSender sender(key, k_ssrc);
  SrtpReceiver receiver(key, k_ssrc);
  Bytes report(feedback_octets(3));
  write_feedback({k_ssrc, 7, 0, {{true, 0}, {true, 0}, {true, 0}}, 0}, report);
  Packet packet{ByteView(report)};
  sender.protect_rtcp(packet.slot);
  for (std::size_t octet = 0; octet < packet.slot.size; ++octet) {
    auto changed = packet;
    changed.octets[octet] ^= 1;
    receiver.unprotect_rtcp(changed.slot);
    EXPECT_FALSE(changed.slot.ok) << octet;
  }
  for (std::uint32_t size = 0; size < packet.slot.size; ++size) {
    auto cut = packet;
    cut.slot.size = size;
    receiver.unprotect_rtcp(cut.slot);
    EXPECT_FALSE(cut.slot.ok) << size;
  }
  receiver.unprotect_rtcp(packet.slot);
  EXPECT_TRUE(packet.slot.ok);
}

TEST(Feedback, EachFieldIsChecked) {
  Bytes good(feedback_octets(2));
  write_feedback({1, 2, 3, {{true, 5}, {true, 5}}, 4}, good);
  ASSERT_TRUE(parse_feedback(good));
  for (auto [at, value] : {std::pair{0, 0x80 | 12},
                           {0, 0x40 | 11},
                           {0, 0xa0 | 11},
                           {1, 206},
                           {3, 4},
                           {3, 6},
                           {15, 0},
                           {15, 1 + 2},
                           {15, 4},
                           {14, 5}}) {
    auto changed = good;
    changed[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    EXPECT_FALSE(parse_feedback(changed)) << at << " " << value;
  }
  // One report too many, consistent in itself.
  Bytes large(8 + 8 + 1026 / 2 * 4 + 4);
  std::copy_n(good.begin(), 16, large.begin());
  Writer(MutableByteView(large).subspan(2)).u16(static_cast<std::uint16_t>(large.size() / 4 - 1));
  Writer(MutableByteView(large).subspan(14)).u16(1025);
  EXPECT_FALSE(parse_feedback(large));
  Bytes none(feedback_octets(0));
  std::copy_n(good.begin(), 16, none.begin());
  none[3] = static_cast<std::uint8_t>(none.size() / 4 - 1);
  none[15] = 0;
  EXPECT_FALSE(parse_feedback(none));
}

TEST(Packets, OnlyTheProfilesHeaderIsRtp) {
  Packet packet(5, 10);
  EXPECT_TRUE(parse_header(packet.view()));
  for (int first : {0x00, 0x40, 0x90, 0xa0, 0x81}) {
    packet.octets[0] = static_cast<std::uint8_t>(first);
    EXPECT_FALSE(parse_header(packet.view())) << first;
  }
  packet.octets[0] = 0x80;
  EXPECT_FALSE(parse_header(packet.view().first(11)));
  EXPECT_EQ(classify(packet.view()), PacketKind::rtp);
  EXPECT_EQ(classify(packet.view().first(7)), PacketKind::other);
  for (auto [type, kind] : {std::pair{63, PacketKind::rtp},
                            {64, PacketKind::rtcp},
                            {95, PacketKind::rtcp},
                            {96, PacketKind::rtp},
                            {205, PacketKind::rtcp}}) {
    packet.octets[1] = static_cast<std::uint8_t>(type);
    EXPECT_EQ(classify(packet.view()), kind) << type;
  }
  packet.octets[0] = 0x40;
  EXPECT_EQ(classify(packet.view()), PacketKind::other);
}

}  // namespace
}  // namespace sealcast::rtp
