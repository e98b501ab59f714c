#pragma once
// One direction of a path between two nodes, in virtual time.
#include <array>
#include <cstdint>

#include "base/random.hpp"
#include "base/time.hpp"

namespace sealcast::sim {

struct LinkOptions {
  double loss = 0, duplicate = 0;  // probability for each datagram
  Duration delay = 5ms;            // of the way alone
  Duration jitter = 0us;           // up to so much more for each datagram alone: what reorders them
  double early = 0;                // probability that a datagram overtakes those before it,
  Duration early_by = 0us;         // by so much of the delay
  std::uint64_t rate = 0;          // bit/s, IP and UDP headers included; 0 = no limit
  std::size_t queue = 256 * 1024;  // octets that may wait for the rate; what comes on top is dropped
  std::size_t largest = SIZE_MAX;  // octets of UDP payload that pass whole
  bool fragments = true;           // larger ones pass where the sender lets the network cut them
};

struct LinkCounters {
  std::uint64_t lost = 0, queue_full = 0, too_large = 0;  // datagrams that did not pass
};

class Link {
 public:
  explicit Link(LinkOptions options) : options_(options) {}
  // Arrivals of one datagram at the other end: none, one, or two.
  struct Arrivals {
    int count = 0;
    std::array<Instant, 2> at{};
  };
  Arrivals carry(Instant now, std::size_t octets, RandomSource& random, bool fragment = false);
  const LinkCounters& counters() const { return counters_; }

 private:
  LinkOptions options_;
  LinkCounters counters_;
  std::int64_t busy_until_ = 0;  // ns: at the rate of a fast link a datagram takes less than a microsecond
};

}  // namespace sealcast::sim
