// RFC 8888 feedback: the packet, and what the congestion controller makes of a lying one.
#include "rtp/feedback.hpp"

#include "swarm/arrivals.hpp"
#include "swarm/congestion.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

namespace {

void check_written_alike(const rtp::Feedback& f) {
  Bytes room(rtp::feedback_octets(f.reports.size()));
  room.resize(rtp::write_feedback(f, room));
  auto again = rtp::parse_feedback(room);
  SEALCAST_ASSERT(again && again->begin == f.begin && again->reports.size() == f.reports.size() &&
                  again->timestamp == f.timestamp);
}

rtp::Feedback invented(fuzz::Input& in) {
  rtp::Feedback out{1, 2, in.u16(), {}, in.u32()};
  auto reports = 1 + in.below(64);
  while (out.reports.size() < reports)
    out.reports.push_back({in.flag(), static_cast<std::uint16_t>(in.u16() & 0x1fff)});
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (auto feedback = rtp::parse_feedback({data, size})) check_written_alike(*feedback);
  fuzz::Input in(data, size);
  swarm::Congestion congestion;
  swarm::Arrivals arrivals;
  auto first = in.u16();
  Instant now{1s};
  std::uint64_t sent = 0;
  for (int i = 0; i < 200 && !in.empty(); ++i) {
    swarm::Losses losses;
    switch (in.u8() % 6) {
      case 0:
        congestion.feedback(now, invented(in), first, losses);
        break;
      case 1:
        now += Duration(in.u32() % 20000000);
        break;
      case 2:
        congestion.on_deadline(now, losses);
        break;
      case 3:
        (void)arrivals.record(now, in.u16(), in.flag());
        break;
      case 4:
        if (auto report = arrivals.report(now, 1, 2); !report.reports.empty()) check_written_alike(report);
        break;
      default:
        for (auto n = in.u8() % 32; n > 0; --n, ++sent)
          congestion.sent({now, 1200, 1, static_cast<std::uint32_t>(sent), true, {}});
    }
    SEALCAST_ASSERT(congestion.in_flight() <= sent && congestion.lost() <= sent);
    SEALCAST_ASSERT(congestion.window() >= 2 && congestion.window() <= 8192 &&
                    (congestion.in_flight() == 0) == (congestion.deadline() == k_never));
  }
  return 0;
}
