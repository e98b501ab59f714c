#include "too_big.hpp"

#include <gtest/gtest.h>

namespace sealcast::linklab {
namespace {

// 10.77.0.2 -> 10.77.0.1, UDP, DF, 1229 octets.
Packet datagram() {
  Packet out(1229);
  const std::uint8_t head[] = {0x45, 0,  4, 205, 0,  1,  0x40, 0, 64,   17,   0,    0,
                               10,   77, 0, 2,   10, 77, 0,    1, 0x13, 0x88, 0x13, 0x89};  // ports 5000 and 5001
  std::copy(std::begin(head), std::end(head), out.begin());
  return out;
}
// The checksum of octets that hold their own is 0.
std::uint32_t folded(const Packet& octets, std::size_t from, std::size_t to) {
  std::uint32_t sum = 0;
  for (auto i = from; i < to; i += 2) sum += static_cast<std::uint32_t>(octets[i] << 8 | octets[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

TEST(LinkTooBig, the_sender_hears_which_packet_and_which_mtu) {
  auto said = too_big_message(datagram(), 1200);
  ASSERT_TRUE(said);
  ASSERT_EQ(said->size(), 56u);
  EXPECT_EQ(Packet(said->begin() + 12, said->begin() + 20), (Packet{10, 77, 0, 1, 10, 77, 0, 2}));
  EXPECT_EQ(Packet(said->begin() + 20, said->begin() + 22), (Packet{3, 4}));
  EXPECT_EQ(Packet(said->begin() + 26, said->begin() + 28), (Packet{1200 / 256, 1200 % 256}));
  EXPECT_TRUE(std::equal(said->begin() + 28, said->end(), datagram().begin()));
  EXPECT_EQ(folded(*said, 0, 20), 0xffffu);
  EXPECT_EQ(folded(*said, 20, 56), 0xffffu);
}

TEST(LinkTooBig, nothing_is_said_of_what_must_not_be_answered) {
  auto fragmentable = datagram(), later = datagram(), error = datagram(), six = datagram(), options = datagram();
  fragmentable[6] = 0;
  later[7] = 5;
  error[9] = 1;
  error[20] = 3;
  six[0] = 0x60;
  options[0] = 0x41;
  for (const auto& packet : {fragmentable, later, error, six, options, Packet(19, 0x45), Packet{}, Packet(27, 0x45)})
    EXPECT_FALSE(too_big_message(packet, 1200));
  error[20] = 8;
  EXPECT_TRUE(too_big_message(error, 1200));
}

}  // namespace
}  // namespace sealcast::linklab
