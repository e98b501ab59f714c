#include <algorithm>

#include "base/log.hpp"
#include "swarm/engine_impl.hpp"

namespace sealcast::swarm {

using content::ChunkRange;

Engine::Engine(RandomSource& random, EngineOptions options) : impl_(std::make_unique<Impl>(random, options)) {}
Engine::~Engine() = default;

Association* Engine::Impl::find(AssociationId id) {
  auto at = associations.find(id);
  return at == associations.end() ? nullptr : at->second.get();
}

SwarmState* Engine::Impl::find(const SwarmId& id) {
  auto at = swarms.find(id);
  return at == swarms.end() ? nullptr : at->second.get();
}

void Engine::Impl::emit(EventKind kind, AssociationId association, const SwarmId& swarm, ChunkRange range,
                        std::string text, Error error) {
  events.push_back({kind, association, swarm, range, std::move(text), std::move(error)});
}

void Engine::Impl::for_each_channel(SwarmState& s, const std::function<void(Association&, Channel&)>& visit) {
  for (auto& [id, a] : associations)
    for (auto& c : a->channels)
      if (c->swarm == &s && c->stage == ChannelStage::open) visit(*a, *c);
}

Result<AssociationId> Engine::add_association(Instant now, AssociationConfig config) {
  auto& e = *impl_;
  AssociationKey key{config.remote, config.remote_ssrc};
  if (e.associations.size() >= e.options.max_associations)
    return fail(ErrorCode::network, "too many associations (" + std::to_string(e.options.max_associations) + ")");
  if (e.by_key.contains(key))
    return fail(ErrorCode::negotiation,
                "an association with " + config.remote.text() + " and this SSRC exists already");
  if (config.send_key.has_value() != config.receive_key.has_value())
    return fail(ErrorCode::negotiation, "an association needs both keys or none");
  auto a = std::make_unique<Association>();
  if (e.options.congestion_control) a->congestion = Congestion(e.options.congestion_control());
  a->id = e.next_association++;
  if (config.send_key) {
    a->sender.emplace(*config.send_key, config.local_ssrc, config.srtp);
    a->receiver.emplace(*config.receive_key, config.remote_ssrc, config.srtp);
  }
  config.send_key.reset();
  config.receive_key.reset();
  a->first_sequence = static_cast<std::uint16_t>(e.random.u32() & 0x7fff);
  a->last_received = a->last_sent = now;
  a->config = std::move(config);
  auto id = a->id;
  e.by_key[key] = a.get();
  e.associations[id] = std::move(a);
  return id;
}

void Engine::remove_association(Instant, AssociationId id) {
  auto& e = *impl_;
  auto* a = e.find(id);
  if (!a) return;
  while (!a->channels.empty()) e.close_channel(*a, *a->channels.back(), "left", true);
  a->leaving = true;  // goes with the next output(), after its closing datagram
}

void Engine::admit(AssociationId id, const SwarmId& swarm) {
  if (auto* a = impl_->find(id); a && a->admitted.size() < 1024) a->admitted.insert(swarm);
}

Channel& Engine::Impl::make_channel(Instant now, Association& a, SwarmState& s, bool initiator) {
  auto c = std::make_unique<Channel>(ranges);
  do c->local = random.u32();
  while (c->local == 0 || a.find(c->local));
  c->initiator = initiator;
  c->swarm = &s;
  c->opened = c->next_handshake = c->last_progress = now;
  c->cursor = random.u32() % s.runs();
  c->keyinfo_due = !s.config.keyinfo.empty();
  a.channels.push_back(std::move(c));
  ++channels;
  return *a.channels.back();
}

Status Engine::open_channel(Instant now, AssociationId id, const SwarmId& swarm) {
  auto& e = *impl_;
  auto* a = e.find(id);
  auto* s = e.find(swarm);
  if (!a || a->leaving || !s) return fail(ErrorCode::not_found, "no such association or swarm");
  if (s->config.secured_only && !a->secured())
    return fail(Error{ErrorCode::negotiation, "the swarm wants session protection and this association is plain",
                      "sdes-required", "offerer"});
  if (ppspp::k_channel_octets + ppspp::k_data_overhead + s->geometry().chunk_size() > a->config.max_datagram)
    return fail(Error{ErrorCode::negotiation,
                      "chunks of " + std::to_string(s->geometry().chunk_size()) +
                          " octets do not fit the datagrams that the partner takes (maxdg=" +
                          std::to_string(a->config.max_datagram) + ")",
                      "fmtp-mismatch", "answerer"});
  if (e.channels >= e.options.max_channels) return fail(ErrorCode::network, "too many channels");
  e.make_channel(now, *a, *s, true);
  a->admitted.insert(swarm);
  return {};
}

void Engine::Impl::close_channel(Association& a, Channel& c, const std::string& reason, bool tell_partner) {
  release_all(c);
  ++c.swarm->revision;
  if (tell_partner && c.remote != 0 && a.closing.size() < 10 * 64) {
    std::array<std::uint8_t, 16> room;
    Writer w(room);
    w.u32(c.remote);
    ppspp::write_closing(w);
    a.closing.insert(a.closing.end(), w.written().begin(), w.written().end());
  }
  emit(EventKind::channel_closed, a.id, c.swarm->id(), {}, reason);
  --channels;
  std::erase_if(a.channels, [&](auto& each) { return each.get() == &c; });
}

Status Engine::add_swarm(SwarmConfig config) {
  if (impl_->swarms.contains(config.id)) return fail("this swarm is here already");
  auto id = config.id;
  impl_->swarms[id] = std::make_unique<SwarmState>(std::move(config));
  auto& s = *impl_->swarms[id];
  s.completion_told = s.config.held.full();
  return {};
}

void Engine::remove_swarm(Instant, const SwarmId& swarm) {
  auto& e = *impl_;
  auto* s = e.find(swarm);
  if (!s) return;
  for (auto& [id, a] : e.associations) {
    a->admitted.erase(swarm);
    for (std::size_t i = a->channels.size(); i-- > 0;)
      if (a->channels[i]->swarm == s) e.close_channel(*a, *a->channels[i], "left", true);
  }
  e.swarms.erase(swarm);
}

void Engine::set_appetite(Instant now, const SwarmId& swarm, Appetite appetite) {
  auto* s = impl_->find(swarm);
  if (!s) return;
  s->config.appetite = appetite;
  ++s->revision;
  if (appetite == Appetite::all) impl_->fetch_everywhere(now, *s);
}

void Engine::set_secured_only(const SwarmId& swarm) {
  auto& e = *impl_;
  auto* s = e.find(swarm);
  if (!s) return;
  s->config.secured_only = true;
  for (auto& [id, a] : e.associations)
    for (std::size_t i = a->channels.size(); i-- > 0;)
      if (a->channels[i]->swarm == s && !a->secured())
        e.close_channel(*a, *a->channels[i], "the swarm wants session protection", true);
}

void Engine::set_keyinfo(const SwarmId& swarm, std::string keyinfo) {
  auto* s = impl_->find(swarm);
  if (!s || s->config.keyinfo == keyinfo || keyinfo.size() > ppspp::k_max_keyinfo) return;
  s->config.keyinfo = std::move(keyinfo);
  impl_->for_each_channel(*s, [&](Association&, Channel& c) { c.keyinfo_due = !s->config.keyinfo.empty(); });
}

void Engine::add_chunks(Instant, const SwarmId& swarm, ChunkRange range) {
  auto* s = impl_->find(swarm);
  if (!s) return;
  s->config.held.set(range);
  impl_->chunks_gained(*s, range, nullptr);
}

bool Engine::check_run(Instant now, const SwarmId& swarm, std::uint32_t chunk) {
  auto* s = impl_->find(swarm);
  if (!s || chunk >= s->geometry().chunks()) return true;
  auto run = s->run_range(chunk / 32);
  std::vector<std::uint32_t> corrupt;
  if (s->config.held.test(run))
    s->read_checked(run, corrupt, true);
  else
    for (auto i = run.first; i <= run.last; ++i)
      if (s->config.held.test(i)) s->read_checked({i, i}, corrupt, true);
  if (corrupt.empty()) return true;
  impl_->chunks_lost(now, 0, *s, corrupt);
  return false;
}

void Engine::Impl::chunks_gained(SwarmState& s, ChunkRange range, const Channel* from) {
  for_each_channel(s, [&](Association& a, Channel& c) {
    std::erase_if(c.waiting, [&](ChunkRange piece) {
      if (!s.config.held.test(piece)) return false;
      if (c.requested.add(piece)) c.serve_queue.push_back(piece);
      return true;
    });
    // ACK tells the one it came from. Who has it need not know, if it was the partner who said that it has it.
    if (&c == from || (a.secured() && c.has.contains(range))) return;
    if (!c.have_queue.empty() && c.have_queue.back().last + 1 == range.first)
      c.have_queue.back().last = range.last;
    else
      c.have_queue.push_back(range);
  });
  if (s.config.held.full() && !s.completion_told) {
    s.completion_told = true;
    emit(EventKind::swarm_complete, 0, s.id());
  }
}

// A partner cannot be told "I no longer have it": PPSPP has no such message. Its requests stay unanswered until the
// chunk is here again.
void Engine::Impl::chunks_lost(Instant now, AssociationId reader, SwarmState& s,
                               const std::vector<std::uint32_t>& chunks) {
  emit(EventKind::storage_corrupt, reader, s.id(), {chunks.front(), chunks.back()});
  for (auto chunk : chunks) s.by_chunk[chunk / 32] = 1;
  s.config.appetite = Appetite::all;
  ++s.revision;
  fetch_everywhere(now, s);
}

void Engine::Impl::tick(Instant now, Association& a) {
  if (a.congestion.deadline() <= now) {
    std::vector<SentPacket> lost;
    a.congestion.on_timeout(now, lost);
    make_good(a, lost);
  }
  bool dead = a.congestion.timeouts_in_row() >= k_max_timeouts || now - a.last_received >= k_dead_partner;
  for (std::size_t i = a.channels.size(); i-- > 0;) {
    auto& c = *a.channels[i];
    if (dead)
      close_channel(a, c, "the partner does not answer", false);
    else if (c.closing && now >= *c.closing)
      close_channel(a, c, "closed by the partner", false);
    else if (c.stage != ChannelStage::open && now - c.opened >= k_handshake_patience)
      close_channel(a, c, "the handshake was not answered", false);
    else if (c.stage == ChannelStage::open) {
      auto local = c.local;
      watch_progress(now, a, c);
      if (auto* still = a.find(local)) fetch(now, a, *still);  // a piece that turned out bad may have closed it
    }
  }
}

Instant Engine::Impl::deadline_of(Instant now, const Association& a) const {
  auto out = std::min(a.congestion.deadline(), a.arrivals.deadline());
  for (auto& c : a.channels) {
    if (c->stage == ChannelStage::open) {
      out = std::min(out, a.last_sent + k_keep_alive);
      if (c->closing) out = std::min(out, *c->closing);
      bool hungry = c->swarm->config.appetite == Appetite::all && !c->swarm->config.held.full();
      if (hungry && c->searching) out = std::min(out, now + k_search_pause);
      if (hungry && c->choked_by_partner && !c->stalled) out = std::min(out, c->choked + k_stall);
      if (hungry && c->useless_since) out = std::min(out, *c->useless_since + k_stall);
      if (hungry && c->rests_until > now) out = std::min(out, c->rests_until);
      if (hungry && !c->denied.empty()) out = std::min(out, std::max(c->denied_until, now + k_search_pause));
      if (!c->fetching.empty()) out = std::min(out, std::max(now + 100ms, c->last_progress + k_piece_patience));
      if (options.download_limit != 0 && c->swarm->config.appetite == Appetite::all)
        out = std::min(out, std::max(download.next(now), now + 1ms));
      bool serves = c->piece_active || !c->serve_queue.empty() || !c->resend.empty();
      if (serves && a.congestion.window_open() && a.congestion.next_send() > now)
        out = std::min(out, a.congestion.next_send());
      if (options.upload_limit != 0 && serves) out = std::min(out, std::max(upload.next(now), now + 1ms));
    } else {
      out = std::min({out, c->opened + k_handshake_patience, c->next_handshake});
    }
  }
  return out;
}

Instant Engine::deadline() const {
  auto out = k_never;
  // last_sent and the like are absolute; `now` only bounds how soon a limiter is asked again.
  for (auto& [id, a] : impl_->associations)
    out = std::min(out, impl_->deadline_of(std::max({impl_->last_tick, a->last_received, a->last_sent}), *a));
  return out;
}

// Not always the same one first: under a download limit whoever is first takes what the limiter has to give.
void Engine::on_deadline(Instant now) {
  auto& e = *impl_;
  e.last_tick = now;
  if (e.associations.empty()) return;
  auto first = e.associations.upper_bound(e.asked_last);
  if (first == e.associations.end()) first = e.associations.begin();
  for (auto at = first; at != e.associations.end(); ++at) e.tick(now, *at->second);
  for (auto at = e.associations.begin(); at != first; ++at) e.tick(now, *at->second);
}

std::optional<Event> Engine::poll_event() {
  if (impl_->events.empty()) return std::nullopt;
  auto out = std::move(impl_->events.front());
  impl_->events.pop_front();
  return out;
}

const content::Bitmap* Engine::held(const SwarmId& swarm) const {
  auto* s = impl_->find(swarm);
  return s ? &s->config.held : nullptr;
}

SwarmProgress Engine::progress(Instant now, const SwarmId& swarm) const {
  auto* s = impl_->find(swarm);
  if (!s) return {};
  bool waits = impl_->options.download_limit != 0 && impl_->download.next(now) > now && s->asked.empty();
  return {s->last_verified, waits};
}

std::uint64_t Engine::work() const {
  return impl_->ranges.work.steps;
}

void Engine::too_large(const Endpoint& to, std::size_t octets) {
  for (auto& [id, a] : impl_->associations) {
    if (a->config.remote != to || a->path_told) continue;
    a->path_told = true;
    auto headers = to.address.is_v6() ? 48 : 28;
    impl_->emit(EventKind::path_too_small, id, {}, {},
                "datagrams of " + std::to_string(octets) + " octets are too large for the way to " + to.text() +
                    ": its MTU is below " + std::to_string(octets + headers));
  }
}

Traffic Engine::traffic(const SwarmId& swarm) const {
  auto* s = impl_->find(swarm);
  return s ? s->traffic : Traffic{};
}

std::vector<AssociationState> Engine::associations() const {
  std::vector<AssociationState> out;
  for (auto& [id, a] : impl_->associations) {
    AssociationState s;
    s.id = id;
    s.remote = a->config.remote;
    s.partner = a->config.partner;
    s.secured = a->secured();
    s.content_received = a->content_received;
    s.content_sent = a->content_sent;
    s.congestion_window = a->congestion.window();
    s.in_flight = a->congestion.in_flight();
    s.round_trip = a->congestion.round_trip();
    s.packets_lost = a->congestion.lost();
    s.authentication_failures = a->receiver ? a->receiver->counters().authentication_failures : 0;
    s.integrity_failures = a->integrity_failures;
    out.push_back(s);
  }
  return out;
}

}  // namespace sealcast::swarm
