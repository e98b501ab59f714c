// Datagrams in: SRTP, feedback, handshakes, messages, pieces.
#include <algorithm>

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
    a.last_received = now;
    if (!a.arrivals.record(now, header->sequence)) continue;
    datagram(now, a, ByteView(packet.data, packet.size).subspan(rtp::k_rtp_header));
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
  c->looks = 0;
  while (auto m = decoder.next()) {
    if (m->type == ppspp::MessageType::integrity) {
      if (count < hashes.size()) hashes[count++] = {*ppspp::node_of(m->range), m->hash};
      continue;
    }
    if (count > 0) {
      on_integrity(now, a, *c, std::span(hashes).first(count));
      count = 0;
      if (c = a.find(channel); !c) return;
    }
    if (m->type == ppspp::MessageType::handshake) {
      if (m->handshake.source == 0) return close_channel(a, *c, "closed by the partner", false);
      handshake_answer(now, a, *c, m->handshake);
      continue;
    }
    if (c->stage != ChannelStage::open) return;
    message(now, a, *c, *m);
    c = a.find(channel);  // a bad piece may have closed it
    if (!c) return;
  }
  if (count > 0) on_integrity(now, a, *c, std::span(hashes).first(count));
  // What is new is looked at once for the whole datagram: a search costs, and a datagram holds thousands of HAVE.
  if (c = a.find(channel); c && c->news) fetch(now, a, *c);
}

// A partner wants a channel. Unknown, not admitted or too weakly protected swarms get no answer at all.
void Engine::Impl::first_datagram(Instant now, Association& a, ppspp::Decoder& decoder) {
  auto m = decoder.next();
  if (!m || m->type != ppspp::MessageType::handshake || m->handshake.source == 0 || !m->handshake.swarm) return;
  auto& h = m->handshake;
  auto* s = find(*h.swarm);
  if (!s || !a.admitted.contains(*h.swarm) || (s->config.secured_only && !a.secured()) ||
      h.chunk_size != s->geometry().chunk_size())
    return;
  // One channel for a swarm: more would only cost memory. The same source again means that our answer was lost.
  for (auto& c : a.channels)
    if (!c->initiator && c->swarm == s) {
      if (c->remote != h.source) return;
      c->next_handshake = now;
      c->handshakes = 0;
      return;
    }
  auto half_open =
      std::count_if(a.channels.begin(), a.channels.end(), [](auto& c) { return c->stage == ChannelStage::half_open; });
  if (static_cast<std::size_t>(half_open) >= options.max_half_open || channels >= options.max_channels ||
      a.channels.size() >= 1024)
    return;
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
  c.have_queue = c.swarm->config.held.ranges();
  if (c.initiator && c.have_queue.empty()) queue_control(c, {});  // the third datagram, if only as keep-alive
  emit(EventKind::channel_open, a.id, c.swarm->id());
}

void Engine::Impl::message(Instant now, Association& a, Channel& c, const ppspp::Message& m) {
  using ppspp::MessageType;
  switch (m.type) {
    case MessageType::have:
    case MessageType::ack:
      on_have(c, m.range, a);
      break;
    case MessageType::request:
      on_request(a, c, m.range);
      break;
    case MessageType::cancel:
      on_cancel(c, m.range);
      break;
    case MessageType::choke:
      c.choked_by_partner = true;
      release_all(c);
      break;
    case MessageType::unchoke:
      c.choked_by_partner = false;
      fetch(now, a, c);
      break;
    case MessageType::keyinfo:
      on_keyinfo(a, c, m.data);
      break;
    case MessageType::data:
      on_data(now, a, c, m);
      break;
    default:
      break;
  }
}

void Engine::Impl::on_have(Channel& c, ChunkRange range, Association& a) {
  if (range.last >= c.has.size() || ++c.have_messages > k_max_have_messages) return;
  if (c.has.test(range)) return;
  c.has.set(range);
  c.news = true;
  if (c.fetching.empty()) c.cursor = range.first / 32;
  if (!c.bitmap_seen) {
    c.bitmap_seen = true;
    emit(EventKind::bitmap, a.id, c.swarm->id());
  }
}

// Only pieces of the profile are served: aligned runs of 2^k chunks, k <= 5, that we hold. One message costs so many
// looks at most, however long its range and however little of it is here.
void Engine::Impl::on_request(Association&, Channel& c, ChunkRange range) {
  auto& s = *c.swarm;
  constexpr int k_most_looks = 1024;  // for one datagram
  for (; c.looks < k_most_looks && c.serve_queue.size() < k_max_serve_queue; ++c.looks) {
    ChunkRange piece = range;
    if (!s.piece_of(piece)) {
      auto run = s.run_range(std::min(range.first, s.geometry().chunks() - 1) / 32);
      piece = run.first == range.first && run.last <= range.last ? run : ChunkRange{range.first, range.first};
    }
    if (!s.piece_of(piece)) return;
    bool held = s.config.held.test(piece);
    bool queued = held && (std::find(c.serve_queue.begin(), c.serve_queue.end(), piece) != c.serve_queue.end() ||
                           (c.piece_active && c.piece_range == piece));
    if (held && !queued) c.serve_queue.push_back(piece);
    if (piece.last >= range.last) return;
    range.first = piece.last + 1;
  }
}

void Engine::Impl::on_cancel(Channel& c, ChunkRange range) {
  auto covered = [&](ChunkRange piece) { return piece.first >= range.first && piece.last <= range.last; };
  std::erase_if(c.serve_queue, covered);
  std::erase_if(c.resend, [&](std::uint32_t chunk) { return covered({chunk, chunk}); });
  if (c.piece_active && covered(c.piece_range)) c.piece_active = false;
}

void Engine::Impl::on_keyinfo(Association& a, Channel& c, ByteView text) {
  auto keyinfo = string_of(text);
  if (c.keyinfo_seen.size() >= 8 || !c.keyinfo_seen.insert(keyinfo).second) return;
  emit(EventKind::keyinfo, a.id, c.swarm->id(), {}, std::move(keyinfo));
}

// Hashes are kept only beside pieces that we asked for, unverified, and go with them; one for each node, the newest.
void Engine::Impl::on_integrity(Instant now, Association& a, Channel& c, std::span<const content::NodeHash> nodes) {
  for (auto& [bin_of_piece, piece] : c.fetching)
    for (auto& node : nodes) {
      auto covers = [&](Bin b) {
        return bin::first_chunk(b) <= piece.range.first && bin::first_chunk(b) + bin::width(b) > piece.range.first;
      };
      bool helps = node.bin == bin_of_piece || (bin::layer(node.bin) >= bin::layer(bin_of_piece) &&
                                                covers(bin::parent(node.bin)) && !covers(node.bin));
      if (!helps || c.swarm->tree.known(node.bin)) continue;
      auto same =
          std::find_if(piece.hashes.begin(), piece.hashes.end(), [&](auto& known) { return known.bin == node.bin; });
      if (same != piece.hashes.end())
        same->hash = node.hash;
      else
        piece.hashes.push_back(node);  // at most one for each layer of the tree, and the piece's own
    }
  settle(now, a, c.local);
}

// Takes what is complete and can be checked: its hashes may come behind its chunks, or with another piece.
void Engine::Impl::settle(Instant now, Association& a, ppspp::ChannelId channel) {
  for (;;) {
    auto* c = a.find(channel);  // a bad piece may close it
    if (!c) return;
    auto ready = std::find_if(c->fetching.begin(), c->fetching.end(), [&](auto& each) {
      return each.second.complete() && c->swarm->tree.provable(each.first, each.second.hashes);
    });
    if (ready == c->fetching.end()) return;
    piece_complete(now, a, *c, ready->first);
  }
}

void Engine::Impl::on_data(Instant now, Association& a, Channel& c, const ppspp::Message& m) {
  auto chunk = m.range.first;
  auto& s = *c.swarm;
  if (chunk >= s.geometry().chunks() || m.data.size() != s.geometry().size_of(chunk)) return;
  auto at = std::find_if(c.fetching.begin(), c.fetching.end(),
                         [&](auto& f) { return f.second.range.first <= chunk && chunk <= f.second.range.last; });
  if (at == c.fetching.end()) return;  // not asked for, cancelled, or a duplicate
  auto& piece = at->second;
  c.last_progress = now;
  c.stalled = false;
  if (piece.data.empty()) piece.data.resize(s.geometry().size_of(piece.range));
  auto bit = std::uint32_t{1} << (chunk - piece.range.first);
  if ((piece.received & bit) != 0) return;
  piece.received |= bit;
  std::copy(m.data.begin(), m.data.end(),
            piece.data.begin() +
                static_cast<std::ptrdiff_t>(s.geometry().offset_of(chunk) - s.geometry().offset_of(piece.range.first)));
  if (piece.complete()) settle(now, a, c.local);
}

void Engine::Impl::piece_complete(Instant now, Association& a, Channel& c, Bin bin_of_piece) {
  auto& s = *c.swarm;
  auto piece = std::move(c.fetching.at(bin_of_piece));
  release(c, bin_of_piece);
  if (s.config.held.test(piece.range)) return fetch_after_arrival(now, a, c);  // endgame: another was faster
  auto taken = s.take_piece(bin_of_piece, piece.data, piece.hashes);
  if (!taken) return piece_bad(a, c, bin_of_piece, piece.range);
  if (!*taken) {
    s.config.appetite = Appetite::none;
    return emit(EventKind::storage_failed, a.id, s.id(), piece.range, {}, taken->error());
  }
  a.content_received += piece.data.size();
  (a.config.partner == PartnerKind::cache ? s.traffic.received_from_caches : s.traffic.received_from_ues) +=
      piece.data.size();
  c.fetch_window = std::min(c.fetch_window + 1, k_max_fetch_window);
  std::array<std::uint8_t, ppspp::k_ack_message> room;
  Writer w(room);
  ppspp::write_ack(w, piece.range, 0);
  queue_control(c, bytes_of(w.written()));
  for_each_channel(s, [&](Association&, Channel& other) {
    if (&other == &c || !other.fetching.contains(bin_of_piece)) return;
    release(other, bin_of_piece);
    std::array<std::uint8_t, ppspp::k_range_message> cancel;
    Writer cw(cancel);
    ppspp::write_range(cw, ppspp::MessageType::cancel, piece.range);
    queue_control(other, bytes_of(cw.written()));
  });
  emit(EventKind::chunks_verified, a.id, s.id(), piece.range);
  chunks_gained(s, piece.range, &c);
  fetch_after_arrival(now, a, c);
}

// Blame is certain only where datagrams are authenticated; elsewhere anybody could have sent them, and the piece is
// just asked for again.
void Engine::Impl::piece_bad(Association& a, Channel& c, Bin, ChunkRange range) {
  ++a.integrity_failures;
  ++c.bad_pieces;
  c.swarm->by_chunk[range.first / 32] = 1;
  emit(EventKind::integrity_failure, a.id, c.swarm->id(), range);
  if (a.secured() && c.bad_pieces >= k_max_bad_pieces)
    return close_channel(a, c, "sent octets that do not verify", true);
  if (!a.secured()) c.fetch_window = std::max<std::size_t>(1, c.fetch_window / 2);
}

}  // namespace sealcast::swarm
