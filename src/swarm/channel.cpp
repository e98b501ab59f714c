#include "swarm/channel.hpp"

namespace sealcast::swarm {

// What was queued last is filled up first; an unbounded queue would be a partner's weapon.
void Channel::queue(Bytes messages) {
  constexpr std::size_t k_room = 1100;
  if (!control.empty() && control.back().size() + messages.size() <= k_room)
    control.back().insert(control.back().end(), messages.begin(), messages.end());
  else if (control.size() < k_max_control_queue)
    control.push_back(std::move(messages));
}

void Channel::queue(ppspp::MessageType type, content::ChunkRange range) {
  std::array<std::uint8_t, ppspp::k_range_message> room;
  Writer w(room);
  ppspp::write_range(w, type, range);
  queue(bytes_of(w.written()));
}

}  // namespace sealcast::swarm
