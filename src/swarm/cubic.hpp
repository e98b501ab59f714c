#pragma once
// CUBIC (RFC 9438) with HyStart++ (RFC 9406), an initial window of 10 packets (RFC 6928), and a rule for losses that
// congestion did not make: a loss while the path's queue is empty is noted and not answered, as long as few packets
// are lost (docs/adr/0016).
#include <array>

#include "swarm/congestion_control.hpp"

namespace sealcast::swarm {

// What round trips say about the queue on the path: the least of the last few against the least of all.
class QueueGauge {
 public:
  void add(Duration round_trip);
  // What part of the window the path itself holds, without its queue: 1 when that is empty, as far as clocks can tell.
  double path_share() const;
  Duration least() const { return least_; }  // 0 before the first

 private:
  static constexpr std::size_t k_newest = 16;
  std::array<Duration, k_newest> newest_{};
  std::size_t count_ = 0;
  Duration least_{0};
};

// When slow start ends before it overflows a queue (RFC 9406).
class HyStart {
 public:
  // A packet of slow start has arrived. True: slow start is over. `next` begins the next round.
  bool on_acknowledged(const PacketFate& packet, std::uint64_t next);
  double growth() const { return css_rounds_ == 0 ? 1 : 1.0 / k_css_divisor; }  // packets, for each that arrives
  void restart() { *this = {}; }

 private:
  static constexpr int k_samples = 8, k_css_divisor = 4, k_css_rounds = 5;
  bool round_ends(std::uint64_t next);

  std::uint64_t round_end_ = 0;
  int samples_ = 0, css_rounds_ = 0;  // css: conservative slow start
  Duration last_round_ = Duration::max(), this_round_ = Duration::max(), css_baseline_ = Duration::max();
};

class Cubic final : public CongestionControl {
 public:
  // Packets in flight stay below 2^14: the receiver's estimate of the SRTP rollover counter is safe with that.
  static constexpr double k_smallest_window = 2, k_initial_window = 10, k_largest_window = 8192;

  void on_datagram_size(std::uint32_t octets) override { datagram_ = octets; }
  void on_sent(const PacketFate& packet) override { next_ = packet.number + 1; }
  void on_acknowledged(const PacketFate& packet) override;
  void on_lost(const PacketFate& packet, std::uint64_t next) override;
  void on_arrived_after_all(std::uint64_t number) override;
  void on_timeout(int in_row, std::uint64_t next) override;
  std::uint64_t window() const override { return static_cast<std::uint64_t>(state_.window) * datagram_; }
  double pace(Duration round_trip) const override;
  bool slow_start() const { return state_.window < state_.threshold; }

 private:
  struct State {
    double window = k_initial_window, threshold = 1e9;  // packets
    double maximum = 0;                                 // W_max: before the last reduction
    double reno = 0;                                    // W_est: what Reno would have
    double plateau_after = 0;                           // K, seconds
    Instant epoch{};                                    // when growth began behind the last reduction; epoch 0: not yet
  };
  // Losses that belong together: one reduction for all of them, undone when none was true.
  struct LossEvent {
    std::uint64_t first = 0, end = 0;  // numbers of packets
    std::uint64_t packets = 0;
    bool answered = false, timed_out = false;
    State before;
  };
  void grow(const PacketFate& packet);
  void reduce(double factor);
  bool few_are_lost() const;
  void count(bool lost, std::uint64_t number);

  std::uint32_t datagram_ = 1;
  std::uint64_t next_ = 0;  // number of the packet that is sent next
  State state_;
  LossEvent event_;
  HyStart hystart_;
  QueueGauge gauge_;
  Instant last_arrival_{};
  // Packets of this round trip and the one before, and how many of them were lost.
  std::uint64_t round_end_ = 0;
  struct Share {
    std::uint64_t packets = 0, lost = 0;
  } now_, before_;
};

}  // namespace sealcast::swarm
