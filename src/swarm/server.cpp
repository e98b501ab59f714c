#include "swarm/server.hpp"

#include <algorithm>

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;
namespace bin = content::bin;

namespace {

constexpr Duration k_keep_alive = 15s;
constexpr std::size_t k_max_serve_queue = 256;  // requests of a partner that wait
constexpr std::size_t k_max_control = 1204;     // octets of a control datagram: passes on every path
constexpr std::uint64_t k_control_slack = 64;   // packets that control may go beyond the window
// Octets of runs that are read before their turn, so that a batch goes on over the end of a run.
constexpr std::size_t k_read_ahead = 128 * 1024;
constexpr std::size_t k_max_spare = 4;  // buffers of runs that are used again

}  // namespace

// ---- What the partner says

// What the partner verified it has. Only of what we sent does it count as known to it: hashes are left out for that.
void Server::on_ack(Channel& c, ChunkRange range) {
  if (range.last >= c.swarm->geometry().chunks()) return;
  std::array<ChunkRange, 8> parts;
  std::size_t count = 0;
  c.sent.each_in(range, [&](ChunkRange part) {
    parts[count++] = part;
    return count < parts.size();
  });
  for (auto part : std::span(parts).first(count)) c.acknowledged.add(part);
}

// Kept as it was said, and cut into runs when it is served: a range may be long, and little of it here.
void Server::on_request(Instant now, Channel& c, ChunkRange range) {
  auto last = c.swarm->geometry().chunks() - 1;
  if (range.first > last) return;
  range.last = std::min(range.last, last);
  if (c.requested.contains(range)) return;
  if (std::any_of(c.serving.begin(), c.serving.end(), [&](auto& run) { return run.range == range; })) return;
  if (c.serve_queue.size() >= k_max_serve_queue && now - c.compacted >= 100ms) {
    c.compacted = now;
    core_->ranges.work.count(c.serve_queue.size());
    std::erase_if(c.serve_queue, [&](ChunkRange each) { return !c.requested.overlaps(each); });
  }
  if (c.serve_queue.size() >= k_max_serve_queue || !c.requested.add(range)) return;
  c.serve_queue.push_back(range);
}

void Server::on_cancel(Channel& c, ChunkRange range) {
  c.requested.remove(range);
  for (auto at = c.resend.lower_bound(range.first); at != c.resend.end() && *at <= range.last;) {
    core_->ranges.work.count();
    at = c.resend.erase(at);
  }
  std::erase_if(c.serving, [&](auto& run) { return run.range.first >= range.first && run.range.last <= range.last; });
}

// Lost control goes again as it was; lost DATA is read again.
void Server::make_good(Association& a, Losses& losses) {
  for (auto& packet : losses.mistaken)
    if (auto* c = packet.is_data ? a.find(packet.channel) : nullptr) c->resend.erase(packet.chunk);
  for (auto& packet : losses.lost) {
    auto* c = packet.channel != 0 ? a.find(packet.channel) : nullptr;
    if (!c) continue;
    if (!packet.is_data) {
      if (!packet.control.empty()) c->queue_again(std::move(packet.control));
    } else if (c->resend_room() && !c->acknowledged.contains(packet.chunk)) {
      c->resend.insert(packet.chunk);
      c->count();
    }
  }
}

// ---- Batches

std::optional<SendBatch> Server::batch(Instant now, Association& a) {
  packets_->begin();
  if (a.arrivals.deadline() <= now && packets_->add_feedback(now, *core_, a)) return packets_->finish(*core_, a);
  if (put_closing(now, a)) return packets_->finish(*core_, a);
  for (auto& c : a.channels)
    if (put_control(now, *c)) return packets_->finish(*core_, a);
  for (std::size_t i = 0; i < a.channels.size(); ++i) {
    auto& c = *a.channels[i];
    if (put_data(now, c)) {
      // Fair among the channels of an association: the first that sent goes to the end.
      std::rotate(a.channels.begin(), a.channels.begin() + static_cast<std::ptrdiff_t>(i) + 1, a.channels.end());
      return packets_->finish(*core_, a);
    }
  }
  return std::nullopt;
}

bool Server::put_closing(Instant now, Association& a) {
  if (a.closing.empty()) return false;
  // One channel id and HANDSHAKE of six octets each.
  constexpr std::size_t k_each = 10;
  auto room = packets_->room(a, k_each);
  std::copy_n(a.closing.begin(), k_each, room.begin());
  a.closing.erase(a.closing.begin(), a.closing.begin() + k_each);
  packets_->add(now, a, k_each, {});
  return true;
}

bool Server::put_handshake(Instant now, Channel& c) {
  if (now < c.next_handshake) return false;
  c.next_handshake = now + 500ms * (1 << std::min(c.handshakes++, 4));
  auto& a = *c.association;
  Writer w(packets_->room(a, std::min(a.config.max_datagram, k_max_control)));
  w.u32(c.initiator ? 0 : c.remote);
  ppspp::write_handshake(
      w, {c.local, c.initiator ? std::optional(c.swarm->id()) : std::nullopt, c.swarm->geometry().chunk_size()});
  packets_->add(now, a, w.size(), {});
  return true;
}

bool Server::put_control(Instant now, Channel& c) {
  if (c.closed()) return false;
  if (!c.open()) return put_handshake(now, c);
  auto& a = *c.association;
  bool keep_alive = now - a.last_sent >= k_keep_alive || a.small_wanted;
  if (c.control.empty() && c.have_queue.empty() && !c.have_from && !c.keyinfo_due && !keep_alive) return false;
  // Control may go beyond the window, but not without end.
  if (a.congestion.in_flight() > a.congestion.window() + k_control_slack || !may_be_in_flight(a)) return false;
  Writer w(packets_->room(a, std::min(a.config.max_datagram, k_max_control)));
  w.u32(c.remote);
  auto body = w.size();
  if (!std::exchange(a.small_wanted, false)) put_messages(c, w);
  SentPacket sent;
  sent.channel = c.local;
  sent.control = bytes_of(w.written().subspan(body));
  packets_->add(now, a, w.size(), std::move(sent));
  return true;
}

void Server::put_messages(Channel& c, Writer& w) {
  if (!c.control.empty()) {
    w.bytes(c.next_control());
  } else if (c.keyinfo_due) {
    c.keyinfo_due = false;
    if (w.room() >= 3 + c.swarm->config.keyinfo.size()) ppspp::write_keyinfo(w, c.swarm->config.keyinfo);
  }
  put_haves(c, w);
}

void Server::put_haves(Channel& c, Writer& w) {
  auto& held = c.swarm->config.held;
  for (; !c.have_queue.empty() && w.room() >= ppspp::k_range_message; c.have_queue.pop_back())
    ppspp::write_range(w, ppspp::MessageType::have, c.have_queue.back());
  while (c.have_from && w.room() >= ppspp::k_range_message) {
    auto first = held.next_set(*c.have_from);
    if (first == held.size()) return c.have_from.reset();
    auto end = held.next_clear(first);
    ppspp::write_range(w, ppspp::MessageType::have, {first, end - 1});
    c.have_from = end;
  }
}

// ---- DATA

// The next run of what was asked for: as it was named, or whole runs and chunks out of a longer range. What is not here
// is passed over, but not without end: nobody is to ask for it.
std::optional<ChunkRange> Server::next_request(Channel& c) {
  auto& s = *c.swarm;
  constexpr int k_most_misses = 16;
  for (int misses = 0; !c.serve_queue.empty();) {
    core_->ranges.work.count();
    auto& range = c.serve_queue.front();
    auto first = c.requested.next(range.first);
    if (!first || *first > range.last || misses >= k_most_misses) {
      c.requested.remove(range);
      c.serve_queue.pop_front();
      misses = 0;
      continue;
    }
    ChunkRange run{*first, range.last};
    if (!s.runs.node_of(run)) {
      auto whole = s.runs.whole(*first / 32);
      run = whole.first == *first && whole.last <= range.last ? whole : ChunkRange{*first, *first};
    }
    if (!c.association->config.runs) run = {*first, *first};  // ig=chunk: each is proven for itself
    c.requested.remove(run);
    if (run.last >= range.last)
      c.serve_queue.pop_front();
    else
      range.first = run.last + 1;
    if (s.config.held.test(run)) return run;
    ++misses;
  }
  return std::nullopt;
}

// Reads and checks the next run that was asked for. One that may not be hashed now is forgotten: whoever wants it asks
// again.
bool Server::next_run(Instant now, Channel& c) {
  while (auto range = next_request(c)) {
    std::vector<std::uint32_t> corrupt;
    auto data = c.swarm->read_to_serve(now, *range, core_->hashes, corrupt, take_spare());
    if (!corrupt.empty()) {
      if (!data && c.waiting.size() < k_max_serve_queue) c.waiting.push_back(*range);
      fetcher_->chunks_lost(now, c.association->id, *c.swarm, corrupt);
    }
    if (!data) continue;
    c.serving.push_back({std::move(*data), *range, range->first, hashes_of(c, *range)});
    c.count_serving();
    c.sent.add(*range);
    return true;
  }
  return false;
}

// False: there is nothing to send.
bool Server::read_ahead(Instant now, Channel& c) {
  const auto size = [&](const ServedRun& run) { return c.swarm->geometry().size_of(run.range) + run.hashes.size(); };
  std::size_t octets = 0;
  for (auto& run : c.serving) octets += size(run);
  while (c.serving.empty() || (octets + size(c.serving.back()) <= k_read_ahead && !core_->memory.serving_is_full())) {
    if (!next_run(now, c)) break;
    octets += size(c.serving.back());
  }
  return !c.serving.empty();
}

Bytes Server::take_spare() {
  if (spare_.empty()) return {};
  auto out = std::move(spare_.back());
  spare_.pop_back();
  return out;
}

void Server::served(Channel& c) {
  if (spare_.size() < k_max_spare && !core_->memory.serving_is_full())
    spare_.push_back(std::move(c.serving.front().octets));
  c.serving.pop_front();
}

// Nodes that the partner cannot know: the run's own, and uncles up to one whose parent lies above something that it has
// verified. It is believed about what we sent it, no further; and whoever asks for a run once more gets every node, so
// that an acknowledgement that was not the partner's does no lasting harm.
Bytes Server::hashes_of(Channel& c, ChunkRange range) {
  auto& s = *c.swarm;
  auto target = *s.runs.node_of(range);
  bool again = c.sent.overlaps(range) || c.sent.full();
  auto known = [&](Bin b) {
    if (b == s.tree.root_bin()) return true;
    return !again && c.acknowledged.overlaps(s.runs.cut(bin::parent(b)));
  };
  if (target == s.tree.root_bin()) return {};
  auto nodes = s.tree.uncles(target, known);
  nodes.push_back({target, s.tree.hash(target)});
  Bytes messages(nodes.size() * ppspp::k_integrity_message);
  Writer w(messages);
  for (auto& node : nodes) ppspp::write_integrity(w, node);
  return messages;
}

// INTEGRITY of runs that were read: in front of the first of them, or as the last packet of a batch of DATA, which may
// be shorter than the others. So a run costs no datagram of its own beside its chunks.
bool Server::put_hashes(Instant now, Channel& c) {
  auto& a = *c.association;
  const auto most = std::min({a.config.max_datagram, k_max_control, packets_->most(a)});
  auto octets = hashes_waiting(c);
  if (octets == 0 || most < ppspp::k_channel_octets + ppspp::k_integrity_message) return false;
  octets = std::min(octets, (most - ppspp::k_channel_octets) / ppspp::k_integrity_message * ppspp::k_integrity_message);
  const auto payload = ppspp::k_channel_octets + octets;
  Writer w(packets_->room(a, payload));
  w.u32(c.remote);
  for (auto run = c.serving.begin(); octets != 0; ++run) {
    const auto part = std::min(octets, run->hashes.size());
    w.bytes(ByteView(run->hashes).first(part));
    run->hashes.erase(run->hashes.begin(), run->hashes.begin() + static_cast<std::ptrdiff_t>(part));
    octets -= part;
  }
  SentPacket sent;
  sent.channel = c.local;
  sent.control = bytes_of(w.written().subspan(ppspp::k_channel_octets));
  packets_->add(now, a, payload, std::move(sent));
  return true;
}

std::size_t Server::hashes_waiting(const Channel& c) {
  std::size_t out = 0;
  for (auto& run : c.serving) out += run.hashes.size();
  return std::min(out, k_max_control);
}

// False: no room for it in this batch.
bool Server::put_chunk(Instant now, Channel& c, std::uint32_t chunk, ByteView data) {
  auto& a = *c.association;
  auto payload = ppspp::k_channel_octets + ppspp::k_data_overhead + data.size();
  auto room = packets_->room(a, payload, hashes_waiting(c));
  if (room.empty() || packets_->misfit(a, payload)) return false;
  Writer w(room);
  w.u32(c.remote);
  ppspp::write_data(w, chunk, static_cast<std::uint64_t>(now.time_since_epoch().count()), data);
  SentPacket sent;
  sent.channel = c.local;
  sent.chunk = chunk;
  sent.is_data = true;
  packets_->add(now, a, payload, std::move(sent));
  a.content_sent += data.size();
  c.swarm->traffic.sent += data.size();
  core_->upload.take(data.size());
  return true;
}

// The first run was let go of, or is there. False: it is not here any more.
bool Server::have_run(Instant now, Channel& c) {
  auto& run = c.serving.front();
  if (!run.octets.empty()) return true;
  std::vector<std::uint32_t> corrupt;
  auto data = c.swarm->config.held.test(run.range) ? c.swarm->read_checked(run.range, corrupt) : std::nullopt;
  if (!corrupt.empty()) fetcher_->chunks_lost(now, c.association->id, *c.swarm, corrupt);
  if (data)
    run.octets = std::move(*data);
  else
    c.serving.pop_front();
  c.count_serving();
  return data.has_value();
}

// Under the limit runs are kept until they have gone out; beyond it they are read again when it is their turn.
void Server::let_go(Channel& c) {
  if (core_->memory.serving_is_full())
    for (auto& run : c.serving) run.octets = {};
  c.count_serving();
}

// What is on the way has its share too, and a few packets of each association are always let go.
bool Server::may_be_in_flight(const Association& a) const {
  constexpr std::uint64_t k_always = 4;
  auto& memory = core_->memory;
  return memory.use.in_flight < memory.share.in_flight || a.congestion.in_flight() < k_always;
}

bool Server::may_send(Instant now, const Association& a) const {
  return may_be_in_flight(a) && a.congestion.may_send(now) && core_->upload.allows(now);
}

// A chunk whose DATA was lost; empty when it is not here any more.
std::optional<Bytes> Server::read_again(Instant now, Channel& c, std::uint32_t chunk) {
  if (!c.swarm->config.held.test(chunk)) return std::nullopt;
  std::vector<std::uint32_t> corrupt;
  auto out = c.swarm->read_to_serve(now, {chunk, chunk}, core_->hashes, corrupt);
  if (!corrupt.empty()) fetcher_->chunks_lost(now, c.association->id, *c.swarm, corrupt);
  return out;
}

bool Server::put_data(Instant now, Channel& c) {
  if (!c.open()) return false;
  auto& geometry = c.swarm->geometry();
  while (may_send(now, *c.association)) {
    if (!c.resend.empty()) {
      auto chunk = *c.resend.begin();
      c.resend.erase(c.resend.begin());
      auto data = read_again(now, c, chunk);
      if (!data || put_chunk(now, c, chunk, *data)) continue;
      c.resend.insert(chunk);
      break;
    }
    if (!read_ahead(now, c)) break;
    if (!have_run(now, c)) continue;
    auto& run = c.serving.front();
    if (!run.hashes.empty()) {
      if (packets_->empty()) (void)put_hashes(now, c);
      break;
    }
    auto offset = geometry.offset_of(run.next) - geometry.offset_of(run.range.first);
    if (!put_chunk(now, c, run.next, ByteView(run.octets).subspan(offset, geometry.size_of(run.next)))) break;
    if (run.next++ == run.range.last) served(c);
  }
  if (!packets_->empty()) (void)put_hashes(now, c);
  let_go(c);
  c.count();
  return !packets_->empty();
}

Instant Server::deadline(Instant now, const Channel& c) const {
  auto& a = *c.association;
  auto out = a.last_sent + k_keep_alive;
  if (!c.serves()) return out;
  if (a.congestion.window_open() && a.congestion.next_send() > now) out = std::min(out, a.congestion.next_send());
  if (core_->options.upload_limit != 0) out = std::min(out, std::max(core_->upload.next(now), now + 1ms));
  return out;
}

}  // namespace sealcast::swarm
