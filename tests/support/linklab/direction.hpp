#pragma once
// One direction of a link in virtual time: packets are offered at some instant and come out at others, or never. It
// knows no socket and no clock; the program around it moves packets between TUN devices.
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <vector>

namespace sealcast::linklab {

using Time = std::chrono::nanoseconds;  // since the lab began
using Packet = std::vector<std::uint8_t>;

enum class Order { kept, mixed };

// Octets are those of whole IP packets, headers included. Probabilities are for each packet.
struct Settings {
  double rate = 0;              // bit/s at which the link takes packets from its queue; 0: no limit, and no queue
  std::size_t queue = 256'000;  // octets that may wait, the packet on its way into the link included; tail drop
  Time delay{};                 // from the last bit that left the queue to the other end
  Time jitter{};                // up to so much more, evenly spread, for each packet alone
  Order order = Order::kept;    // kept: no packet passes another because of jitter
  double loss = 0;              // of packets that have had their time on the link
  double duplicate = 0;         // two copies arrive, each with a jitter of its own
  double early = 0;             // packets that arrive `early_by` sooner than their neighbours: what reorders them
  Time early_by{};
  std::size_t mtu = 65535;  // larger packets are dropped, never fragmented
  bool icmp = false;        // their sender is told so (too_big.hpp); not told, he has to find out
  bool outage = false;      // what is offered or leaves the queue now is lost; what has left it before arrives
};

struct Counters {
  std::uint64_t packets = 0, octets = 0;                            // offered
  std::uint64_t delivered_packets = 0, delivered_octets = 0;        // came out, duplicates included
  std::uint64_t lost = 0, queue_full = 0, too_big = 0, outage = 0;  // packets dropped, by cause
  std::uint64_t duplicated = 0, early = 0;
  std::size_t queue_max = 0;   // octets
  std::size_t packet_max = 0;  // octets of the largest packet offered
};

class Direction {
 public:
  // The same seed and the same packets at the same times give the same result, whatever probabilities are changed to
  // meanwhile: four draws are made for each packet that leaves the queue.
  Direction(Settings settings, std::uint64_t seed) : settings_(settings), random_(seed) {}

  // Times never go back from one call to the next. What comes back is for whoever sent the packet: what ICMP says of
  // it.
  std::optional<Packet> offer(Time now, Packet packet);
  // A packet whose time has come, in order of arrival.
  std::optional<Packet> take(Time now);
  // When take() may have something next: never later than it has, perhaps sooner. Time::max(): when something is
  // offered.
  Time next() const;
  // For packets that leave the queue from now on; the one that is being sent keeps its end.
  void change(Time now, Settings settings);

  const Settings& settings() const { return settings_; }
  const Counters& counters() const { return counters_; }
  std::size_t queued() const { return queued_; }  // octets

 private:
  void enter(Time now, Packet packet);
  void advance(Time now);
  void begin(Time at);
  void leave(Time at, Packet packet);
  void arrive(Time at, Packet packet);
  double chance();

  Settings settings_;
  std::mt19937_64 random_;
  std::deque<Packet> queue_;            // the first one is being sent
  std::size_t queued_ = 0;              // octets in it
  Time sent_{};                         // when the first one has left
  std::multimap<Time, Packet> flight_;  // equal times stay in the order in which they came
  Time last_arrival_{};
  Counters counters_;
};

}  // namespace sealcast::linklab
