#pragma once
// How much may be in flight on a path, and how fast it may go out: the part of congestion control that is a matter of
// taste. It sees the fate of packets and nothing else.
#include <cstdint>

#include "base/time.hpp"

namespace sealcast::swarm {

struct PacketFate {
  std::uint64_t number = 0;  // in the order of sending
  Instant sent{};
  Instant arrival = k_never;  // by our clock: what the partner says, and the way back; k_never if it did not arrive
  std::uint32_t octets = 0;
  bool window_was_full = true;  // about then the window was what kept more from being sent (RFC 7661)
  Duration round_trip() const { return arrival - sent; }
};

class CongestionControl {
 public:
  virtual ~CongestionControl() = default;
  // Octets of a full packet: the largest that was sent so far.
  virtual void on_datagram_size(std::uint32_t octets) = 0;
  virtual void on_sent(const PacketFate& packet) = 0;
  // In the order of sending, of one feedback packet.
  virtual void on_acknowledged(const PacketFate& packet) = 0;
  // `next` is the number of the packet that is sent next: what was lost below belongs to one event.
  virtual void on_lost(const PacketFate& packet, std::uint64_t next) = 0;
  // What was taken for lost has arrived after all.
  virtual void on_arrived_after_all(std::uint64_t number) = 0;
  // Nothing was heard for a retransmission timeout, `in_row` times by now; all in flight counts as lost.
  virtual void on_timeout(int in_row, std::uint64_t next) = 0;
  // Octets that may be in flight. Every packet counts as a full one: queues on the way hold packets.
  virtual std::uint64_t window() const = 0;
  // Octets a second, of what goes out at the pace of a clock; 0: at once, as the window allows.
  virtual double pace(Duration round_trip) const = 0;
};

}  // namespace sealcast::swarm
