#pragma once
// What serving may cost in SHA-256 where storage keeps checksums of runs. A run that was hashed there has a checksum
// from then on, or lacks chunks; so it is hashed once, and asked for as often as anybody likes. What does not match
// another time was changed by a disk again, and must not become work that partners have for the asking: a run is hashed
// again once a minute at most, and once more when it was repaired in parts, which leaves it without a checksum. All
// that is hashed again is paid from a budget of all swarms together, as are chunks of runs that are not here as a whole
// and so have no checksum. What may not be hashed now is not served: its requests are dropped, and a run that rests is
// not even read for them.
//
// Free is the first time, so that an object whose checksums were lost is served at full speed, once; and storage that
// keeps none: its rule is that everything which leaves is hashed, and a file of a user is not a partner's to change.
#include <cstdint>
#include <vector>

#include "swarm/rate_limit.hpp"

namespace sealcast::swarm {

class HashBudget {
 public:
  bool take(Instant now, std::uint64_t octets) {
    if (!limit_.allows(now)) return false;
    limit_.take(octets);
    return true;
  }
  void hashed(std::uint64_t octets) { octets_ += octets; }
  void put_off() { ++put_off_; }
  std::uint64_t octets() const { return octets_; }
  std::uint64_t times_put_off() const { return put_off_; }

  // A twentieth of a core that has no instructions for SHA-256 and hashes 320 MiB in a second.
  static constexpr std::uint64_t k_octets_a_second = std::uint64_t{16} << 20;

 private:
  RateLimit limit_{k_octets_a_second};
  std::uint64_t octets_ = 0, put_off_ = 0;
};

// When the runs of one swarm were hashed to be served.
class RunHashes {
 public:
  static constexpr std::uint32_t k_again = 60;  // seconds

  bool rests(Instant now, std::uint32_t run) const {
    return run < at_.size() && (at_[run] & k_resting) != 0 && !repaired(at_[run]) && !over(now, at_[run]);
  }
  // May it be hashed now? If not, it rests.
  bool may(Instant now, std::uint32_t run, std::uint32_t runs, std::uint64_t octets, HashBudget& budget) {
    at_.resize(runs);
    auto& at = at_[run];
    const bool first = at == 0, again = over(now, at);
    if (!first && !again && !repaired(at)) {
      at |= k_resting;
      return false;
    }
    if (!first && !budget.take(now, octets)) {
      at = (seconds(now) - k_again) | k_resting;  // a second or two
      return false;
    }
    at = first || again ? seconds(now) : (at & k_seconds) | k_once_more;
    return true;
  }
  // Chunks of it came back.
  void gained(std::uint32_t run) {
    if (run < at_.size() && at_[run] != 0) at_[run] |= k_repaired;
  }

 private:
  static constexpr std::uint32_t k_resting = 1u << 31;
  static constexpr std::uint32_t k_repaired = 1u << 30;   // since it was hashed
  static constexpr std::uint32_t k_once_more = 1u << 29;  // it was hashed for that already
  static constexpr std::uint32_t k_seconds = k_once_more - 1;
  // Never 0, and never less than a rest.
  static std::uint32_t seconds(Instant now) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
    return (static_cast<std::uint32_t>(whole) + k_again + 1) & k_seconds;
  }
  static bool over(Instant now, std::uint32_t at) { return seconds(now) > (at & k_seconds) + k_again; }
  static bool repaired(std::uint32_t at) { return (at & (k_repaired | k_once_more)) == k_repaired; }

  std::vector<std::uint32_t> at_;  // of each run, once one was hashed; 0: it was not
};

}  // namespace sealcast::swarm
