#pragma once
// RTP congestion control feedback (RFC 8888): RTPFB packet type 205, FMT 11, one report block, reduced size (RFC 5506).
#include <optional>
#include <vector>

#include "base/bytes.hpp"

namespace sealcast::rtp {

inline constexpr std::size_t k_max_feedback_reports = 1024;

struct FeedbackReport {
  bool received = false;
  std::uint16_t arrival_offset = 0;  // 1/1024 s before the report timestamp; 0x1FFE = longer, 0x1FFF = unknown
};
struct Feedback {
  std::uint32_t sender_ssrc = 0;  // who reports
  std::uint32_t media_ssrc = 0;   // whose packets
  std::uint16_t begin = 0;        // sequence number of reports[0]
  std::vector<FeedbackReport> reports;
  std::uint32_t timestamp = 0;  // NTP middle 32 bits
};

// Octets that `reports` need.
constexpr std::size_t feedback_octets(std::size_t reports) {
  return 8 + 8 + (reports + 1) / 2 * 4 + 4;
}
// Writes into `out` (feedback_octets() long at least); the number of octets.
std::size_t write_feedback(const Feedback& feedback, MutableByteView out);
// nullopt: not such a packet, truncated, several blocks, or too many reports.
std::optional<Feedback> parse_feedback(ByteView packet);

}  // namespace sealcast::rtp
