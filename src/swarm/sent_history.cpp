#include "swarm/sent_history.hpp"

#include <utility>

namespace sealcast::swarm {

void SentHistory::add(SentPacket packet) {
  control_octets_ += packet.control.size();
  packets_.push_back(std::move(packet));
  ++next_;
  ++in_flight_;
}

SentPacket* SentHistory::open(std::uint64_t number) {
  if (number < first_ || number >= next_) return nullptr;
  auto& packet = packets_[number - first_];
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
  while (!packets_.empty() && packets_.front().done) {
    packets_.pop_front();
    ++first_;
  }
}

std::int64_t SentHistory::number_of(std::uint16_t sequence, std::uint16_t first_sequence) const {
  auto newest = static_cast<std::int64_t>(next_) - 1;
  auto on_wire = static_cast<std::uint16_t>(first_sequence + static_cast<std::uint64_t>(newest));
  return newest + static_cast<std::int16_t>(sequence - on_wire);
}

}  // namespace sealcast::swarm
