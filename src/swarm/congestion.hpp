#pragma once
// What may be sent on one association, and what feedback says about what was: history, round trip, loss detector,
// congestion control and pacer put together. Nothing here knows what packets carry.
#include <memory>
#include <vector>

#include "rtp/feedback.hpp"
#include "swarm/black_hole.hpp"
#include "swarm/congestion_control.hpp"
#include "swarm/loss_detector.hpp"
#include "swarm/lost_packets.hpp"
#include "swarm/pacer.hpp"

namespace sealcast::swarm {

// What feedback, or silence, means for what was sent.
struct Losses {
  std::vector<SentPacket> lost;      // to be made good
  std::vector<LostPacket> mistaken;  // was taken for lost, and has arrived after all
};

class Congestion {
 public:
  Congestion();  // CUBIC
  explicit Congestion(std::unique_ptr<CongestionControl> control);

  // packets
  std::uint64_t window() const { return control_->window() / datagram_; }
  std::uint64_t in_flight() const { return history_.in_flight(); }
  std::uint64_t lost() const { return lost_total_; }
  std::size_t octets() const { return history_.octets() + gone_.octets(); }  // of memory
  bool window_open() const { return probes_ > 0 || in_flight() * datagram_ < control_->window(); }
  bool may_send(Instant now) const { return probes_ > 0 || (window_open() && pacer_.next_send() <= now); }
  Instant next_send() const { return probes_ > 0 ? Instant::min() : pacer_.next_send(); }
  std::uint32_t largest() const { return datagram_; }  // octets of the largest packet that was sent
  Duration round_trip() const { return path_.smoothed(); }
  int timeouts_in_row() const { return detector_.timeouts_in_row(); }
  // Large packets are lost, and small ones pass; asked anew after each true.
  bool swallows_large();
  void path_is_another();  // what was sent so far says nothing about sizes

  // The packet with the next sequence number was sent.
  void sent(SentPacket packet);
  // Feedback about packets.
  void feedback(Instant now, const rtp::Feedback& feedback, std::uint16_t first_sequence, Losses& out);
  // When to look again at what is in flight; k_never if nothing is.
  Instant deadline() const { return detector_.deadline(history_, path_).at; }
  void on_deadline(Instant now, Losses& out);

 private:
  bool measure(Instant now, const rtp::Feedback& feedback, std::int64_t begin);
  void acknowledge(Instant now, const rtp::Feedback& feedback, std::int64_t begin, Losses& out);
  void detect(Instant now, Losses& out);
  void time_out(Instant now, Losses& out);
  void probe(Losses& out);
  void lose(std::uint64_t number, Losses& out);
  bool window_was_full(std::uint64_t number) const;

  std::unique_ptr<CongestionControl> control_;
  SentHistory history_;
  LostPackets gone_;
  RoundTrip path_;
  LossDetector detector_;
  Pacer pacer_;
  BlackHole black_hole_;
  std::uint64_t path_from_ = 0;  // number of the first packet that tells of the path as it is now
  int probes_ = 0;               // packets that may go whatever the window says
  std::uint64_t full_at_ = 0;    // number of the packet that filled the window last, plus 1
  std::uint32_t datagram_ = 1;   // octets of a full packet
  std::uint64_t lost_total_ = 0;
};

}  // namespace sealcast::swarm
