#include "sim/link.hpp"

#include <algorithm>

namespace sealcast::sim {
namespace {

constexpr std::size_t k_headers = 28;  // IPv4 and UDP

double chance(RandomSource& random) {
  return static_cast<double>(random.u32()) / 4294967296.0;
}
std::int64_t nanoseconds(Instant at) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

}  // namespace

Link::Arrivals Link::carry(Instant now, std::size_t octets, RandomSource& random, bool fragment) {
  if (octets > options_.largest && !(fragment && options_.fragments)) return ++counters_.too_large, Arrivals{};
  auto sent = now;
  if (options_.rate != 0) {
    auto ns_each_octet = 8e9 / static_cast<double>(options_.rate);
    auto begins = std::max(busy_until_, nanoseconds(now));
    auto waiting = static_cast<double>(begins - nanoseconds(now)) / ns_each_octet;
    if (waiting + static_cast<double>(octets) > static_cast<double>(options_.queue))
      return ++counters_.queue_full, Arrivals{};
    busy_until_ = begins + static_cast<std::int64_t>(static_cast<double>(octets + k_headers) * ns_each_octet);
    sent = Instant(std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(busy_until_)));
  }
  if (chance(random) < options_.loss) return ++counters_.lost, Arrivals{};
  Arrivals out;
  out.count = chance(random) < options_.duplicate ? 2 : 1;
  for (int i = 0; i < out.count; ++i) {
    auto late = chance(random) * static_cast<double>(options_.jitter.count());
    auto delay = options_.delay + Duration(static_cast<std::int64_t>(late));
    if (options_.early > 0 && chance(random) < options_.early) delay -= std::min(delay, options_.early_by);
    out.at[static_cast<std::size_t>(i)] = sent + delay;
  }
  return out;
}

}  // namespace sealcast::sim
