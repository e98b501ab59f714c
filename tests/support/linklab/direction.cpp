#include "direction.hpp"

#include <algorithm>
#include <utility>

#include "too_big.hpp"

namespace sealcast::linklab {

double Direction::chance() {
  return static_cast<double>(random_() >> 11) / 9007199254740992.0;  // 2^53: [0, 1), the same on every machine
}

std::optional<Packet> Direction::offer(Time now, Packet packet) {
  advance(now);
  ++counters_.packets;
  counters_.octets += packet.size();
  counters_.packet_max = std::max(counters_.packet_max, packet.size());
  if (settings_.outage) {
    ++counters_.outage;
    return std::nullopt;
  }
  if (packet.size() > settings_.mtu) {
    ++counters_.too_big;
    return settings_.icmp ? too_big_message(packet, settings_.mtu) : std::nullopt;
  }
  enter(now, std::move(packet));
  return std::nullopt;
}

void Direction::enter(Time now, Packet packet) {
  if (settings_.rate <= 0 && queue_.empty()) return leave(now, std::move(packet));
  if (queued_ + packet.size() > settings_.queue) {
    ++counters_.queue_full;
    return;
  }
  queued_ += packet.size();
  counters_.queue_max = std::max(counters_.queue_max, queued_);
  queue_.push_back(std::move(packet));
  if (queue_.size() == 1) begin(now);
}

void Direction::begin(Time at) {
  auto octets = static_cast<double>(queue_.front().size());
  auto nanoseconds = settings_.rate > 0 ? octets * 8e9 / settings_.rate : 0;
  sent_ = at + Time(static_cast<std::int64_t>(nanoseconds));
}

void Direction::advance(Time now) {
  while (!queue_.empty() && sent_ <= now) {
    auto packet = std::move(queue_.front());
    queue_.pop_front();
    queued_ -= packet.size();
    auto at = sent_;
    if (!queue_.empty()) begin(at);
    leave(at, std::move(packet));
  }
}

void Direction::leave(Time at, Packet packet) {
  auto lost = chance(), duplicated = chance(), early = chance(), late = chance();
  if (settings_.outage) {
    ++counters_.outage;
    return;
  }
  if (lost < settings_.loss) {
    ++counters_.lost;
    return;
  }
  auto jitter = [&](double part) {
    return Time(static_cast<std::int64_t>(part * static_cast<double>(settings_.jitter.count())));
  };
  auto arrival = at + settings_.delay + jitter(late);
  if (early < settings_.early) {
    ++counters_.early;
    return arrive(std::max(at, arrival - settings_.early_by), std::move(packet));
  }
  if (settings_.order == Order::kept) arrival = std::max(arrival, last_arrival_);
  last_arrival_ = std::max(last_arrival_, arrival);
  if (duplicated < settings_.duplicate) {
    ++counters_.duplicated;
    arrive(std::max(arrival, at + settings_.delay + jitter(1 - late)), packet);
  }
  arrive(arrival, std::move(packet));
}

void Direction::arrive(Time at, Packet packet) {
  flight_.emplace(at, std::move(packet));
}

std::optional<Packet> Direction::take(Time now) {
  advance(now);
  if (flight_.empty() || flight_.begin()->first > now) return std::nullopt;
  auto packet = std::move(flight_.begin()->second);
  flight_.erase(flight_.begin());
  ++counters_.delivered_packets;
  counters_.delivered_octets += packet.size();
  return packet;
}

Time Direction::next() const {
  auto out = flight_.empty() ? Time::max() : flight_.begin()->first;
  if (queue_.empty()) return out;
  auto soonest = settings_.early > 0 ? std::max(Time{}, settings_.delay - settings_.early_by) : settings_.delay;
  return std::min(out, sent_ + soonest);
}

void Direction::change(Time now, Settings settings) {
  advance(now);
  settings_ = settings;
}

}  // namespace sealcast::linklab
