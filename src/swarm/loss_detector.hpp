#pragma once
// Which packets are taken for lost: those that enough later ones have overtaken, and all when nothing is heard for a
// retransmission timeout.
#include <algorithm>
#include <vector>

#include "swarm/round_trip.hpp"
#include "swarm/sent_history.hpp"

namespace sealcast::swarm {

class LossDetector {
 public:
  // Before the packet is added to the history.
  void on_sent(Instant at, const SentHistory& history) {
    if (history.in_flight() == 0) timer_from_ = at;
  }
  void on_acknowledged(std::uint64_t number) {
    highest_acknowledged_ = std::max(highest_acknowledged_, number);
    any_acknowledged_ = true;
  }
  // A feedback packet told of packets that had not been acknowledged.
  void on_progress(Instant now) {
    timer_from_ = now;
    timeouts_in_row_ = 0;
  }
  void on_timeout(Instant now) {
    timer_from_ = now;
    ++timeouts_in_row_;
  }
  // Packets by which one may be overtaken: a batch may be shuffled between queues, so more than TCP's three when many
  // are in flight.
  static std::uint64_t reordering(std::uint64_t window_packets) {
    return std::clamp<std::uint64_t>(window_packets / 4, 3, 16);
  }
  // Numbers of the packets that were overtaken by more than `reordering`, oldest first.
  std::vector<std::uint64_t> overtaken(SentHistory& history, std::uint64_t reordering) const;
  // When the retransmission timer ends, doubled with each timeout in a row (RFC 6298 section 5.5); k_never while
  // nothing is in flight.
  Instant deadline(const SentHistory& history, const RoundTrip& path) const;
  int timeouts_in_row() const { return timeouts_in_row_; }

 private:
  std::uint64_t highest_acknowledged_ = 0;
  bool any_acknowledged_ = false;
  Instant timer_from_{};
  int timeouts_in_row_ = 0;
};

}  // namespace sealcast::swarm
