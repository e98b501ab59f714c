#pragma once
// Packets at the pace that congestion control sets, in trains of a millisecond's worth: what the queues of a path have
// to take at once is bounded, and no packet needs a timer of its own.
#include <algorithm>

#include "base/time.hpp"

namespace sealcast::swarm {

class Pacer {
 public:
  static constexpr Duration k_train = 1ms;
  // A timer that was late by this is made good; and who had little to send has saved it up.
  static constexpr Duration k_saved = 500us;

  // When the next packet may go; Instant::min(): at once.
  Instant next_send() const { return waits_ ? paid_ : Instant::min(); }
  // rate: octets/s; 0: no pace.
  void on_sent(Instant now, std::uint32_t octets, double rate) {
    if (paid_ < now - k_saved) {
      paid_ = now - k_saved;
      fraction_ = 0;
    }
    if (rate > 0) {
      auto takes = octets * 1e6 / rate + fraction_;
      auto whole = Duration(static_cast<std::int64_t>(std::min(takes, 1e6)));
      fraction_ = std::clamp(takes - static_cast<double>(whole.count()), 0.0, 1.0);
      paid_ += whole;
    }
    waits_ = paid_ >= now + k_train;
  }

 private:
  Instant paid_{};       // when what was sent is paid for
  double fraction_ = 0;  // of a microsecond: a packet may take less than one
  bool waits_ = false;   // a train is out; the next one begins when it is paid for
};

}  // namespace sealcast::swarm
