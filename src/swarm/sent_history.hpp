#pragma once
// The packets of one association whose fate is open. They are numbered from 0 on; on the wire a number is 16 bits,
// which feedback about them is extended from.
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace sealcast::swarm {

// What a packet carried, so that its loss can be made good: control messages are kept whole, DATA is named.
struct SentPacket {
  Instant at{};
  std::uint32_t octets = 0;   // with its RTP header
  std::uint32_t channel = 0;  // local channel id; 0 = nothing to repeat
  std::uint32_t chunk = 0;    // of DATA
  bool is_data = false;
  Bytes control;      // messages of a control datagram
  bool done = false;  // acknowledged or given up; set here
};

class SentHistory {
 public:
  void add(SentPacket packet);
  std::uint64_t first() const { return first_; }  // all before it are done
  std::uint64_t next() const { return next_; }    // number of the packet that is sent next
  std::uint64_t in_flight() const { return in_flight_; }
  std::size_t octets() const { return packets_.size() * sizeof(SentPacket) + control_octets_; }  // of memory
  // The packet of this number while its fate is open, else nullptr.
  SentPacket* open(std::uint64_t number);
  void acknowledge(SentPacket& packet);
  SentPacket lose(SentPacket& packet);
  // Forgets the oldest packets as far as they are done.
  void forget_done();
  // The number that a sequence number of feedback means: the one nearest to the newest packet. Below 0 when it was used
  // before the first; it may also be one that was never sent.
  std::int64_t number_of(std::uint16_t sequence, std::uint16_t first_sequence) const;

 private:
  SentPacket& at(std::uint64_t number) { return packets_[number & (packets_.size() - 1)]; }
  void grow();

  // From first_ to next_, each at its number modulo the size, a power of two: nothing is allocated while the
  // window has its size.
  std::vector<SentPacket> packets_;
  std::uint64_t first_ = 0, next_ = 0, in_flight_ = 0;
  std::size_t control_octets_ = 0;
  std::size_t peak_ = 0;  // packets at once since all were done the last time
};

}  // namespace sealcast::swarm
