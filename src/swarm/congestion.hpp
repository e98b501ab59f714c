#pragma once
// What may be sent on one association, and what feedback says about what was: history, round trip, loss detector and
// congestion control put together. Nothing here knows what packets carry.
#include <memory>
#include <vector>

#include "rtp/feedback.hpp"
#include "swarm/congestion_control.hpp"
#include "swarm/loss_detector.hpp"

namespace sealcast::swarm {

class Congestion {
 public:
  Congestion();  // NewReno
  explicit Congestion(std::unique_ptr<CongestionControl> control);

  // packets
  std::uint64_t window() const { return control_->window() / datagram_; }
  std::uint64_t in_flight() const { return history_.in_flight(); }
  std::uint64_t lost() const { return lost_total_; }
  std::size_t octets() const { return history_.octets(); }  // of memory
  bool window_open() const { return in_flight() * datagram_ < control_->window(); }
  bool may_send(Instant now) const { return window_open() && control_->next_send() <= now; }
  Instant next_send() const { return control_->next_send(); }
  Duration round_trip() const { return path_.smoothed(); }
  int timeouts_in_row() const { return detector_.timeouts_in_row(); }

  // The packet with the next sequence number was sent.
  void sent(SentPacket packet);
  // Feedback about packets: `lost` gets those that must be made good.
  void feedback(Instant now, const rtp::Feedback& feedback, std::uint16_t first_sequence,
                std::vector<SentPacket>& lost);
  // When the retransmission timer ends; k_never if nothing is in flight.
  Instant deadline() const { return detector_.deadline(history_, path_); }
  void on_timeout(Instant now, std::vector<SentPacket>& lost);

 private:
  std::unique_ptr<CongestionControl> control_;
  SentHistory history_;
  RoundTrip path_;
  LossDetector detector_;
  std::uint32_t datagram_ = 1;  // octets of a full packet
  std::uint64_t lost_total_ = 0;
};

}  // namespace sealcast::swarm
