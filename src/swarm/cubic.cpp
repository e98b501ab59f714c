#include "swarm/cubic.hpp"

#include <algorithm>
#include <cmath>

namespace sealcast::swarm {
namespace {

constexpr double k_c = 0.4, k_beta = 0.7;                    // RFC 9438 section 4.6, 5
constexpr double k_alpha = 3 * (1 - k_beta) / (1 + k_beta);  // section 4.3
constexpr double k_most_growth = 1.5;                        // of the window, in a round trip: section 4.2

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

// ---- Queue

void QueueGauge::add(Duration round_trip) {
  newest_[count_++ % k_newest] = round_trip;
  if (least_ == Duration{0} || round_trip < least_) least_ = round_trip;
}

double QueueGauge::path_share() const {
  if (count_ == 0) return 0;  // not known
  // A clock's grain, and what a receiver's report rounds away.
  constexpr Duration k_grain = 1ms;
  auto now =
      *std::min_element(newest_.begin(), newest_.begin() + static_cast<std::ptrdiff_t>(std::min(count_, k_newest)));
  return now <= least_ + k_grain ? 1 : seconds(least_) / seconds(now - k_grain);
}

// ---- Slow start

bool HyStart::round_ends(std::uint64_t next) {
  round_end_ = next;
  last_round_ = this_round_;
  this_round_ = Duration::max();
  samples_ = 0;
  return css_rounds_ > 0 && ++css_rounds_ > k_css_rounds;
}

bool HyStart::on_acknowledged(const PacketFate& packet, std::uint64_t next) {
  if (packet.number >= round_end_ && round_ends(next)) return true;
  this_round_ = std::min(this_round_, packet.round_trip());
  if (++samples_ < k_samples || last_round_ == Duration::max()) return false;
  if (css_rounds_ == 0) {
    auto threshold = std::clamp<Duration>(last_round_ / 8, 4ms, 16ms);
    if (this_round_ < last_round_ + threshold) return false;
    css_baseline_ = this_round_;
    css_rounds_ = 1;
  } else if (this_round_ < css_baseline_) {
    css_rounds_ = 0;  // it was jitter
    css_baseline_ = Duration::max();
  }
  return false;
}

// ---- CUBIC

void Cubic::count(bool lost, std::uint64_t number) {
  if (number >= round_end_) {
    before_ = now_;
    now_ = {};
    round_end_ = next_;
  }
  ++now_.packets;
  if (lost) ++now_.lost;
}

// Of random loss up to 12 % nobody else has anything when we slow down. Above, it is a path that is full, or of no use.
bool Cubic::few_are_lost() const {
  constexpr std::uint64_t k_noise = 4;
  auto lost = now_.lost + before_.lost, packets = now_.packets + before_.packets;
  return lost <= k_noise || lost * 100 <= packets * 12;
}

void Cubic::on_acknowledged(const PacketFate& packet) {
  gauge_.add(packet.round_trip());
  count(false, packet.number);
  auto passed = packet.arrival - last_arrival_;
  last_arrival_ = packet.arrival;
  if (event_.answered && packet.number < event_.end) return;  // no growth before the loss event is over
  if (!packet.window_was_full) {
    if (state_.epoch != Instant{}) state_.epoch += passed;  // RFC 9438 section 5.8: such time does not count
    return;
  }
  if (!slow_start()) return grow(packet);
  state_.window = std::min(k_largest_window, state_.window + hystart_.growth());
  if (hystart_.on_acknowledged(packet, next_)) state_.threshold = state_.window;
}

void Cubic::grow(const PacketFate& packet) {
  auto& s = state_;
  if (s.epoch == Instant{}) {
    s.epoch = packet.arrival;
    s.reno = s.window;
    s.maximum = std::max(s.maximum, s.window);
    s.plateau_after = std::cbrt((s.maximum - s.window) / k_c);
  }
  auto at = seconds(packet.arrival - s.epoch);
  auto cubic = [&](double t) { return k_c * std::pow(t - s.plateau_after, 3) + s.maximum; };
  s.reno += (s.reno < s.maximum ? k_alpha : 1) / s.window;
  if (cubic(at) < s.reno) {
    s.window = std::max(s.window, s.reno);
  } else {
    auto target = std::clamp(cubic(at + seconds(packet.round_trip())), s.window, s.window * k_most_growth);
    s.window += (target - s.window) / s.window;
  }
  s.window = std::min(s.window, k_largest_window);
}

void Cubic::reduce(double factor) {
  auto& s = state_;
  event_.answered = true;
  // Fast convergence (section 4.7): who loses again before he had what he had leaves room for others.
  s.maximum = s.window < s.maximum ? s.window * (1 + k_beta) / 2 : s.window;
  s.window = s.threshold = std::max(k_smallest_window, s.window * factor);
  s.epoch = {};
}

void Cubic::on_lost(const PacketFate& packet, std::uint64_t next) {
  count(true, packet.number);
  if (packet.number >= event_.end) event_ = {packet.number, next, 0, false, false, state_};
  ++event_.packets;
  if (event_.answered) return;
  auto factor = few_are_lost() ? std::max(k_beta, gauge_.path_share()) : k_beta;
  // Less than that is not worth an interruption of growth: with a loss in each round trip there would be none.
  constexpr double k_least_reduction = 0.97;
  if (factor > k_least_reduction) return;
  event_.end = next;
  reduce(factor);
}

void Cubic::on_arrived_after_all(std::uint64_t number) {
  if (number < event_.first || number >= event_.end || event_.packets == 0) return;
  if (now_.lost > 0) --now_.lost;
  if (--event_.packets > 0 || !event_.answered) return;
  if (event_.timed_out) {  // one of many: how many were lost is not known
    state_.threshold = std::max(state_.threshold, event_.before.window);
    return;
  }
  event_.answered = false;
  if (state_.window >= event_.before.window) return;
  state_ = event_.before;
}

// RFC 5681 section 3.1: the threshold follows from the window when the first of several timeouts came.
void Cubic::on_timeout(int in_row, std::uint64_t next) {
  auto& s = state_;
  if (in_row == 1) {
    event_ = {0, next, 1, true, true, s};
    s.maximum = s.window;
    s.threshold = std::max(k_smallest_window, s.window * k_beta);
  }
  event_.end = next;
  s.window = k_smallest_window;
  s.epoch = {};
  hystart_.restart();
}

double Cubic::pace(Duration round_trip) const {
  if (round_trip <= Duration{0}) return 0;
  return (slow_start() ? 2 : 1.2) * state_.window * datagram_ / seconds(round_trip);
}

}  // namespace sealcast::swarm
