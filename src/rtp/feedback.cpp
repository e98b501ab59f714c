#include "rtp/feedback.hpp"

#include "base/assert.hpp"
#include "base/wire.hpp"

namespace sealcast::rtp {

std::size_t write_feedback(const Feedback& f, MutableByteView out) {
  SEALCAST_ASSERT(!f.reports.empty() && f.reports.size() <= k_max_feedback_reports &&
                  out.size() >= feedback_octets(f.reports.size()));
  Writer w(out);
  w.u8(0x80 | 11);
  w.u8(205);
  w.u16(static_cast<std::uint16_t>(feedback_octets(f.reports.size()) / 4 - 1));
  w.u32(f.sender_ssrc);
  w.u32(f.media_ssrc);
  w.u16(f.begin);
  w.u16(static_cast<std::uint16_t>(f.reports.size()));
  for (auto& report : f.reports)
    w.u16(static_cast<std::uint16_t>((report.received ? 0x8000 : 0) |
                                     (report.received ? report.arrival_offset & 0x1fff : 0)));
  if (f.reports.size() % 2 != 0) w.u16(0);
  w.u32(f.timestamp);
  // The common header, sender, one block and the timestamp: RFC 8888 section 3.1.
  return w.size();
}

std::optional<Feedback> parse_feedback(ByteView packet) {
  Reader r(packet);
  auto first = r.u8(), type = r.u8();
  auto words = r.u16();
  if (!r.ok() || first != (0x80 | 11) || type != 205 || packet.size() != (std::size_t{words} + 1) * 4)
    return std::nullopt;
  Feedback out;
  out.sender_ssrc = r.u32();
  out.media_ssrc = r.u32();
  out.begin = r.u16();
  std::size_t count = r.u16();
  if (!r.ok() || count == 0 || count > k_max_feedback_reports || packet.size() != feedback_octets(count))
    return std::nullopt;
  out.reports.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto report = r.u16();
    out.reports.push_back({(report & 0x8000) != 0, static_cast<std::uint16_t>(report & 0x1fff)});
  }
  if (count % 2 != 0) r.u16();
  out.timestamp = r.u32();
  return r.ok() ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace sealcast::rtp
