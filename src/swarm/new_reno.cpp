#include "swarm/new_reno.hpp"

#include <algorithm>

namespace sealcast::swarm {

void NewReno::on_acknowledged(const PacketFate& packet) {
  if (packet.number < recovery_end_) return;  // RFC 6582: no growth until the loss event is over
  window_ = std::min(k_largest_window, window_ < threshold_ ? window_ + 1 : window_ + 1 / window_);
}

void NewReno::on_lost(const PacketFate& packet, std::uint64_t next) {
  if (packet.number < recovery_end_) return;
  threshold_ = window_ = std::max(k_smallest_window, window_ / 2);
  recovery_end_ = next;
}

// RFC 5681 section 3.1: the threshold is half of what was in flight when the first of several timeouts came.
void NewReno::on_timeout(int in_row, std::uint64_t next) {
  if (in_row == 1) threshold_ = std::max(k_smallest_window, window_ / 2);
  window_ = k_smallest_window;
  recovery_end_ = next;
}

}  // namespace sealcast::swarm
