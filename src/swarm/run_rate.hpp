#pragma once
// How many runs a second a partner gives, by those of the last fifth of a second or so; how many of them should be
// under way so that it always has something to send; and how long one takes.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/time.hpp"

namespace sealcast::swarm {

class RunRate {
 public:
  // A run that was asked for then has verified.
  void add(Instant now, Instant asked) {
    if (rate_ == 0) first_ = now;
    auto took = std::max(now - std::max(asked, newest_), Duration{1});
    each_ = each_ == Duration{0} ? took : (7 * each_ + took) / 8;
    rate_ = at(now) + 1 / k_memory;
    newest_ = now;
  }
  // Runs that keep a partner busy which gives so much, over a path of this round trip: the way of a request and of what
  // is sent for it, once more for what is lost, and a little for a node that has other things to do. More would only
  // wait at the partner, and nobody else could be asked for it. 0: nothing is known of the round trip.
  std::size_t window(Instant now, Duration round_trip) const {
    if (now - first_ < k_learning) return k_least + k_short_path;
    const auto trip = seconds(round_trip), rate = at(now);
    const auto wanted = rate * (2 * trip + 0.1), most = std::max<double>(k_short_path, rate * 3 * trip);
    return k_slowest + static_cast<std::size_t>(std::min({wanted, most, double{k_most}}));
  }
  // Until a run comes that is asked for behind so many others.
  Duration expected(std::size_t others, Duration round_trip) const {
    if (each_ == Duration{0}) return k_unknown;
    return std::min<Duration>(round_trip + each_ * static_cast<int>(others + 1), k_longest);
  }
  static constexpr Duration k_unknown = 1s, k_longest = 10s;
  static constexpr std::size_t k_least = 4;        // before anything has come
  static constexpr std::size_t k_slowest = 2;      // one that comes, and one that waits
  static constexpr std::size_t k_short_path = 60;  // what is enough, and fits a processor's cache, without a way to go
  static constexpr std::size_t k_most = 240;       // a partner keeps 256 requests

 private:
  static constexpr double k_memory = 0.2;        // s
  static constexpr Duration k_learning = 400ms;  // until the rate is known
  static double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
  double at(Instant now) const { return rate_ * std::exp(-std::max(0.0, seconds(now - newest_)) / k_memory); }

  double rate_ = 0;  // at the time of the newest
  Instant first_{}, newest_{};
  Duration each_{0};  // from one run to the next, or from asking for one that was alone
};

}  // namespace sealcast::swarm
