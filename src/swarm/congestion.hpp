#pragma once
// Congestion control of one association: what is in flight, what feedback says about it, NewReno (RFC 5681, RFC 6582)
// with an initial window of 10 packets (RFC 6928) and RFC 6298 timeouts. Sequence numbers are extended to 64 bits here.
#include <deque>
#include <optional>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "ppspp/message.hpp"
#include "rtp/feedback.hpp"

namespace sealcast::swarm {

// What a packet carried, so that its loss can be made good: control messages are kept whole, DATA is named.
struct SentPacket {
  Instant at{};
  std::uint32_t channel = 0;  // local channel id; 0 = nothing to repeat
  std::uint32_t chunk = 0;    // of DATA
  bool is_data = false;
  bool done = false;  // acknowledged or given up
  Bytes control;      // messages of a control datagram
};

class Congestion {
 public:
  // window in packets
  double window() const { return window_; }
  std::uint64_t in_flight() const { return in_flight_; }
  bool may_send() const { return in_flight_ < static_cast<std::uint64_t>(window_); }
  Duration round_trip() const { return smoothed_; }
  std::uint64_t lost() const { return lost_total_; }
  int timeouts_in_row() const { return timeouts_in_row_; }

  // The packet with the next sequence number was sent.
  void sent(SentPacket packet);
  // Feedback about packets: `lost` gets those that must be made good.
  void feedback(Instant now, const rtp::Feedback& feedback, std::uint16_t first_sequence,
                std::vector<SentPacket>& lost);
  // When the retransmission timer ends; k_never if nothing is in flight.
  Instant deadline() const;
  void on_timeout(Instant now, std::vector<SentPacket>& lost);

 private:
  SentPacket* find(std::uint64_t sequence);
  void acknowledge(SentPacket& packet, std::uint64_t sequence);
  void measure(Duration sample);
  void lose(SentPacket& packet, std::vector<SentPacket>& lost);
  void forget_done();

  std::deque<SentPacket> packets_;  // from first_ on
  std::uint64_t first_ = 0;         // sequence of packets_.front(), counted from 0 at the first packet sent
  std::uint64_t next_ = 0;
  std::uint64_t highest_acknowledged_ = 0;
  bool any_acknowledged_ = false;
  std::uint64_t in_flight_ = 0;
  double window_ = 10, threshold_ = 1e9;
  std::uint64_t recovery_end_ = 0;  // losses below belong to a reduction already made
  Duration smoothed_{0}, variation_{0}, timeout_ = 1s;
  Instant timer_from_{};
  int timeouts_in_row_ = 0;
  std::uint64_t lost_total_ = 0;
};

// What has arrived on an association, for the feedback that we send.
enum class Arrival : std::uint8_t {
  taken,
  again,       // this number was there already
  implausible  // too far from the others; not believed before the next number follows (RFC 3550 appendix A.1)
};
class Arrivals {
 public:
  // Numbers of an authenticated packet are believed as they are.
  Arrival record(Instant now, std::uint16_t sequence, bool authenticated);
  bool pending() const { return unreported_ > 0; }
  // After 32 packets or 5 ms (docs/protocol.md section 5).
  Instant deadline() const {
    return unreported_ >= 32 ? Instant::min() : unreported_ > 0 ? first_unreported_ + 5ms : k_never;
  }
  rtp::Feedback report(Instant now, std::uint32_t own_ssrc, std::uint32_t partner_ssrc);

 private:
  void begin(std::uint64_t sequence);
  static constexpr std::uint64_t k_memory = 2048;
  // Less than a report covers: what is behind a number that was believed is still reported.
  static constexpr std::int64_t k_largest_jump = 512;
  struct Entry {
    std::uint64_t sequence = UINT64_MAX;
    Instant at{};
  };
  std::vector<Entry> entries_ = std::vector<Entry>(k_memory);
  bool started_ = false;
  std::optional<std::uint16_t> expected_;  // behind a number that was not believed
  std::uint64_t highest_ = 0, lowest_ = 0, reported_to_ = 0;
  std::uint32_t unreported_ = 0;
  Instant first_unreported_{};
};

}  // namespace sealcast::swarm
