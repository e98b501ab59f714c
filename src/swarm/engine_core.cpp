#include "swarm/engine_core.hpp"

#include <algorithm>
#include <utility>

namespace sealcast::swarm {

using content::ChunkRange;

Association* EngineCore::find(AssociationId id) {
  auto at = associations.find(id);
  return at == associations.end() ? nullptr : at->second.get();
}

SwarmState* EngineCore::find(const SwarmId& id) {
  auto at = swarms.find(id);
  return at == swarms.end() ? nullptr : at->second.get();
}

void EngineCore::emit(EventKind kind, AssociationId association, const SwarmId& swarm, ChunkRange range,
                      std::string text, Error error) {
  events.push_back({kind, association, swarm, range, std::move(text), std::move(error)});
}

Channel& EngineCore::make_channel(Instant now, Association& a, SwarmState& s, bool initiator) {
  auto made = std::make_unique<Channel>(a, s, ranges, memory);
  auto& c = *made;
  do c.local = random.u32();
  while (c.local == 0 || a.by_id.contains(c.local));
  c.initiator = initiator;
  c.opened = c.next_handshake = c.last_progress = now;
  c.source.cursor = random.u32() % s.runs.count();
  c.source.dice = random.u32();
  c.keyinfo_due = !s.config.keyinfo.empty();
  a.by_id[c.local] = &c;
  a.channels.push_back(std::move(made));
  s.channels.push_back(&c);
  ++channels;
  agenda.touch(a);
  return c;
}

void EngineCore::close_channel(Channel& c, const std::string& reason, bool tell_partner) {
  if (c.closed()) return;
  auto& a = *c.association;
  auto& s = *c.swarm;
  s.picker.release_all(c.source);
  freed(s);
  if (tell_partner && c.remote != 0 && a.closing.size() < 10 * 64) {
    std::array<std::uint8_t, 16> room;
    Writer w(room);
    w.u32(c.remote);
    ppspp::write_closing(w);
    a.closing.insert(a.closing.end(), w.written().begin(), w.written().end());
  }
  emit(EventKind::channel_closed, a.id, s.id(), {}, reason);
  --channels;
  c.stage = ChannelStage::closed;
  closed.push_back(&c);
  agenda.touch(a);
}

void EngineCore::close_channels(SwarmState& s, const std::string& reason, bool plain_only) {
  for (std::size_t i = s.channels.size(); i-- > 0;)
    if (!plain_only || !s.channels[i]->association->secured()) close_channel(*s.channels[i], reason, true);
}

void EngineCore::sweep() {
  if (closed.empty()) return;
  std::vector<Association*> theirs;
  for (auto* c : closed) {
    theirs.push_back(c->association);
    theirs.back()->by_id.erase(c->local);
    std::erase_if(c->swarm->channels, [](auto* each) { return each->closed(); });
  }
  closed.clear();
  for (auto* a : theirs) std::erase_if(a->channels, [](auto& each) { return each->closed(); });
}

// First the network may cut what does not pass whole; when that does not help, the role is told.
void EngineCore::path_is_small(Association& a, std::size_t octets, bool fragment) {
  if (!std::exchange(a.fragments, true)) a.congestion.path_is_another();
  if (!fragment || std::exchange(a.path_told, true)) return;
  auto headers = a.config.remote.address.is_v6() ? 48 : 28;
  emit(EventKind::path_too_small, a.id, {}, {},
       "datagrams of " + std::to_string(octets) + " octets are too large for the way to " + a.config.remote.text() +
           ", whole or in fragments: its MTU is below " + std::to_string(octets + headers) +
           "; what is published with a smaller --chunk-size may pass");
}

void EngineCore::forget(Association& a) {
  agenda.forget(a);
  by_key.erase({a.config.remote, a.config.remote_ssrc});
  associations.erase(a.id);
}

void EngineCore::freed(SwarmState& s) {
  s.picker.changed();
  if (std::exchange(s.freed, true)) return;
  freed_swarms.push_back(&s);
}

void EngineCore::chunks_gained(SwarmState& s, ChunkRange range, const Channel* from) {
  s.gained(range);
  for_each_channel(s, [&](Channel& c) {
    std::erase_if(c.waiting, [&](ChunkRange run) {
      if (!s.config.held.test(run)) return false;
      if (c.requested.add(run)) c.serve_queue.push_back(run);
      return true;
    });
    // ACK tells the one it came from. Who has it need not know, if it was the partner who said that it has it.
    if (&c == from || (c.association->secured() && c.source.has.contains(range))) return;
    c.has(range);
  });
  if (s.config.held.full() && !s.completion_told) {
    s.completion_told = true;
    emit(EventKind::swarm_complete, 0, s.id());
  }
}

}  // namespace sealcast::swarm
