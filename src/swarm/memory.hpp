#pragma once
// What an engine keeps in memory because of others, on the books, and one limit for all of it. Each kind has a share,
// and its own way to do with less, none of which ends a transfer: fewer runs are asked for at once; a run that is being
// sent is read again when it is its turn; a set of chunks takes no more intervals; less is on the way; an association
// or a channel is not made. A floor is everybody's (one run on its way in the whole engine; a few packets on each
// association, a few messages on each channel), so that nobody waits for what others never give back.
#include <cstddef>

namespace sealcast::swarm {

// Octets, by kind.
struct MemoryUse {
  std::size_t limit = 0;
  std::size_t associations = 0;  // and channels: what they take at rest
  std::size_t arriving = 0;      // runs that were asked for, and what proves them
  std::size_t intervals = 0;     // what partners have, want and got, beyond what channels take at rest
  std::size_t serving = 0;       // runs that are being sent
  std::size_t queues = 0;        // messages that wait, and chunks to be sent again
  std::size_t in_flight = 0;     // packets whose fate is open
  std::size_t contents = 0;      // bitmaps of swarms; not limited: 1 bit a chunk
  std::size_t used() const { return associations + arriving + intervals + serving + queues + in_flight; }
};

inline constexpr std::size_t k_default_memory_limit = std::size_t{512} << 20;
inline constexpr std::size_t k_least_memory_limit = std::size_t{4} << 20;
inline constexpr std::size_t k_octets_an_interval = 48;
inline constexpr std::size_t k_intervals_at_rest = 32;  // of each set of a channel, of which there are five
inline constexpr std::size_t k_octets_an_association = 12288;
inline constexpr std::size_t k_octets_a_channel = 8192 + 5 * k_intervals_at_rest * k_octets_an_interval;

struct Memory {
  explicit Memory(std::size_t limit) {
    use.limit = share.limit = limit;
    share.associations = share.arriving = share.intervals = limit / 4;
    share.serving = limit / 16;
    share.queues = share.in_flight = limit / 32;  // the floors have the last eighth
  }
  // The first one is always made.
  bool room_for_association() const { return fits(k_octets_an_association); }
  bool room_for_channel() const { return fits(k_octets_a_channel); }
  bool serving_is_full() const { return use.serving > share.serving; }

  MemoryUse use;    // the engine fills in what is counted elsewhere
  MemoryUse share;  // what each kind may have

 private:
  bool fits(std::size_t octets) const {
    return use.associations <= k_octets_an_association || use.associations + octets <= share.associations;
  }
};

// An amount that is on the books, and off them when it goes.
class Charge {
 public:
  explicit Charge(std::size_t& total, std::size_t octets = 0) : total_(&total) { set(octets); }
  ~Charge() { set(0); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;
  void set(std::size_t octets) {
    *total_ = *total_ - octets_ + octets;
    octets_ = octets;
  }

 private:
  std::size_t* total_;
  std::size_t octets_ = 0;
};

}  // namespace sealcast::swarm
