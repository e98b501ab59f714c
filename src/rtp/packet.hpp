#pragma once
// The fixed RTP header (RFC 3550 section 5.1) and the demultiplexing of RTP and RTCP on one port (RFC 5761 section 4).
#include <optional>

#include "base/wire.hpp"

namespace sealcast::rtp {

struct RtpHeader {
  std::uint8_t payload_type = 0;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;
};

// Writes 12 octets.
inline void write_header(const RtpHeader& h, std::uint8_t* out) {
  Writer w({out, 12});
  w.u8(0x80);
  w.u8(h.payload_type & 0x7f);
  w.u16(h.sequence);
  w.u32(h.timestamp);
  w.u32(h.ssrc);
}

// Our profile has no CSRC, extension or padding: a packet with any of them is not ours.
inline std::optional<RtpHeader> parse_header(ByteView packet) {
  Reader r(packet);
  auto first = r.u8();
  auto second = r.u8();
  RtpHeader out{static_cast<std::uint8_t>(second & 0x7f), r.u16(), r.u32(), r.u32()};
  if (!r.ok() || first != 0x80) return std::nullopt;
  return out;
}

enum class PacketKind { rtp, rtcp, other };
inline PacketKind classify(ByteView packet) {
  if (packet.size() < 8 || (packet[0] >> 6) != 2) return PacketKind::other;
  auto type = packet[1] & 0x7f;
  return type >= 64 && type <= 95 ? PacketKind::rtcp : PacketKind::rtp;
}

// SSRC of the sender: RTP octets 8..11, RTCP octets 4..7. classify() must not have said other; 0 when an RTP packet is
// too short.
inline std::uint32_t sender_ssrc(ByteView packet, PacketKind kind) {
  Reader r(packet);
  r.take(kind == PacketKind::rtcp ? 4 : 8);
  return r.u32();
}

}  // namespace sealcast::rtp
