// The attacker can find: each thing that the eavesdropping tests demand to be absent is found here when it is there.
#include <gtest/gtest.h>

#include <fstream>

#include "base/encoding.hpp"
#include "media.hpp"
#include "ppspp/message.hpp"
#include "rtp/packet.hpp"
#include "rtp/srtp.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::attacker {
namespace {

Bytes noise(std::size_t size, std::uint64_t seed = 7) {
  Bytes out(size);
  test::SeededRandom(seed).fill(out);
  return out;
}

Bytes joined(std::initializer_list<ByteView> parts) {
  Bytes out;
  for (auto part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

Bytes ports(std::uint16_t from, std::uint16_t to) {
  Bytes out(4);
  Writer writer(out);
  writer.u16(from);
  writer.u16(to);
  return out;
}

Bytes ipv4(std::uint8_t protocol, ByteView payload) {
  Bytes out(20);
  Writer writer(out);
  writer.u8(0x45), writer.u8(0), writer.u16(static_cast<std::uint16_t>(20 + payload.size())), writer.u32(0);
  writer.u8(64), writer.u8(protocol), writer.u16(0), writer.u32(0x7f000001), writer.u32(0x7f000001);
  return joined({out, payload});
}

Bytes udp(std::uint16_t from, ByteView payload) {
  return ipv4(17, joined({ports(from, 5000), noise(4), payload}));
}

Bytes tcp(std::uint16_t from, std::uint32_t sequence, bool syn, ByteView payload) {
  Bytes rest(16);
  Writer writer(rest);
  writer.u32(sequence), writer.u32(0), writer.u8(0x50), writer.u8(syn ? 2 : 0x10), writer.u16(1000), writer.u32(0);
  return ipv4(6, joined({ports(from, 5061), rest, payload}));
}

Traffic traffic_of(const std::vector<Bytes>& packets) {
  test::TemporaryDirectory directory;
  auto file = directory.path() / "capture";
  {
    std::ofstream out(file, std::ios::binary);
    PcapFileHeader head;
    out.write(reinterpret_cast<char*>(&head), sizeof head);
    for (auto& packet : packets) {
      auto size = static_cast<std::uint32_t>(packet.size());
      PcapPacketHeader header{0, 0, size, size};
      out.write(reinterpret_cast<char*>(&header), sizeof header);
      out.write(reinterpret_cast<const char*>(packet.data()), size);
    }
  }
  auto traffic = read_capture(file);
  EXPECT_TRUE(traffic);
  return std::move(*traffic);
}

Bytes rtp_packet(std::uint16_t sequence, std::uint32_t chunk, ByteView data) {
  Bytes out(12 + 4 + 41 + ppspp::k_data_overhead + data.size());
  rtp::write_header({98, sequence, 7, 0x1234}, out.data());
  Writer writer(MutableByteView(out).subspan(12));
  writer.u32(9);
  writer.u8(4), writer.u32(chunk), writer.u32(chunk), writer.bytes(noise(32));  // INTEGRITY
  ppspp::write_data(writer, chunk, 1, data);
  return out;
}

TEST(AttackerWindows, AreFoundAtAnyOffsetAndCountedOnce) {
  auto plain = noise(1 << 20);
  Windows windows(plain);
  EXPECT_EQ(windows.count(), plain.size() / 16);
  Windows::Found found;
  windows.scan(joined({noise(3, 8), ByteView(plain).subspan(160, 48), noise(100, 9), ByteView(plain).subspan(160, 16)}),
               found);
  EXPECT_EQ(found.count(), 3u);
  windows.scan(plain, found);
  EXPECT_EQ(found.count(), windows.count());
  Windows::Found nothing;
  windows.scan(noise(1 << 20, 10), nothing);
  EXPECT_EQ(nothing.count(), 0u);
}

TEST(AttackerWindows, LeaveOutWhatIsDullOrThereTwice) {
  auto once = noise(32);
  EXPECT_EQ(Windows(joined({once, Bytes(64, 0), once})).count(), 2u);
}

TEST(AttackerTraffic, PutsStreamsTogetherInAnyOrder) {
  auto text = bytes_of("a=crypto:1 AEAD_AES_128_GCM inline:");
  ByteView view(text);
  auto traffic =
      traffic_of({tcp(1, 0xfffffff0, true, {}), tcp(1, 0xfffffff1 + 20, false, view.subspan(20)),
                  tcp(2, 5, false, view_of("other")), tcp(1, 0xfffffff1, false, view.first(12)),
                  tcp(1, 0xfffffff1 + 8, false, view.subspan(8, 12)), tcp(1, 0xfffffff1, false, view.first(12))});
  ASSERT_EQ(traffic.tcp.size(), 2u);
  auto& stream = traffic.tcp[0].octets.size() == text.size() ? traffic.tcp[0] : traffic.tcp[1];
  EXPECT_EQ(string_of(stream.octets), string_of(text));
  EXPECT_EQ(stream.gaps, 0u);
}

TEST(AttackerTraffic, RefusesACaptureThatEndsInsideAPacket) {
  test::TemporaryDirectory directory;
  PcapFileHeader head;
  PcapPacketHeader packet{0, 0, 10, 10};
  std::ofstream(directory.path() / "c", std::ios::binary)
      .write(reinterpret_cast<char*>(&head), sizeof head)
      .write(reinterpret_cast<char*>(&packet), sizeof packet);
  EXPECT_FALSE(read_capture(directory.path() / "c"));
}

TEST(AttackerSearch, FindsInlineKeysWithTheirSuite) {
  auto gcm = noise(28), cm = noise(30), large = noise(44);
  auto text = "m=audio\r\na=crypto:1 AEAD_AES_128_GCM inline:" + base64(gcm) +
              "|2^31\r\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + base64(cm) +
              "\r\na=crypto:3 AEAD_AES_256_GCM inline:" + base64(large) + "|2^31\r\ninline:tooshort";
  Loot loot;
  Searcher(std::nullopt, {}).search(view_of(text), loot);
  EXPECT_EQ(loot.inline_keys, 3u);
  EXPECT_EQ(loot.srtp_keys, (std::set<InlineKey>{{rtp::CryptoSuite::aead_aes_128_gcm, gcm},
                                                 {rtp::CryptoSuite::aes_cm_128_hmac_sha1_80, cm},
                                                 {rtp::CryptoSuite::aead_aes_256_gcm, large}}));
}

TEST(AttackerSearch, FindsAContentKeyInEveryForm) {
  auto key = noise(16);
  Searcher searcher(key, {"pass word"});
  auto document = "{\"keys\":[{\"k\": \"" + base64url(key) + "\"}]}";
  auto nested = "{\"payload\":\"" + base64url(view_of("[\"" + base64(view_of(document)) + "\"]")) + "\"}";
  for (auto& hidden :
       {joined({noise(5), key, noise(5)}), bytes_of(base64url(key)), bytes_of(base64(key)), bytes_of(hex(key)),
        bytes_of(document), bytes_of("eyJ." + base64url(view_of(document))), bytes_of(nested)}) {
    Loot loot;
    searcher.search(hidden, loot);
    EXPECT_GE(loot.known_key, 1u) << string_of(hidden);
    EXPECT_EQ(loot.content_keys, std::set<Bytes>{key}) << string_of(hidden);
  }
  Loot unknown;
  Searcher(std::nullopt, {"pass word"}).search(view_of(nested + "a pass word"), unknown);
  EXPECT_EQ(unknown.content_keys, std::set<Bytes>{key});
  EXPECT_EQ(unknown.words, 1u);
  Loot nothing;
  searcher.search(noise(1 << 20, 11), nothing);
  EXPECT_TRUE(nothing.content_keys.empty() && nothing.inline_keys == 0);
}

class AttackerMedia : public testing::TestWithParam<rtp::CryptoSuite> {};
INSTANTIATE_TEST_SUITE_P(Suites, AttackerMedia,
                         testing::Values(rtp::CryptoSuite::aead_aes_128_gcm, rtp::CryptoSuite::aes_cm_128_hmac_sha1_80,
                                         rtp::CryptoSuite::aead_aes_256_gcm),
                         [](auto& suite) { return std::string(rtp::name(suite.param)); });

TEST_P(AttackerMedia, DecryptsSrtpWithAKeyThatItFound) {
  auto size = rtp::sizes(GetParam()).key + rtp::sizes(GetParam()).salt;
  auto octets = noise(size, 3);
  rtp::SrtpKey key{GetParam(), SecretBytes(size)};
  std::copy(octets.begin(), octets.end(), key.key_and_salt.fill().begin());
  rtp::SrtpSender sender(key, 0x1234);
  auto plain = noise(1152 * 40);
  std::vector<Bytes> captured;
  Bytes coalesced;
  for (std::uint32_t i = 0; i < 40; ++i) {
    auto packet =
        rtp_packet(static_cast<std::uint16_t>(32760 + i), i, ByteView(plain).subspan(1152 * i, i == 39 ? 500 : 1152));
    rtp::PacketSlot slot{packet.data(), static_cast<std::uint32_t>(packet.size()),
                         static_cast<std::uint32_t>(packet.size() + rtp::k_max_srtp_overhead), false};
    packet.resize(slot.capacity);
    slot.data = packet.data();
    sender.protect({&slot, 1});
    ASSERT_TRUE(slot.ok);
    packet.resize(slot.size);
    if (i < 8)
      captured.push_back(udp(4000, packet));
    else
      coalesced = joined({coalesced, packet});
  }
  captured.push_back(udp(4000, coalesced));  // as UDP_SEGMENT gives it to the interface
  captured.push_back(udp(4000, noise(300, 12)));
  auto traffic = traffic_of(captured);
  Windows windows(plain);
  Windows::Found clear, read;
  for (auto& datagram : traffic.udp) windows.scan(datagram.payload, clear);
  EXPECT_EQ(clear.count(), 0u);
  InlineKey right{GetParam(), octets}, other{GetParam(), noise(size, 4)};
  Object object;
  for (auto& flow : media_flows(traffic)) {
    decrypt(flow, {other});
    EXPECT_FALSE(flow.key);
    decrypt(flow, {other, right});
    for (auto& packet : flow.decrypted) {
      windows.scan(packet, read);
      object.rtp_packet(packet);
    }
  }
  EXPECT_EQ(read.count(), (39u * 1152 + 500) / 16);
  EXPECT_EQ(object.chunks(), 40u);
}

TEST(AttackerSealed, OpensAnObjectOnlyWithItsKey) {
  auto secret = noise(16, 5);
  content::ContentKey key(std::span<const std::uint8_t, 16>(secret.data(), 16));
  auto header = content::make_sealed_header({1, 2, 3}, key);
  auto plain = noise(150000);
  Bytes sealed(header.begin(), header.end());
  content::RecordSealer sealer(header, key);
  for (std::size_t at = 0; at < plain.size(); at += content::k_record_plain) {
    auto part = std::min<std::size_t>(content::k_record_plain, plain.size() - at);
    sealer.seal(ByteView(plain).subspan(at, part), at + part == plain.size(), sealed);
  }
  std::vector<Bytes> captured;
  for (std::uint32_t i = 0; i * 1152 < sealed.size(); ++i)
    captured.push_back(udp(
        4000, rtp_packet(static_cast<std::uint16_t>(i), i,
                         ByteView(sealed).subspan(i * 1152, std::min<std::size_t>(1152, sealed.size() - i * 1152)))));
  auto traffic = traffic_of(captured);
  Object object;
  for (auto& flow : media_flows(traffic))
    for (auto packet : flow.packets) object.rtp_packet(packet);
  EXPECT_TRUE(object.open(noise(16, 6)).empty());
  Bytes opened;
  for (auto& record : object.open(secret)) opened = joined({opened, record});
  EXPECT_EQ(opened, plain);
}

}  // namespace
}  // namespace sealcast::attacker
