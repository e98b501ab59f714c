#pragma once
// Packets that were taken for lost a short time ago: some of them may arrive after all.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "swarm/sent_history.hpp"

namespace sealcast::swarm {

// What a packet carried that was taken for lost, and need not be sent again when it has arrived.
struct LostPacket {
  std::uint64_t number = 0;
  std::uint32_t channel = 0;  // as in SentPacket
  std::uint32_t chunk = 0;
  bool is_data = false;
};

class LostPackets {
 public:
  static constexpr std::size_t k_most = 512;
  // In the order of their numbers.
  void add(std::uint64_t number, const SentPacket& packet) {
    if (packets_.size() == k_most) packets_.pop_front();
    packets_.push_back({number, packet.channel, packet.chunk, packet.is_data});
  }
  // The packet of this number, which is forgotten.
  std::optional<LostPacket> take(std::uint64_t number) {
    auto at = lower_bound(number);
    if (at == packets_.end() || at->number != number) return {};
    auto out = *at;
    packets_.erase(at);
    return out;
  }
  bool empty() const { return packets_.empty(); }
  void forget_before(std::uint64_t number) { packets_.erase(packets_.begin(), lower_bound(number)); }
  std::size_t octets() const { return packets_.size() * sizeof(LostPacket); }  // of memory

 private:
  std::deque<LostPacket>::iterator lower_bound(std::uint64_t number) {
    return std::lower_bound(packets_.begin(), packets_.end(), number,
                            [](const LostPacket& each, std::uint64_t n) { return each.number < n; });
  }
  std::deque<LostPacket> packets_;
};

}  // namespace sealcast::swarm
