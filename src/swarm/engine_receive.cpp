// Datagrams in: SRTP, feedback, handshakes, messages.
#include <algorithm>
#include <utility>

#include "rtp/packet.hpp"
#include "swarm/engine_impl.hpp"

namespace sealcast::swarm {

namespace {

constexpr Duration k_reordering = 200ms;
constexpr std::uint64_t k_datagram_steps = 64;  // of search that any datagram may cost beyond its octets

}  // namespace

void Engine::input(Instant now, ReceivedBatch batch) {
  auto& e = impl_->core;
  std::array<rtp::PacketSlot, k_batch_segments> slots;
  std::size_t waiting = 0;
  Association* current = nullptr;
  auto flush = [&] {
    if (current && waiting > 0) impl_->receive_rtp(now, *current, std::span(slots).first(waiting));
    waiting = 0;
  };
  for (std::size_t at = 0; at < batch.data.size();) {
    auto size = std::min(batch.segment == 0 ? batch.data.size() : batch.segment, batch.data.size() - at);
    auto packet = batch.data.subspan(at, size);
    at += size;
    auto kind = rtp::classify(packet);
    if (kind == rtp::PacketKind::other) continue;
    auto found = e.by_key.find({batch.from, rtp::sender_ssrc(packet, kind)});
    if (found == e.by_key.end() || found->second->leaving) continue;  // who has left opens no channel any more
    rtp::PacketSlot slot{packet.data(), static_cast<std::uint32_t>(packet.size()),
                         static_cast<std::uint32_t>(packet.size()), false};
    if (found->second != current || waiting == slots.size()) flush();
    current = found->second;
    e.agenda.touch(*current);
    if (kind == rtp::PacketKind::rtcp)
      impl_->receive_rtcp(now, *current, slot);
    else
      slots[waiting++] = slot;
  }
  flush();
  e.sweep();
}

void Engine::Impl::receive_rtp(Instant now, Association& a, std::span<rtp::PacketSlot> packets) {
  if (a.receiver) a.receiver->unprotect(packets);
  for (auto& packet : packets) {
    if (a.receiver && !packet.ok) continue;
    auto header = rtp::parse_header({packet.data, packet.size});
    if (!header || header->payload_type != a.config.payload_type || header->ssrc != a.config.remote_ssrc) continue;
    auto payload = ByteView(packet.data, packet.size).subspan(rtp::k_rtp_header);
    core.ranges.work.count();
    switch (a.arrivals.record(now, header->sequence, a.secured())) {
      case Arrival::implausible:
        continue;
      case Arrival::again:
        // On a plain association somebody else may have used the number: what the partner sends must not be lost, and
        // messages do no harm when they come twice.
        if (a.secured()) continue;
        break;
      case Arrival::taken:
        break;
    }
    a.last_received = now;
    if (payload.size() >= a.largest_received) {
      a.largest_received = payload.size();
      a.largest_at = now;
    }
    datagram(now, a, payload);
  }
}

void Engine::Impl::receive_rtcp(Instant now, Association& a, rtp::PacketSlot& slot) {
  if (a.receiver) {
    a.receiver->unprotect_rtcp(slot);
    if (!slot.ok) return;
  }
  auto feedback = rtp::parse_feedback({slot.data, slot.size});
  if (!feedback || feedback->media_ssrc != a.config.local_ssrc) return;
  a.last_received = now;
  Losses losses;
  a.congestion.feedback(now, *feedback, a.first_sequence, losses);
  server.make_good(a, losses);
  if (a.congestion.swallows_large()) core.path_is_small(a, a.congestion.largest(), a.fragments);
  a.in_flight.set(a.congestion.octets());
}

void Engine::Impl::datagram(Instant now, Association& a, ByteView payload) {
  Reader reader(payload);
  auto channel = reader.u32();
  if (!reader.ok()) return;
  ppspp::Decoder decoder(reader.rest());
  if (channel == 0) return first_datagram(now, a, decoder);
  auto* c = a.find(channel);
  if (!c) return;
  if (c->stage == ChannelStage::half_open) channel_opened(now, *c);
  c->news = false;
  // What overtook the farewell, or was overtaken by it, does not speak against it.
  if (c->closing && now >= *c->closing - k_close_doubt + k_reordering) c->closing.reset();
  messages(now, *c, decoder);
  // What is new is looked at once for the whole datagram: a search costs, and a datagram holds many messages.
  if (c->open() && c->news) fetcher.fetch(now, *c, k_datagram_steps + payload.size());
}

void Engine::Impl::messages(Instant now, Channel& c, ppspp::Decoder& decoder) {
  std::array<content::NodeHash, 32> hashes;
  std::size_t count = 0;
  auto take_hashes = [&] {
    if (count > 0) fetcher.on_integrity(now, c, std::span(hashes).first(std::exchange(count, 0)));
  };
  bool choked = c.choked_by_partner;
  while (auto m = decoder.next()) {
    core.ranges.work.count();
    if (m->type == ppspp::MessageType::integrity) {
      if (count == hashes.size()) continue;  // none of ours holds more
      hashes[count++] = {*ppspp::node_of(m->range), m->hash};
      continue;
    }
    take_hashes();
    if (c.closed()) return;  // a bad run may have closed it
    if (m->type == ppspp::MessageType::handshake) {
      if (m->handshake.source == 0) return on_closing(now, c);
      handshake_answer(now, c, m->handshake);
      continue;
    }
    if (!c.open()) return;
    if (m->type == ppspp::MessageType::choke || m->type == ppspp::MessageType::unchoke)
      choked = m->type == ppspp::MessageType::choke;  // the last word counts: each of them would cost a search
    else
      message(now, c, *m);
  }
  take_hashes();
  if (!c.closed() && choked != c.choked_by_partner) fetcher.on_choke(now, c, choked);
}

bool Engine::Impl::admits(const Association& a, const SwarmState& s, const ppspp::Handshake& h) const {
  return a.admitted.contains(s.id()) && (!s.config.secured_only || a.secured()) &&
         h.chunk_size == s.geometry().chunk_size() &&
         ppspp::k_channel_octets + ppspp::k_data_overhead + h.chunk_size <= a.config.max_datagram;
}

// A partner wants a channel. Unknown, not admitted or too weakly protected swarms get no answer at all.
void Engine::Impl::first_datagram(Instant now, Association& a, ppspp::Decoder& decoder) {
  auto m = decoder.next();
  if (!m || m->type != ppspp::MessageType::handshake || m->handshake.source == 0 || !m->handshake.swarm) return;
  auto& h = m->handshake;
  auto* s = core.find(*h.swarm);
  if (!s || !admits(a, *s, h)) return;
  // One channel for a swarm: more would only cost memory. The same source again means that our answer was lost. Where
  // anybody may have sent the datagram, another source gets a chance of its own: the one that completes the handshake
  // has the channel.
  std::size_t half_open = 0, of_swarm = 0;
  for (auto& c : a.channels) {
    core.ranges.work.count();
    if (c->closed()) continue;
    if (c->stage == ChannelStage::half_open) ++half_open;
    if (c->initiator || c->swarm != s) continue;
    if (c->remote == h.source && c->stage == ChannelStage::half_open) {
      c->next_handshake = now;
      c->handshakes = 0;
      return;
    }
    ++of_swarm;
  }
  constexpr std::size_t k_plain_channels = 4;
  if (of_swarm >= (a.secured() ? 1 : k_plain_channels) || half_open >= core.options.max_half_open ||
      core.channels >= core.options.max_channels || a.channels.size() >= 1024 || !core.memory.room_for_channel())
    return;
  // What an opened channel is told of our bitmap is paid here: who opens and closes without end waits.
  auto cost = std::min<std::uint64_t>(64 + s->geometry().chunks() / 4096, 4096);
  if (a.allowance.available(now) < cost) return;
  a.allowance.spend(cost);
  core.ranges.work.count(cost);
  auto& c = core.make_channel(now, a, *s, false);
  c.remote = h.source;
  c.stage = ChannelStage::half_open;
}

void Engine::Impl::handshake_answer(Instant now, Channel& c, const ppspp::Handshake& h) {
  if (c.initiator && c.open() && h.source == c.remote) return c.queue({});  // our third datagram was lost
  if (!c.initiator || c.stage != ChannelStage::opening || h.chunk_size != c.swarm->geometry().chunk_size()) return;
  c.remote = h.source;
  channel_opened(now, c);
}

void Engine::Impl::channel_opened(Instant now, Channel& c) {
  c.stage = ChannelStage::open;
  c.last_progress = now;
  // Others that were half open for this swarm were somebody else's.
  for (auto& other : c.association->channels)
    if (other->swarm == c.swarm && other->stage == ChannelStage::half_open) other->opened = now - k_handshake_patience;
  bool holds = !c.swarm->config.held.empty();
  if (holds) c.have_from = 0;
  if (c.initiator && !holds) c.queue({});  // the third datagram, if only as keep-alive
  core.emit(EventKind::channel_open, c.association->id, c.swarm->id());
}

void Engine::Impl::message(Instant now, Channel& c, const ppspp::Message& m) {
  using ppspp::MessageType;
  switch (m.type) {
    case MessageType::have:
      return fetcher.on_have(now, c, m.range);
    case MessageType::ack:
      server.on_ack(c, m.range);
      return fetcher.on_have(now, c, m.range);
    case MessageType::request:
      return server.on_request(now, c, m.range);
    case MessageType::cancel:
      return server.on_cancel(c, m.range);
    case MessageType::keyinfo:
      return on_keyinfo(now, c, m.data);
    case MessageType::data:
      return fetcher.on_data(now, c, m);
    default:
      return;
  }
}

// Where anybody could have said it, a farewell is believed when nothing else follows.
void Engine::Impl::on_closing(Instant now, Channel& c) {
  if (c.association->secured()) return core.close_channel(c, "closed by the partner", false);
  if (c.open() && !c.closing) c.closing = now + k_close_doubt;
}

// Not verified here. On a plain association anybody may send texts: they are handed on at a bounded rate, and none of
// them takes the place of another for good.
void Engine::Impl::on_keyinfo(Instant now, Channel& c, ByteView text) {
  constexpr std::size_t k_remembered = 8;
  auto& a = *c.association;
  core.ranges.work.count(text.size() / 32);
  auto digest = crypto::sha256(text);
  if (std::find(c.keyinfo_seen.begin(), c.keyinfo_seen.end(), digest) != c.keyinfo_seen.end()) return;
  if (!a.keyinfos.allows(now)) return;
  a.keyinfos.take(1);
  if (c.keyinfo_seen.size() >= k_remembered) c.keyinfo_seen.pop_front();
  c.keyinfo_seen.push_back(digest);
  core.emit(EventKind::keyinfo, a.id, c.swarm->id(), {}, string_of(text));
}

}  // namespace sealcast::swarm
