// Datagrams out: feedback, control, pieces; batches of packets of one size to one partner.
#include <algorithm>

#include "base/assert.hpp"
#include "rtp/packet.hpp"
#include "swarm/engine_impl.hpp"

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;
namespace bin = content::bin;

std::optional<SendBatch> Engine::output(Instant now) {
  auto& e = *impl_;
  if (e.associations.empty()) return std::nullopt;
  // Round robin, beginning behind the one that sent last.
  auto at = e.associations.upper_bound(e.turn);
  for (std::size_t looked = e.associations.size(); looked > 0; --looked) {
    if (at == e.associations.end()) at = e.associations.begin();
    auto& a = *at->second;
    if (auto batch = e.send_from(now, a)) {
      e.turn = a.id;
      return batch;
    }
    if (a.leaving) {
      e.by_key.erase({a.config.remote, a.config.remote_ssrc});
      at = e.associations.erase(at);
      continue;
    }
    ++at;
  }
  return std::nullopt;
}

void Engine::Impl::queue_control(Channel& c, Bytes messages) {
  // What was queued last is filled up first; an unbounded queue would be a partner's weapon.
  constexpr std::size_t k_room = 1100;
  if (!c.control.empty() && c.control.back().size() + messages.size() <= k_room) {
    c.control.back().insert(c.control.back().end(), messages.begin(), messages.end());
  } else if (c.control.size() < k_max_control_queue) {
    c.control.push_back(std::move(messages));
  }
}

void Engine::Impl::queue_range(Channel& c, ppspp::MessageType type, ChunkRange range) {
  std::array<std::uint8_t, ppspp::k_range_message> room;
  Writer w(room);
  ppspp::write_range(w, type, range);
  queue_control(c, bytes_of(w.written()));
}

MutableByteView Engine::Impl::packet_room(Association& a, std::size_t payload) {
  auto size = rtp::k_rtp_header + payload + (a.secured() ? rtp::k_max_srtp_overhead : 0);
  if (batch_closed || slots.size() >= k_batch_segments || batch_used + size > k_batch_octets) return {};
  return MutableByteView(batch).subspan(batch_used + rtp::k_rtp_header, payload);
}

// The packets of a batch have one size; a shorter one ends it.
void Engine::Impl::add_packet(Instant now, Association& a, std::size_t payload, SentPacket sent) {
  auto* at = batch.data() + batch_used;
  auto sequence = static_cast<std::uint16_t>(a.first_sequence + a.packets_sent++);
  auto timestamp = static_cast<std::uint32_t>(now.time_since_epoch().count());
  rtp::write_header({a.config.payload_type, sequence, timestamp, a.config.local_ssrc}, at);
  auto size = rtp::k_rtp_header + payload;
  auto tag = a.secured() ? a.sender->overhead() : 0;
  slots.push_back({at, static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(size + tag), false});
  if (batch_segment == 0)
    batch_segment = size + tag;
  else if (size + tag < batch_segment)
    batch_closed = true;
  batch_used += size + tag;
  sent.at = now;
  sent.octets = static_cast<std::uint32_t>(size + tag);
  a.congestion.sent(std::move(sent));
  a.last_sent = now;
}

std::optional<SendBatch> Engine::Impl::finish_batch(Association& a) {
  if (slots.empty()) return std::nullopt;
  if (a.sender) {
    a.sender->protect(slots);
    bool good = std::all_of(slots.begin(), slots.end(), [](auto& s) { return s.ok; });
    if (!a.exhaustion_told && (!good || a.sender->packets_left() < a.config.srtp.lifetime / 16)) {
      a.exhaustion_told = true;
      emit(EventKind::key_exhausted, a.id, {});
    }
    // Nothing goes out unprotected: a key at its end silences the association until it is replaced.
    if (!good) return std::nullopt;
  }
  return SendBatch{a.config.remote, batch_segment, ByteView(batch).first(batch_used)};
}

std::optional<SendBatch> Engine::Impl::send_from(Instant now, Association& a) {
  slots.clear();
  batch_used = batch_segment = 0;
  batch_closed = false;
  if (a.arrivals.deadline() <= now && put_feedback(now, a))
    return SendBatch{a.config.remote, batch_used, ByteView(batch).first(batch_used)};
  if (put_closing(now, a)) return finish_batch(a);
  for (auto& c : a.channels)
    if (put_control(now, a, *c)) return finish_batch(a);
  if (!a.channels.empty()) {
    // Fair among the channels of an association: the first that sent goes to the end.
    for (std::size_t i = 0; i < a.channels.size(); ++i) {
      if (put_data(now, a, *a.channels[i])) {
        std::rotate(a.channels.begin(), a.channels.begin() + static_cast<std::ptrdiff_t>(i) + 1, a.channels.end());
        return finish_batch(a);
      }
      // Reading the piece produced INTEGRITY: it goes first.
      if (put_control(now, a, *a.channels[i])) return finish_batch(a);
    }
  }
  return std::nullopt;
}

bool Engine::Impl::put_feedback(Instant now, Association& a) {
  auto report = a.arrivals.report(now, a.config.local_ssrc, a.config.remote_ssrc);
  if (report.reports.empty()) return false;
  rtp::PacketSlot slot{batch.data(), 0, static_cast<std::uint32_t>(batch.size()), true};
  slot.size = static_cast<std::uint32_t>(rtp::write_feedback(report, batch));
  if (a.sender) a.sender->protect_rtcp(slot);
  batch_used = slot.size;
  return slot.ok;
}

bool Engine::Impl::put_closing(Instant now, Association& a) {
  if (a.closing.empty()) return false;
  // One channel id and HANDSHAKE of six octets each.
  constexpr std::size_t k_each = 10;
  auto room = packet_room(a, k_each);
  std::copy_n(a.closing.begin(), k_each, room.begin());
  a.closing.erase(a.closing.begin(), a.closing.begin() + k_each);
  add_packet(now, a, k_each, {});
  return true;
}

bool Engine::Impl::put_control(Instant now, Association& a, Channel& c) {
  Writer w(packet_room(a, std::min(a.config.max_datagram, k_max_control)));
  if (c.stage != ChannelStage::open) {
    if (now < c.next_handshake) return false;
    c.next_handshake = now + 500ms * (1 << std::min(c.handshakes++, 4));
    w.u32(c.initiator ? 0 : c.remote);
    ppspp::write_handshake(
        w, {c.local, c.initiator ? std::optional(c.swarm->id()) : std::nullopt, c.swarm->geometry().chunk_size()});
    add_packet(now, a, w.size(), {});
    return true;
  }
  bool keep_alive = now - a.last_sent >= k_keep_alive;
  if (c.control.empty() && c.have_queue.empty() && !c.keyinfo_due && !keep_alive) return false;
  // Control may go beyond the window, but not without end.
  if (a.congestion.in_flight() > a.congestion.window() + 64) return false;
  w.u32(c.remote);
  auto body = w.size();
  if (!c.control.empty()) {
    w.bytes(c.control.front());
    c.control.pop_front();
  } else if (c.keyinfo_due) {
    c.keyinfo_due = false;
    if (w.room() >= 3 + c.swarm->config.keyinfo.size()) ppspp::write_keyinfo(w, c.swarm->config.keyinfo);
  }
  while (!c.have_queue.empty() && w.room() >= ppspp::k_range_message) {
    ppspp::write_range(w, ppspp::MessageType::have, c.have_queue.back());
    c.have_queue.pop_back();
  }
  SentPacket sent;
  sent.channel = c.local;
  sent.control = bytes_of(w.written().subspan(body));
  add_packet(now, a, w.size(), std::move(sent));
  return true;
}

// The next piece of what was asked for: an aligned run of 2^k chunks, k <= 5, when it was named, else runs and chunks
// out of a longer range. What is not here is passed over, but not without end: nobody is to ask for it.
std::optional<ChunkRange> Engine::Impl::next_request(Channel& c) {
  auto& s = *c.swarm;
  constexpr int k_most_misses = 16;
  for (int misses = 0; !c.serve_queue.empty();) {
    ranges.work.count();
    auto& range = c.serve_queue.front();
    auto first = c.requested.next(range.first);
    if (!first || *first > range.last || misses >= k_most_misses) {
      c.requested.remove(range);
      c.serve_queue.pop_front();
      misses = 0;
      continue;
    }
    ChunkRange piece{*first, range.last};
    if (!s.piece_of(piece)) {
      auto run = s.run_range(*first / 32);
      piece = run.first == *first && run.last <= range.last ? run : ChunkRange{*first, *first};
    }
    c.requested.remove(piece);
    if (piece.last >= range.last)
      c.serve_queue.pop_front();
    else
      range.first = piece.last + 1;
    if (s.config.held.test(piece)) return piece;
    ++misses;
  }
  return std::nullopt;
}

// Reads and checks the next piece that was asked for; its INTEGRITY is queued as control.
bool Engine::Impl::next_piece(Instant now, Association& a, Channel& c) {
  while (!c.piece_active) {
    auto range = next_request(c);
    if (!range) return false;
    std::vector<std::uint32_t> corrupt;
    auto data = c.swarm->read_checked(*range, corrupt);
    if (!data) {
      if (c.waiting.size() < k_max_serve_queue) c.waiting.push_back(*range);
      chunks_lost(now, a.id, *c.swarm, corrupt);
      continue;
    }
    c.piece = std::move(*data);
    c.piece_range = *range;
    c.piece_next = range->first;
    c.piece_active = true;
    put_integrity(c, *range);
    c.sent.add(*range);
  }
  return true;
}

// Nodes that the partner cannot know: the piece's own, and uncles up to one whose parent lies above something that it
// has verified. It is believed about what we sent it, no further; and whoever asks for a piece once more gets every
// node, so that an acknowledgement that was not the partner's does no lasting harm.
void Engine::Impl::put_integrity(Channel& c, ChunkRange range) {
  auto& s = *c.swarm;
  auto target = *s.piece_of(range);
  bool again = c.sent.overlaps(range) || c.sent.full();
  auto known = [&](Bin b) {
    if (b == s.tree.root_bin()) return true;
    return !again && c.acknowledged.overlaps(s.cut(bin::parent(b)));
  };
  if (target == s.tree.root_bin()) return;
  auto nodes = s.tree.uncles(target, known);
  nodes.push_back({target, s.tree.hash(target)});
  Bytes messages(nodes.size() * ppspp::k_integrity_message);
  Writer w(messages);
  for (auto& node : nodes) ppspp::write_integrity(w, node);
  constexpr std::size_t k_most = 28 * ppspp::k_integrity_message;  // fits a datagram
  for (std::size_t at = 0; at < messages.size(); at += k_most) {
    auto part = ByteView(messages).subspan(at, std::min(k_most, messages.size() - at));
    c.control.push_back(bytes_of(part));
  }
}

bool Engine::Impl::put_data(Instant now, Association& a, Channel& c) {
  if (c.stage != ChannelStage::open) return false;
  auto& s = *c.swarm;
  while (a.congestion.may_send(now) && upload.allows(now)) {
    std::uint32_t chunk;
    Bytes again;
    ByteView data;
    if (!c.resend.empty()) {
      chunk = *c.resend.begin();
      std::vector<std::uint32_t> corrupt;
      auto read = s.config.held.test(chunk) ? s.read_checked({chunk, chunk}, corrupt) : std::nullopt;
      c.resend.erase(c.resend.begin());
      if (!corrupt.empty()) chunks_lost(now, a.id, s, corrupt);
      if (!read) continue;
      again = std::move(*read);
      data = again;
    } else {
      bool fresh = !c.piece_active;
      if (!next_piece(now, a, c)) break;
      if (fresh && !c.control.empty()) break;  // its INTEGRITY goes first
      chunk = c.piece_next;
      auto offset = s.geometry().offset_of(chunk) - s.geometry().offset_of(c.piece_range.first);
      data = ByteView(c.piece).subspan(offset, s.geometry().size_of(chunk));
    }
    auto payload = ppspp::k_channel_octets + ppspp::k_data_overhead + data.size();
    auto room = packet_room(a, payload);
    bool misfit =
        batch_segment != 0 && rtp::k_rtp_header + payload + (a.secured() ? a.sender->overhead() : 0) > batch_segment;
    if (room.empty() || misfit) {
      if (!again.empty()) c.resend.insert(chunk);
      break;
    }
    Writer w(room);
    w.u32(c.remote);
    ppspp::write_data(w, chunk, static_cast<std::uint64_t>(now.time_since_epoch().count()), data);
    SentPacket sent;
    sent.channel = c.local;
    sent.chunk = chunk;
    sent.is_data = true;
    add_packet(now, a, payload, std::move(sent));
    a.content_sent += data.size();
    s.traffic.sent += data.size();
    upload.take(data.size());
    if (again.empty() && c.piece_next++ == c.piece_range.last) c.piece_active = false;
  }
  return !slots.empty();
}

// Lost control goes again as it was; lost DATA is read again.
void Engine::Impl::make_good(Association& a, std::vector<SentPacket>& lost) {
  for (auto& packet : lost) {
    auto* c = packet.channel != 0 ? a.find(packet.channel) : nullptr;
    if (!c) continue;
    if (!packet.is_data) {
      if (!packet.control.empty() && c->control.size() < k_max_control_queue)
        c->control.push_front(std::move(packet.control));
    } else if (c->resend.size() < 16384 && !c->acknowledged.contains(packet.chunk)) {
      c->resend.insert(packet.chunk);
    }
  }
}

}  // namespace sealcast::swarm
