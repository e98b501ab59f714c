// Datagrams in: SRTP, feedback, handshakes, messages, pieces.
#include <algorithm>
#include <utility>

#include "rtp/packet.hpp"
#include "swarm/engine_impl.hpp"

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;
namespace bin = content::bin;

void Engine::input(Instant now, ReceivedBatch batch) {
  auto& e = *impl_;
  std::array<rtp::PacketSlot, k_batch_segments> slots;
  std::size_t waiting = 0;
  Association* current = nullptr;
  auto flush = [&] {
    if (current && waiting > 0) e.receive_rtp(now, *current, std::span(slots).first(waiting));
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
    if (kind == rtp::PacketKind::rtcp)
      e.receive_rtcp(now, *current, slot);
    else
      slots[waiting++] = slot;
  }
  flush();
}

void Engine::Impl::receive_rtp(Instant now, Association& a, std::span<rtp::PacketSlot> packets) {
  if (a.receiver) a.receiver->unprotect(packets);
  for (auto& packet : packets) {
    if (a.receiver && !packet.ok) continue;
    auto header = rtp::parse_header({packet.data, packet.size});
    if (!header || header->payload_type != a.config.payload_type || header->ssrc != a.config.remote_ssrc) continue;
    auto payload = ByteView(packet.data, packet.size).subspan(rtp::k_rtp_header);
    ranges.work.count();
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
    a.largest_received = std::max(a.largest_received, payload.size());
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
  std::vector<SentPacket> lost;
  a.congestion.feedback(now, *feedback, a.first_sequence, lost);
  make_good(a, lost);
}

void Engine::Impl::datagram(Instant now, Association& a, ByteView payload) {
  Reader reader(payload);
  auto channel = reader.u32();
  if (!reader.ok()) return;
  ppspp::Decoder decoder(reader.rest());
  if (channel == 0) return first_datagram(now, a, decoder);
  auto* c = a.find(channel);
  if (!c) return;
  if (c->stage == ChannelStage::half_open) channel_opened(now, a, *c);
  std::array<content::NodeHash, 32> hashes;
  std::size_t count = 0;
  c->news = false;
  // What overtook the farewell, or was overtaken by it, does not speak against it.
  if (c->closing && now >= *c->closing - k_close_doubt + k_reordering) c->closing.reset();
  bool choked = c->choked_by_partner;
  while (auto m = decoder.next()) {
    ranges.work.count();
    if (m->type == ppspp::MessageType::integrity) {
      if (count == hashes.size()) continue;  // none of ours holds more
      hashes[count++] = {*ppspp::node_of(m->range), m->hash};
      continue;
    }
    if (count > 0) {
      on_integrity(now, a, *c, std::span(hashes).first(count));
      count = 0;
      if (c = a.find(channel); !c) return;
    }
    if (m->type == ppspp::MessageType::handshake) {
      if (m->handshake.source == 0) return on_closing(now, a, *c);
      handshake_answer(now, a, *c, m->handshake);
      continue;
    }
    if (c->stage != ChannelStage::open) return;
    if (m->type == ppspp::MessageType::choke || m->type == ppspp::MessageType::unchoke)
      choked = m->type == ppspp::MessageType::choke;  // the last word counts: each of them would cost a search
    else
      message(now, a, *c, *m);
    c = a.find(channel);  // a bad piece may have closed it
    if (!c) return;
  }
  if (count > 0) on_integrity(now, a, *c, std::span(hashes).first(count));
  if (c = a.find(channel); c && choked != c->choked_by_partner) on_choke(now, a, *c, choked);
  // What is new is looked at once for the whole datagram: a search costs, and a datagram holds many messages.
  if (c && c->news) fetch(now, a, *c, k_datagram_steps + payload.size());
}

// A partner wants a channel. Unknown, not admitted or too weakly protected swarms get no answer at all.
void Engine::Impl::first_datagram(Instant now, Association& a, ppspp::Decoder& decoder) {
  auto m = decoder.next();
  if (!m || m->type != ppspp::MessageType::handshake || m->handshake.source == 0 || !m->handshake.swarm) return;
  auto& h = m->handshake;
  auto* s = find(*h.swarm);
  if (!s || !a.admitted.contains(*h.swarm) || (s->config.secured_only && !a.secured()) ||
      h.chunk_size != s->geometry().chunk_size() ||
      ppspp::k_channel_octets + ppspp::k_data_overhead + h.chunk_size > a.config.max_datagram)
    return;
  // One channel for a swarm: more would only cost memory. The same source again means that our answer was lost. Where
  // anybody may have sent the datagram, another source gets a chance of its own: the one that completes the handshake
  // has the channel.
  std::size_t half_open = 0, of_swarm = 0;
  for (auto& c : a.channels) {
    ranges.work.count();
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
  if (of_swarm >= (a.secured() ? 1 : k_plain_channels) || half_open >= options.max_half_open ||
      channels >= options.max_channels || a.channels.size() >= 1024)
    return;
  // What an opened channel is told of our bitmap is paid here: who opens and closes without end waits.
  auto cost = std::min<std::uint64_t>(64 + s->geometry().chunks() / 4096, 4096);
  if (a.allowance.available(now) < cost) return;
  a.allowance.spend(cost);
  ranges.work.count(cost);
  auto& c = make_channel(now, a, *s, false);
  c.remote = h.source;
  c.stage = ChannelStage::half_open;
}

void Engine::Impl::handshake_answer(Instant now, Association& a, Channel& c, const ppspp::Handshake& h) {
  if (c.initiator && c.stage == ChannelStage::open && h.source == c.remote)
    return queue_control(c, {});  // our third datagram was lost
  if (!c.initiator || c.stage != ChannelStage::opening || h.chunk_size != c.swarm->geometry().chunk_size()) return;
  c.remote = h.source;
  channel_opened(now, a, c);
}

void Engine::Impl::channel_opened(Instant now, Association& a, Channel& c) {
  c.stage = ChannelStage::open;
  c.last_progress = now;
  // Others that were half open for this swarm were somebody else's.
  for (auto& other : a.channels)
    if (other->swarm == c.swarm && other->stage == ChannelStage::half_open) other->opened = now - k_handshake_patience;
  c.have_queue = c.swarm->config.held.ranges();
  if (c.initiator && c.have_queue.empty()) queue_control(c, {});  // the third datagram, if only as keep-alive
  emit(EventKind::channel_open, a.id, c.swarm->id());
}

void Engine::Impl::message(Instant now, Association& a, Channel& c, const ppspp::Message& m) {
  using ppspp::MessageType;
  switch (m.type) {
    case MessageType::have:
      on_have(now, a, c, m.range);
      break;
    case MessageType::ack:
      on_ack(now, a, c, m.range);
      break;
    case MessageType::request:
      on_request(now, c, m.range);
      break;
    case MessageType::cancel:
      on_cancel(c, m.range);
      break;
    case MessageType::keyinfo:
      on_keyinfo(now, a, c, m.data);
      break;
    case MessageType::data:
      on_data(now, a, c, m);
      break;
    default:
      break;
  }
}

void Engine::Impl::on_have(Instant now, Association& a, Channel& c, ChunkRange range) {
  if (range.last >= c.swarm->geometry().chunks()) return;
  if (!c.has.add(range)) {
    // Full of small intervals: those that we hold ourselves are of no use any more.
    if (!c.has.full() || now - c.pruned < k_prune_pause || c.has.contains(range)) return;
    c.pruned = now;
    c.has.prune([&](ChunkRange each) { return c.swarm->config.held.test(each); });
    if (!c.has.add(range)) return;
  }
  c.news = true;
  c.nothing_found.reset();
  if (c.fetching.empty()) c.cursor = range.first / 32;
  if (!c.bitmap_seen) {
    c.bitmap_seen = true;
    emit(EventKind::bitmap, a.id, c.swarm->id());
  }
}

// What the partner verified it has. Only of what we sent does it count as known to it: hashes are left out for that.
void Engine::Impl::on_ack(Instant now, Association& a, Channel& c, ChunkRange range) {
  if (range.last >= c.swarm->geometry().chunks()) return;
  std::array<ChunkRange, 8> parts;
  std::size_t count = 0;
  c.sent.each_in(range, [&](ChunkRange part) {
    if (count < parts.size()) parts[count++] = part;
  });
  for (auto part : std::span(parts).first(count)) c.acknowledged.add(part);
  on_have(now, a, c, range);
}

// A choke of a secured partner ends what was asked for. On a plain association anybody could have said it: what is
// under way is waited for, and when it comes the word is not believed (on_data).
void Engine::Impl::on_choke(Instant now, Association& a, Channel& c, bool choked) {
  c.choked_by_partner = choked;
  if (!choked) {
    c.news = true;
    return;
  }
  c.choked = now;
  if (a.secured()) {
    release_all(c);
    c.useless_since.reset();
    ++c.swarm->revision;
  }
}

// Where anybody could have said it, a farewell is believed when nothing else follows.
void Engine::Impl::on_closing(Instant now, Association& a, Channel& c) {
  if (a.secured()) return close_channel(a, c, "closed by the partner", false);
  if (c.stage == ChannelStage::open && !c.closing) c.closing = now + k_close_doubt;
}

// Kept as it was said, piece by piece when it is served: a range may be long, and little of it here.
void Engine::Impl::on_request(Instant now, Channel& c, ChunkRange range) {
  auto last = c.swarm->geometry().chunks() - 1;
  if (range.first > last) return;
  range.last = std::min(range.last, last);
  if (c.requested.contains(range) || (c.piece_active && c.piece_range == range)) return;
  if (c.serve_queue.size() >= k_max_serve_queue && now - c.compacted >= 100ms) {
    c.compacted = now;
    ranges.work.count(c.serve_queue.size());
    std::erase_if(c.serve_queue, [&](ChunkRange each) { return !c.requested.overlaps(each); });
  }
  if (c.serve_queue.size() >= k_max_serve_queue || !c.requested.add(range)) return;
  c.serve_queue.push_back(range);
}

void Engine::Impl::on_cancel(Channel& c, ChunkRange range) {
  auto covered = [&](ChunkRange piece) { return piece.first >= range.first && piece.last <= range.last; };
  c.requested.remove(range);
  for (auto at = c.resend.lower_bound(range.first); at != c.resend.end() && *at <= range.last;) {
    ranges.work.count();
    at = c.resend.erase(at);
  }
  if (c.piece_active && covered(c.piece_range)) c.piece_active = false;
}

// Not verified here. On a plain association anybody may send texts: they are handed on at a bounded rate, and none of
// them takes the place of another for good.
void Engine::Impl::on_keyinfo(Instant now, Association& a, Channel& c, ByteView text) {
  constexpr std::size_t k_remembered = 8;
  ranges.work.count(text.size() / 32);
  auto digest = crypto::sha256(text);
  if (std::find(c.keyinfo_seen.begin(), c.keyinfo_seen.end(), digest) != c.keyinfo_seen.end()) return;
  if (!a.keyinfos.allows(now)) return;
  a.keyinfos.take(1);
  if (c.keyinfo_seen.size() >= k_remembered) c.keyinfo_seen.pop_front();
  c.keyinfo_seen.push_back(digest);
  emit(EventKind::keyinfo, a.id, c.swarm->id(), {}, string_of(text));
}

// Does the hash of `node` help to prove a piece under way? It does beside the way from a piece to the root: the pieces
// of its sibling's subtree lie beside each other.
bool Engine::Impl::helps(const Channel& c, Bin node) const {
  auto& tree = c.swarm->tree;
  if (!tree.in_tree(node) || node == tree.root_bin() || tree.known(node)) return false;
  auto sibling = bin::sibling(node);
  auto at = c.fetching.lower_bound(sibling - (bin::width(sibling) - 1));
  return at != c.fetching.end() && at->first <= sibling + (bin::width(sibling) - 1);
}

// Hashes are kept only while they help pieces that we asked for, unverified; one for each node, the newest.
void Engine::Impl::on_integrity(Instant now, Association& a, Channel& c, std::span<const content::NodeHash> nodes) {
  bool woken = false;
  for (auto& node : nodes) {
    ranges.work.count(8);
    if (!helps(c, node.bin)) continue;
    if (!c.offered.insert_or_assign(node.bin, node.hash).second) continue;
    ranges.work.count(c.fetching.size() / 8);
    for (auto& [piece_bin, piece] : c.fetching)
      if (piece.waits_for == node.bin) {
        piece.waits_for.reset();
        woken = true;
      }
  }
  // At most 33 for each piece help; what is beyond is left over from pieces that are gone.
  if (c.offered.size() > 64 + 40 * c.fetching.size()) {
    ranges.work.count(c.offered.size());
    std::erase_if(c.offered, [&](auto& each) { return !helps(c, each.first); });
  }
  woken = woken || std::any_of(c.fetching.begin(), c.fetching.end(),
                               [](auto& each) { return each.second.complete() && !each.second.waits_for; });
  if (woken) settle(now, a, c.local);
}

// The hashes that a check of `piece` needs and the tree does not know. False: one is missing, and the piece waits for
// it.
bool Engine::Impl::proof(Channel& c, PieceFetch& piece, std::vector<content::NodeHash>& out) {
  out.clear();
  auto& tree = c.swarm->tree;
  for (auto at = piece.bin; !tree.known(at); at = bin::parent(at)) {
    ranges.work.count(4);
    auto sibling = bin::sibling(at);
    if (tree.known(sibling)) continue;
    auto found = c.offered.find(sibling);
    if (found == c.offered.end()) {
      piece.waits_for = sibling;
      return false;
    }
    out.push_back({sibling, found->second});
  }
  piece.waits_for.reset();
  return true;
}

// Takes what is complete and can be checked: its hashes may come behind its chunks, or with another piece.
void Engine::Impl::settle(Instant now, Association& a, ppspp::ChannelId channel) {
  std::vector<content::NodeHash> hashes;
  for (;;) {
    auto* c = a.find(channel);  // a bad piece may close it
    if (!c) return;
    ranges.work.count(c->fetching.size() / 8 + 1);
    auto ready = std::find_if(c->fetching.begin(), c->fetching.end(), [&](auto& each) {
      return each.second.complete() && !each.second.waits_for && proof(*c, each.second, hashes);
    });
    if (ready == c->fetching.end()) return;
    piece_complete(now, a, *c, ready->first, hashes);
  }
}

void Engine::Impl::on_data(Instant now, Association& a, Channel& c, const ppspp::Message& m) {
  auto chunk = m.range.first;
  auto& s = *c.swarm;
  if (chunk >= s.geometry().chunks() || m.data.size() != s.geometry().size_of(chunk)) return;
  auto at = c.fetching.end();
  for (int layer = 0; layer <= k_run_layer && at == c.fetching.end(); ++layer)
    at = c.fetching.find(bin::at(layer, chunk >> layer));
  if (at == c.fetching.end()) return;  // not asked for, cancelled, or a duplicate
  auto& piece = at->second;
  auto bit = std::uint32_t{1} << (chunk - piece.range.first);
  if ((piece.received & bit) != 0) return;
  c.last_progress = now;
  c.useless_since = now;
  c.stalled = false;
  if (c.choked_by_partner) c.choked_by_partner = false, c.news = true;
  if (piece.data.empty()) piece.data.resize(s.geometry().size_of(piece.range));
  piece.received |= bit;
  std::copy(m.data.begin(), m.data.end(),
            piece.data.begin() +
                static_cast<std::ptrdiff_t>(s.geometry().offset_of(chunk) - s.geometry().offset_of(piece.range.first)));
  if (piece.complete()) settle(now, a, c.local);
}

void Engine::Impl::piece_complete(Instant now, Association& a, Channel& c, Bin bin_of_piece,
                                  std::span<const content::NodeHash> hashes) {
  auto& s = *c.swarm;
  auto piece = std::move(c.fetching.at(bin_of_piece));
  release(c, bin_of_piece);
  if (c.fetching.empty()) c.useless_since.reset();
  deny_overtaken(now, c, piece.order);
  if (s.config.held.test(piece.range)) return fetch_after_arrival(now, a, c);  // endgame: another was faster
  auto taken = s.take_piece(bin_of_piece, piece.data, hashes);
  if (!taken) return piece_bad(now, a, c, piece);
  if (!*taken) {
    s.config.appetite = Appetite::none;
    return emit(EventKind::storage_failed, a.id, s.id(), piece.range, {}, taken->error());
  }
  s.last_verified = now;
  c.bad_in_row = c.rests = 0;
  a.allowance.earn(64 + piece.range.size() * 8);
  a.content_received += piece.data.size();
  (a.config.partner == PartnerKind::cache ? s.traffic.received_from_caches : s.traffic.received_from_ues) +=
      piece.data.size();
  c.fetch_window = std::min(c.fetch_window + 1, k_max_fetch_window);
  std::array<std::uint8_t, ppspp::k_ack_message> room;
  Writer w(room);
  ppspp::write_ack(w, piece.range, 0);
  queue_control(c, bytes_of(w.written()));
  // The tree knows more now: what waits on any channel may be provable.
  for_each_channel(s, [&](Association&, Channel& other) {
    for (auto& [other_bin, waiting] : other.fetching) waiting.waits_for.reset();
    if (&other == &c || !other.fetching.contains(bin_of_piece)) return;
    release(other, bin_of_piece);
    if (other.fetching.empty()) other.useless_since.reset();
    queue_range(other, ppspp::MessageType::cancel, piece.range);
  });
  emit(EventKind::chunks_verified, a.id, s.id(), piece.range);
  chunks_gained(s, piece.range, &c);
  fetch_after_arrival(now, a, c);
}

// Blame is certain only where datagrams are authenticated; elsewhere anybody could have sent them, and the piece is
// just asked for again.
void Engine::Impl::piece_bad(Instant now, Association& a, Channel& c, const PieceFetch& piece) {
  auto& s = *c.swarm;
  ++a.integrity_failures;
  ++c.bad_pieces;
  ++c.bad_in_row;
  s.by_chunk[piece.range.first / 32] = 1;
  ++s.revision;
  emit(EventKind::integrity_failure, a.id, s.id(), piece.range);
  if (a.secured() && c.bad_pieces >= k_max_bad_pieces) {
    emit(EventKind::lied, a.id, s.id(), piece.range);
    return close_channel(a, c, "sent octets that do not verify", true);
  }
  if (a.secured()) return;
  c.fetch_window = std::max<std::size_t>(1, c.fetch_window / 2);
  if (c.bad_in_row >= k_max_bad_in_row) give_up(now, a, c, "nothing that comes from it verifies");
}

}  // namespace sealcast::swarm
