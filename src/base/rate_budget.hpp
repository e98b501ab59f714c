#pragma once
// A budget of work for each owner: `burst` at once, `per_second` afterwards. Owners that have rested until their
// budget is whole again are forgotten; the table of the others is bounded, and who finds no room has no budget.
#include <algorithm>
#include <cmath>
#include <string>

#include "base/bounded_table.hpp"

namespace sealcast {

class RateBudget {
 public:
  struct Limits {
    double burst = 1, per_second = 1;
    std::size_t owners = 100000;
  };
  explicit RateBudget(Limits limits) : limits_(limits), levels_({limits.owners}) {}

  // True: `cost` is taken. False: the owner has spent his share; nothing is taken.
  bool take(Instant now, const std::string& owner, double cost = 1) {
    while (levels_.take_expired(now)) {
    }
    auto* level = levels_.find(owner);
    if (level) {
      level->left = std::min(limits_.burst, level->left + seconds(now - level->at) * limits_.per_second);
      level->at = std::max(level->at, now);
    }
    if (cost > (level ? level->left : limits_.burst)) return ++refused_, false;
    if (!level) {
      if (levels_.add(owner, {}, now, {limits_.burst, now})) return ++refused_, false;
      level = levels_.find(owner);
    }
    level->left -= cost;
    levels_.prolong(owner, whole_again(*level));
    return true;
  }
  // Seconds until `cost` can be taken, rounded up: for Retry-After.
  int wait(Instant now, const std::string& owner, double cost = 1) const {
    const auto* level = levels_.find(owner);
    if (!level) return 1;
    const auto missing = cost - level->left - seconds(now - level->at) * limits_.per_second;
    return std::clamp(static_cast<int>(std::ceil(missing / limits_.per_second)), 1, 3600);
  }
  std::uint64_t refused() const { return refused_; }
  json::Object status() const {
    return {{"owners", static_cast<std::int64_t>(levels_.size())}, {"refused", static_cast<std::int64_t>(refused_)}};
  }

 private:
  struct Level {
    double left;
    Instant at;
  };
  static double seconds(Duration d) { return std::max(0.0, std::chrono::duration<double>(d).count()); }
  Instant whole_again(const Level& level) const {
    const auto rest = (limits_.burst - level.left) / limits_.per_second;
    return level.at + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(rest)) + Duration(1);
  }

  Limits limits_;
  BoundedTable<std::string, Level> levels_;
  std::uint64_t refused_ = 0;
};

}  // namespace sealcast
