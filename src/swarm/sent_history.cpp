#include "swarm/sent_history.hpp"

#include <algorithm>
#include <utility>

namespace sealcast::swarm {
namespace {

constexpr std::size_t k_kept_at_rest = 16;  // packets

}  // namespace

void SentHistory::add(SentPacket packet) {
  control_octets_ += packet.control.size();
  if (next_ - first_ == packets_.size()) grow();
  at(next_++) = std::move(packet);
  peak_ = std::max<std::size_t>(peak_, next_ - first_);
  ++in_flight_;
}

void SentHistory::grow() {
  std::vector<SentPacket> larger(std::max(k_kept_at_rest, 2 * packets_.size()));
  for (auto number = first_; number != next_; ++number) larger[number & (larger.size() - 1)] = std::move(at(number));
  packets_ = std::move(larger);
}

SentPacket* SentHistory::open(std::uint64_t number) {
  if (number < first_ || number >= next_) return nullptr;
  auto& packet = at(number);
  return packet.done ? nullptr : &packet;
}

void SentHistory::acknowledge(SentPacket& packet) {
  packet.done = true;
  control_octets_ -= packet.control.size();
  packet.control = {};
  --in_flight_;
}

SentPacket SentHistory::lose(SentPacket& packet) {
  control_octets_ -= packet.control.size();
  auto out = std::move(packet);
  packet.done = true;
  --in_flight_;
  return out;
}

void SentHistory::forget_done() {
  while (first_ != next_ && at(first_).done) ++first_;
  if (first_ != next_) return;
  // Who rests keeps little; who is busy and empty for a moment keeps what he needs again.
  if (packets_.size() > std::max(k_kept_at_rest, 4 * peak_)) packets_ = {};
  peak_ = 0;
}

std::int64_t SentHistory::number_of(std::uint16_t sequence, std::uint16_t first_sequence) const {
  auto newest = static_cast<std::int64_t>(next_) - 1;
  auto on_wire = static_cast<std::uint16_t>(first_sequence + static_cast<std::uint64_t>(newest));
  return newest + static_cast<std::int16_t>(sequence - on_wire);
}

}  // namespace sealcast::swarm
