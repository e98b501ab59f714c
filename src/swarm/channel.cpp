#include "swarm/channel.hpp"

#include <algorithm>
#include <utility>

namespace sealcast::swarm {
namespace {

constexpr std::size_t k_each = 64;        // octets that anything queued takes beside what is in it
constexpr std::size_t k_always = 2;       // datagrams, and chunks to be sent again, that may wait on any channel
constexpr std::size_t k_most_haves = 64;  // told by the bitmap, when there are more

}  // namespace

bool Channel::queue_room() const {
  if (control.size() < k_always) return true;
  return control.size() < k_max_control_queue && memory->use.queues < memory->share.queues;
}

// What finds no room the partner asks for again.
bool Channel::resend_room() const {
  constexpr std::size_t k_max_resend = 16384;
  if (resend.size() < k_always) return true;
  return resend.size() < k_max_resend && memory->use.queues < memory->share.queues;
}

void Channel::count() {
  queued.set(control_octets + (control.size() + resend.size()) * k_each);
}

void Channel::count_serving() {
  std::size_t octets = 0;
  for (auto& run : serving) octets += run.octets.size() + run.hashes.size();
  serving_octets.set(octets);
}

void Channel::queue_alone(Bytes messages) {
  if (!queue_room()) return;
  control_octets += messages.size();
  control.push_back(std::move(messages));
  count();
}

void Channel::queue_again(Bytes messages) {
  if (!queue_room()) return;
  control_octets += messages.size();
  control.push_front(std::move(messages));
  count();
}

Bytes Channel::next_control() {
  auto out = std::move(control.front());
  control.pop_front();
  control_octets -= out.size();
  count();
  return out;
}

void Channel::has(content::ChunkRange range) {
  if (have_from && range.first >= *have_from) return;
  if (!have_queue.empty() && have_queue.back().last + 1 == range.first) {
    have_queue.back().last = range.last;
  } else if (have_queue.size() < k_most_haves) {
    have_queue.push_back(range);
  } else {
    have_queue.clear();
    have_from = 0;
  }
}

// What was queued last is filled up first; an unbounded queue would be a partner's weapon.
void Channel::queue(Bytes messages) {
  constexpr std::size_t k_room = 1100;
  if (control.empty() || control.back().size() + messages.size() > k_room) return queue_alone(std::move(messages));
  control_octets += messages.size();
  control.back().insert(control.back().end(), messages.begin(), messages.end());
  count();
}

void Channel::queue(ppspp::MessageType type, content::ChunkRange range) {
  std::array<std::uint8_t, ppspp::k_range_message> room;
  Writer w(room);
  ppspp::write_range(w, type, range);
  queue(bytes_of(w.written()));
}

}  // namespace sealcast::swarm
