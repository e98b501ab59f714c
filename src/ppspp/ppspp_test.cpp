#include <gtest/gtest.h>

#include <functional>

#include "base/encoding.hpp"
#include "ppspp/message.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::ppspp {
namespace {

struct Datagram {
  std::array<std::uint8_t, 2048> octets{};
  Writer writer{octets};
  ByteView view() const { return writer.written(); }
};

TEST(Ppspp, EveryMessageComesBack) {
  Datagram d;
  write_handshake(d.writer, {0x01020304, crypto::Digest{7, 8}, 1152});
  EXPECT_LE(d.view().size(), k_handshake_octets);
  write_range(d.writer, MessageType::have, {0, 6});
  write_range(d.writer, MessageType::request, {32, 63});
  write_range(d.writer, MessageType::cancel, {1, 1});
  write_ack(d.writer, {4, 7}, 99);
  write_integrity(d.writer, {content::bin::at(2, 1), {1, 2, 3}});
  d.writer.u8(10);
  d.writer.u8(11);
  write_keyinfo(d.writer, "a~b");
  write_data(d.writer, 5, 77, view_of("chunk"));
  Decoder decoder(d.view());
  auto m = decoder.next();
  EXPECT_EQ(m->handshake.source, 0x01020304u);
  EXPECT_EQ((*m->handshake.swarm)[1], 8);
  EXPECT_EQ(m->handshake.chunk_size, 1152u);
  EXPECT_EQ(decoder.next()->range, (ChunkRange{0, 6}));
  EXPECT_EQ(decoder.next()->type, MessageType::request);
  EXPECT_EQ(decoder.next()->type, MessageType::cancel);
  EXPECT_EQ(decoder.next()->timestamp, 99u);
  m = decoder.next();
  EXPECT_EQ(m->range, (ChunkRange{4, 7}));
  EXPECT_EQ(m->hash[2], 3);
  EXPECT_EQ(decoder.next()->type, MessageType::choke);
  EXPECT_EQ(decoder.next()->type, MessageType::unchoke);
  EXPECT_EQ(string_of(decoder.next()->data), "a~b");
  m = decoder.next();
  EXPECT_EQ(m->range.first, 5u);
  EXPECT_EQ(string_of(m->data), "chunk");
  EXPECT_FALSE(decoder.next());
  EXPECT_FALSE(decoder.malformed());
}

// RFC 7574 table 2 and section 7.10: sizes and the codes of the options.
TEST(Ppspp, OctetsOnTheWire) {
  Datagram d;
  write_range(d.writer, MessageType::have, {1, 2});
  EXPECT_EQ(hex(d.view()), "030000000100000002");
  Datagram i;
  write_integrity(i.writer, {11, {}});
  EXPECT_EQ(i.view().size(), k_integrity_message);
  EXPECT_EQ(hex(i.view().first(9)), "040000000400000007");
  Datagram c;
  write_closing(c.writer);
  EXPECT_EQ(hex(c.view()), "0000000000ff");
}

TEST(Ppspp, TruncationAtEachOctetIsFound) {
  Datagram d;
  write_handshake(d.writer, {9, crypto::Digest{}, 1152});
  for (std::size_t cut = 1; cut < d.view().size(); ++cut) {
    Decoder decoder(d.view().first(cut));
    EXPECT_FALSE(decoder.next());
    EXPECT_TRUE(decoder.malformed());
  }
}

TEST(Ppspp, ForeignHandshakesAreRefused) {
  Datagram d;
  write_handshake(d.writer, {9, crypto::Digest{}, 1152});
  auto good = bytes_of(d.view());
  auto refused = [](Bytes octets) {
    Decoder decoder(octets);
    return !decoder.next() && decoder.malformed();
  };
  EXPECT_FALSE(refused(good));
  for (std::size_t at : {6u, 8u, 46u, 48u, 50u}) {  // version, minimum version, integrity method, hash, addressing
    auto changed = good;
    changed[at] = 0x7f;
    EXPECT_TRUE(refused(changed)) << at;
  }
  auto unknown = good;
  unknown[5] = 77;
  EXPECT_TRUE(refused(unknown));
  auto twice = good;
  twice.insert(twice.begin() + 5, {0, 1});
  EXPECT_TRUE(refused(twice));
}

TEST(Ppspp, WhatIsNotOfTheProfileEndsTheDatagram) {
  auto refused = [](const std::function<void(Writer&)>& write) {
    Datagram d;
    write(d.writer);
    Decoder decoder(d.view());
    return !decoder.next() && decoder.malformed();
  };
  for (auto type : {MessageType::have, MessageType::request, MessageType::cancel}) {
    EXPECT_TRUE(refused([&](Writer& w) { write_range(w, type, {8, 7}); }));
    EXPECT_FALSE(refused([&](Writer& w) { write_range(w, type, {7, 7}); }));
    EXPECT_TRUE(refused([&](Writer& w) { w.u8(static_cast<std::uint8_t>(type)), w.u32(0), w.u16(0); }));
  }
  EXPECT_TRUE(refused([](Writer& w) { write_ack(w, {8, 7}, 0); }));
  EXPECT_TRUE(refused([](Writer& w) { w.u8(2), w.u32(0), w.u32(1), w.u32(0); }));
  EXPECT_TRUE(refused([](Writer& w) { w.u8(1), w.u32(3), w.u32(4), w.u64(0), w.u8(1); }));  // DATA of two chunks
  EXPECT_TRUE(refused([](Writer& w) { write_data(w, 3, 0, {}); }));
  EXPECT_TRUE(refused([](Writer& w) { w.u8(4), w.u32(1), w.u32(2), w.bytes(Bytes(32)); }));  // not aligned
  EXPECT_TRUE(refused([](Writer& w) { w.u8(4), w.u32(3), w.u32(2), w.bytes(Bytes(32)); }));
  EXPECT_TRUE(refused([](Writer& w) { w.u8(4), w.u32(0), w.u32(1), w.bytes(Bytes(31)); }));
  EXPECT_TRUE(refused([](Writer& w) { write_keyinfo(w, ""); }));
  EXPECT_FALSE(refused([](Writer& w) { write_keyinfo(w, std::string(k_max_keyinfo, 'x')); }));
  EXPECT_TRUE(refused([](Writer& w) { write_keyinfo(w, std::string(k_max_keyinfo + 1, 'x')); }));
  EXPECT_TRUE(refused([](Writer& w) { w.u8(200), w.u16(9), w.bytes(Bytes(8)); }));
  for (int type : {5, 6, 7, 12, 13, 14, 255})  // PEX, signed integrity, live
    EXPECT_TRUE(refused([&](Writer& w) { w.u8(static_cast<std::uint8_t>(type)), w.bytes(Bytes(64)); })) << type;
  // Behind a malformed message nothing is read any more.
  Datagram d;
  write_range(d.writer, MessageType::have, {8, 7});
  write_range(d.writer, MessageType::have, {1, 1});
  Decoder decoder(d.view());
  EXPECT_FALSE(decoder.next());
  EXPECT_FALSE(decoder.next());
}

TEST(Ppspp, AHandshakeSaysEverythingOnce) {
  Datagram d;
  write_handshake(d.writer, {9, crypto::Digest{}, 1152});
  auto good = bytes_of(d.view());
  auto refused = [](const Bytes& octets) {
    Decoder decoder(octets);
    return !decoder.next() && decoder.malformed();
  };
  // version, minimum, swarm id (35), integrity, hash, addressing, messages (28), chunk size (5), end
  auto without = [&](std::size_t at, std::size_t size) {
    auto out = good;
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(at), out.begin() + static_cast<std::ptrdiff_t>(at + size));
    return out;
  };
  EXPECT_FALSE(refused(without(7, 2)));  // the minimum version may be missing
  EXPECT_TRUE(refused(without(5, 2)));   // version
  EXPECT_TRUE(refused(without(44, 2)));  // integrity method
  EXPECT_TRUE(refused(without(46, 2)));  // hash
  EXPECT_TRUE(refused(without(48, 2)));  // addressing
  EXPECT_TRUE(refused(without(78, 5)));  // chunk size
  EXPECT_TRUE(refused(without(83, 1)));  // end
  auto shorter = without(12, 1);         // a swarm id of 31 octets
  shorter[11] = 31;
  EXPECT_TRUE(refused(shorter));
  auto swapped = good;  // hash before integrity method
  std::swap_ranges(swapped.begin() + 44, swapped.begin() + 46, swapped.begin() + 46);
  EXPECT_TRUE(refused(swapped));
}

TEST(Ppspp, NodesMustBeAligned) {
  EXPECT_EQ(node_of({4, 7}), content::Bin{11});
  EXPECT_FALSE(node_of({1, 2}));
  EXPECT_FALSE(node_of({0, 2}));
  EXPECT_EQ(range_of(11), (ChunkRange{4, 7}));
}

TEST(Ppspp, GarbageNeverHarms) {
  test::SeededRandom random(11);
  for (int round = 0; round < 20000; ++round) {
    Bytes garbage(random.u32() % 200);
    random.fill(garbage);
    if (!garbage.empty()) garbage[0] %= 14;
    Decoder decoder(garbage);
    while (auto m = decoder.next()) EXPECT_LE(m->range.first, m->range.last);
  }
}

}  // namespace
}  // namespace sealcast::ppspp
