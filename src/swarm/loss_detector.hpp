#pragma once
// Which packets are taken for lost, and when: by time (RFC 8985, RACK-TLP). A packet is lost when one that was sent
// later has arrived and the reordering window is over; when nothing is heard for two round trips a probe asks for news;
// and all are lost when there is none for a retransmission timeout.
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
    newest_acknowledged_ = std::max(newest_acknowledged_, number);
    any_acknowledged_ = true;
  }
  // A feedback packet told of packets that had not been acknowledged.
  void on_progress(Instant now) {
    timer_from_ = now;
    timeouts_in_row_ = 0;
    probed_ = false;
  }
  void on_probe() { probed_ = true; }
  void on_timeout(Instant now) {
    timer_from_ = now;
    ++timeouts_in_row_;
  }
  // What was taken for lost has arrived: the reordering window was too short (section 6.2, step 4). Once for each
  // feedback packet.
  void on_arrived_after_all() {
    steps_ = std::min(steps_ + 1, k_most_steps);
    events_to_keep_ = k_events_to_keep;
  }
  // Losses that were true: without reordering the window shrinks again.
  void on_loss_event() {
    if (events_to_keep_ > 0 && --events_to_keep_ == 0) steps_ = 1;
  }
  // How long a packet may be behind one that was sent after it: a quarter of the least round trip at first, a smoothed
  // one at most; not less than a receiver's clock can tell.
  Duration reordering_window(const RoundTrip& path) const {
    const auto least = std::max(path.least(), path.smoothed() / 4);  // whatever one sample said
    return std::max<Duration>(1ms, std::min(least * steps_ / 4, path.smoothed()));
  }
  // Numbers of the packets that are lost, oldest first. What later ones have overtaken, and is still waited for, is
  // looked at again at the deadline.
  std::vector<std::uint64_t> lost(Instant now, SentHistory& history, const RoundTrip& path);

  enum class Due : std::uint8_t { reordering, probe, timeout };
  struct Deadline {
    Instant at = k_never;  // while nothing is in flight
    Due due = Due::timeout;
  };
  Deadline deadline(const SentHistory& history, const RoundTrip& path) const;
  int timeouts_in_row() const { return timeouts_in_row_; }

 private:
  static constexpr int k_most_steps = 16, k_events_to_keep = 16;

  std::uint64_t newest_acknowledged_ = 0;
  bool any_acknowledged_ = false, probed_ = false;
  Instant timer_from_{};
  Instant look_again_ = k_never;
  int timeouts_in_row_ = 0;
  int steps_ = 1, events_to_keep_ = 0;
};

}  // namespace sealcast::swarm
