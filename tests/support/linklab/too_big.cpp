#include "too_big.hpp"

#include <algorithm>

namespace sealcast::linklab {
namespace {

constexpr std::size_t k_header = 20;  // of IPv4 without options, as ours is
constexpr std::size_t k_quoted = 8;   // octets after the header that say whose packet it was
constexpr std::uint8_t k_icmp = 1;

// RFC 1071, of an even number of octets.
std::uint16_t checksum(const Packet& octets, std::size_t from, std::size_t to) {
  std::uint32_t sum = 0;
  for (auto i = from; i < to; i += 2) sum += static_cast<std::uint32_t>(octets[i] << 8 | octets[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void put(Packet& into, std::size_t at, std::size_t value) {
  into[at] = static_cast<std::uint8_t>(value >> 8);
  into[at + 1] = static_cast<std::uint8_t>(value);
}

bool may_be_answered(const Packet& packet) {
  if (packet.size() < k_header || packet[0] >> 4 != 4) return false;
  auto header = static_cast<std::size_t>(packet[0] & 15) * 4;
  bool whole = header >= k_header && packet.size() >= header + k_quoted;
  bool unfragmentable = packet[6] & 0x40, first = (packet[6] & 0x1f) == 0 && packet[7] == 0;
  if (!whole || !unfragmentable || !first) return false;
  return packet[9] != k_icmp || packet[header] == 8;
}

}  // namespace

std::optional<Packet> too_big_message(const Packet& packet, std::size_t mtu) {
  if (!may_be_answered(packet)) return std::nullopt;
  auto quoted = static_cast<std::size_t>(packet[0] & 15) * 4 + k_quoted;
  Packet out(k_header + 8 + quoted);
  out[0] = 0x45;
  put(out, 2, out.size());
  out[8] = 64;  // time to live
  out[9] = k_icmp;
  std::copy_n(packet.begin() + 16, 4, out.begin() + 12);
  std::copy_n(packet.begin() + 12, 4, out.begin() + 16);
  put(out, 10, checksum(out, 0, k_header));
  out[k_header] = 3;
  out[k_header + 1] = 4;
  put(out, k_header + 6, mtu);
  std::copy_n(packet.begin(), quoted, out.begin() + k_header + 8);
  put(out, k_header + 2, checksum(out, k_header, out.size()));
  return out;
}

}  // namespace sealcast::linklab
