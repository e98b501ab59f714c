#pragma once
// NewReno (RFC 5681, RFC 6582) with an initial window of 10 packets (RFC 6928). It does not pace.
// What the others are measured against; nothing in a node uses it.
#include "swarm/congestion_control.hpp"

namespace sealcast::swarm {

class NewReno final : public CongestionControl {
 public:
  // Packets in flight stay below 2^14: the receiver's estimate of the SRTP rollover counter is safe with that.
  static constexpr double k_smallest_window = 2, k_initial_window = 10, k_largest_window = 8192;

  void on_datagram_size(std::uint32_t octets) override { datagram_ = octets; }
  void on_sent(const PacketFate&) override {}
  void on_acknowledged(const PacketFate& packet) override;
  void on_lost(const PacketFate& packet, std::uint64_t next) override;
  void on_arrived_after_all(std::uint64_t) override {}
  void on_timeout(int in_row, std::uint64_t next) override;
  std::uint64_t window() const override { return static_cast<std::uint64_t>(window_) * datagram_; }
  double pace(Duration) const override { return 0; }

 private:
  std::uint32_t datagram_ = 1;
  double window_ = k_initial_window, threshold_ = 1e9;  // packets
  std::uint64_t recovery_end_ = 0;                      // losses below belong to a reduction already made
};

}  // namespace sealcast::swarm
