#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "swarm/engine_impl.hpp"

namespace sealcast::swarm {

using content::ChunkRange;

namespace {

constexpr Duration k_dead_partner = 180s;
constexpr int k_max_timeouts = 10;  // in a row, then the partner is gone

Error no_memory(const EngineCore& e, const std::string& what) {
  return {ErrorCode::network,
          "the memory limit (" + std::to_string(e.memory.use.limit) + " octets) has no room for " + what + " more"};
}

}  // namespace

Engine::Engine(RandomSource& random, EngineOptions options)
    : impl_(std::make_unique<Impl>(random, std::move(options))) {}
Engine::~Engine() = default;

// ---- Associations

Result<AssociationId> Engine::add_association(Instant now, AssociationConfig config) {
  auto& e = impl_->core;
  AssociationKey key{config.remote, config.remote_ssrc};
  if (e.associations.size() >= e.options.max_associations)
    return fail(ErrorCode::network, "too many associations (" + std::to_string(e.options.max_associations) + ")");
  if (!e.memory.room_for_association()) return fail(no_memory(e, "an association"));
  if (e.by_key.contains(key))
    return fail(ErrorCode::negotiation,
                "an association with " + config.remote.text() + " and this SSRC exists already");
  if (config.send_key.has_value() != config.receive_key.has_value())
    return fail(ErrorCode::negotiation, "an association needs both keys or none");
  auto a = std::make_unique<Association>(e.memory);
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
  auto& e = impl_->core;
  auto* a = e.find(id);
  if (!a) return;
  for (std::size_t i = a->channels.size(); i-- > 0;) e.close_channel(*a->channels[i], "left", true);
  e.sweep();
  a->leaving = true;  // goes with the next output(), after its closing datagrams
  e.agenda.touch(*a);
}

void Engine::admit(AssociationId id, const SwarmId& swarm) {
  if (auto* a = impl_->core.find(id); a && a->admitted.size() < 1024) a->admitted.insert(swarm);
}

Status Engine::open_channel(Instant now, AssociationId id, const SwarmId& swarm) {
  auto& e = impl_->core;
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
  if (!e.memory.room_for_channel()) return fail(no_memory(e, "a channel"));
  e.make_channel(now, *a, *s, true);
  a->admitted.insert(swarm);
  return {};
}

void Engine::too_large(const Endpoint& to, std::size_t octets, bool fragment) {
  for (auto& [id, a] : impl_->core.associations)
    if (a->config.remote == to) impl_->core.path_is_small(*a, octets, fragment);
}

std::vector<AssociationState> Engine::associations() const {
  std::vector<AssociationState> out;
  for (auto& [id, a] : impl_->core.associations) {
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

MemoryUse Engine::memory() const {
  auto& e = impl_->core;
  auto out = e.memory.use;
  out.arriving = e.buffers.reserved();
  out.intervals = e.ranges.used * k_octets_an_interval;
  for (auto& [id, s] : e.swarms) out.contents += s->config.held.words().size() * sizeof(std::uint64_t);
  return out;
}

// ---- Swarms

Status Engine::add_swarm(SwarmConfig config) {
  auto& e = impl_->core;
  if (e.swarms.contains(config.id)) return fail("this swarm is here already");
  auto id = config.id;
  auto& s = *(e.swarms[id] = std::make_unique<SwarmState>(std::move(config), e.ranges.work));
  s.generation = e.next_generation++;
  s.completion_told = s.config.held.full();
  return {};
}

void Engine::remove_swarm(Instant, const SwarmId& swarm) {
  auto& e = impl_->core;
  auto* s = e.find(swarm);
  if (!s) return;
  for (auto& [id, a] : e.associations) a->admitted.erase(swarm);
  e.close_channels(*s, "left", false);
  e.sweep();
  std::erase(e.freed_swarms, s);
  e.swarms.erase(swarm);
}

void Engine::set_appetite(Instant now, const SwarmId& swarm, Appetite appetite) {
  auto* s = impl_->core.find(swarm);
  if (!s) return;
  s->config.appetite = appetite;
  impl_->core.freed(*s);
  if (appetite == Appetite::all) impl_->fetcher.fetch_everywhere(now, *s);
}

void Engine::set_secured_only(const SwarmId& swarm) {
  auto* s = impl_->core.find(swarm);
  if (!s) return;
  s->config.secured_only = true;
  impl_->core.close_channels(*s, "the swarm wants session protection", true);
  impl_->core.sweep();
}

void Engine::set_keyinfo(const SwarmId& swarm, std::string keyinfo) {
  auto* s = impl_->core.find(swarm);
  if (!s || s->config.keyinfo == keyinfo || keyinfo.size() > ppspp::k_max_keyinfo) return;
  s->config.keyinfo = std::move(keyinfo);
  // Channels whose handshake is under way too: they tell it when they are open.
  for (auto* c : s->channels) {
    impl_->core.agenda.touch(*c->association);
    c->keyinfo_due = !s->config.keyinfo.empty();
  }
}

void Engine::add_chunks(Instant, const SwarmId& swarm, ChunkRange range) {
  auto* s = impl_->core.find(swarm);
  if (!s) return;
  s->config.held.set(range);
  impl_->core.chunks_gained(*s, range, nullptr);
}

bool Engine::check_run(Instant now, const SwarmId& swarm, std::uint32_t chunk) {
  auto* s = impl_->core.find(swarm);
  if (!s || chunk >= s->geometry().chunks()) return true;
  auto run = s->runs.whole(chunk / 32);
  std::vector<std::uint32_t> corrupt;
  if (s->config.held.test(run))
    s->read_checked(run, corrupt);
  else
    for (auto i = run.first; i <= run.last; ++i)
      if (s->config.held.test(i)) s->read_checked({i, i}, corrupt);
  if (corrupt.empty()) return true;
  impl_->fetcher.chunks_lost(now, 0, *s, corrupt);
  return false;
}

const content::Bitmap* Engine::held(const SwarmId& swarm) const {
  auto* s = impl_->core.find(swarm);
  return s ? &s->config.held : nullptr;
}

SwarmProgress Engine::progress(Instant now, const SwarmId& swarm) const {
  auto& e = impl_->core;
  auto* s = e.find(swarm);
  if (!s) return {};
  bool waits = e.options.download_limit != 0 && e.download.next(now) > now && s->picker.nothing_asked();
  return {s->last_verified, waits};
}

Traffic Engine::traffic(const SwarmId& swarm) const {
  auto* s = impl_->core.find(swarm);
  return s ? s->traffic : Traffic{};
}

// ---- Datagrams out, time, events

std::optional<SendBatch> Engine::output(Instant now) {
  auto& e = impl_->core;
  while (auto* a = e.agenda.next_ready(now)) {
    if (auto batch = impl_->server.batch(now, *a)) {
      e.agenda.sent(*a);
      return batch;
    }
    e.agenda.has_nothing(*a);
    if (a->leaving) e.forget(*a);
  }
  return std::nullopt;
}

void Engine::Impl::tick(Instant now, Association& a) {
  if (a.congestion.deadline() <= now) {
    Losses losses;
    a.congestion.on_deadline(now, losses);
    server.make_good(a, losses);
    a.small_wanted = a.congestion.timeouts_in_row() > 0;
    a.in_flight.set(a.congestion.octets());
  }
  bool dead = a.congestion.timeouts_in_row() >= k_max_timeouts || now - a.last_received >= k_dead_partner;
  for (std::size_t i = a.channels.size(); i-- > 0;) {
    auto& c = *a.channels[i];
    if (c.closed()) continue;
    if (dead)
      core.close_channel(c, "the partner does not answer", false);
    else if (c.closing && now >= *c.closing)
      core.close_channel(c, "closed by the partner", false);
    else if (!c.open() && now - c.opened >= k_handshake_patience)
      core.close_channel(c, "the handshake was not answered", false);
    else if (c.open())
      fetcher.tick(now, c);
  }
}

// `now` only bounds how soon a limiter, or a search, is asked again: what is past would be asked for ever.
Instant Engine::Impl::deadline_of(const Association& a) const {
  auto now = std::max({core.last_tick, a.last_received, a.last_sent});
  auto out = std::min(a.congestion.deadline(), a.arrivals.deadline());
  for (auto& c : a.channels) {
    if (c->open()) {
      if (c->closing) out = std::min(out, *c->closing);
      out = std::min({out, fetcher.deadline(now, *c), server.deadline(now, *c)});
    } else if (!c->closed()) {
      out = std::min({out, c->opened + k_handshake_patience, c->next_handshake});
    }
  }
  return out;
}

Instant Engine::Impl::deadline() {
  for (auto* s : std::exchange(core.freed_swarms, {})) {
    s->freed = false;
    core.for_each_channel(*s, [](Channel&) {});
  }
  return core.agenda.deadline([this](const Association& a) { return deadline_of(a); });
}

Instant Engine::deadline() const {
  return impl_->deadline();
}

// Under a download limit whoever is first takes what the limiter has to give. So it is not always the same one, and
// when there is something everybody has his turn: one whose own time comes just behind another's would never have any.
void Engine::on_deadline(Instant now) {
  auto& e = impl_->core;
  e.last_tick = now;
  (void)impl_->deadline();
  auto due = e.agenda.due(now);
  if (e.options.download_limit != 0 && e.download.allows(now)) {
    due.clear();
    for (auto& [id, a] : e.associations) {
      due.push_back(a.get());
      e.agenda.touch(*a);
    }
  }
  auto first = std::find_if(due.begin(), due.end(), [&](auto* a) { return a->id > e.asked_last; });
  std::rotate(due.begin(), first, due.end());
  for (auto* a : due) impl_->tick(now, *a);
  e.sweep();
}

std::optional<Event> Engine::poll_event() {
  auto& events = impl_->core.events;
  if (events.empty()) return std::nullopt;
  auto out = std::move(events.front());
  events.pop_front();
  return out;
}

std::optional<StorageJob> Engine::poll_job() {
  return impl_->fetcher.next_job();
}

void Engine::job_done(Instant now, JobDone done) {
  impl_->fetcher.job_done(now, std::move(done));
  impl_->core.sweep();
}

ServingHashes Engine::serving_hashes() const {
  return {impl_->core.hashes.octets(), impl_->core.hashes.times_put_off()};
}

std::uint64_t Engine::work() const {
  return impl_->core.ranges.work.steps;
}

void Engine::check() const {
  auto& e = impl_->core;
  std::size_t channels = 0, jobs = 0;
  for (auto& [id, a] : e.associations) {
    channels += a->channels.size();
    jobs += a->jobs;
    SEALCAST_ASSERT(a->by_id.size() == a->channels.size());
    for (auto& c : a->channels) SEALCAST_ASSERT(!c->closed() && a->find(c->local) == c.get());
  }
  SEALCAST_ASSERT(channels == e.channels && e.closed.empty() && jobs <= e.jobs.size());
  for (auto& [id, s] : e.swarms) {
    std::vector<const Source*> sources;
    for (auto* c : s->channels) sources.push_back(&c->source);
    channels -= sources.size();
    s->picker.check(sources);
  }
  SEALCAST_ASSERT(channels == 0 && memory().used() <= e.memory.use.limit);
}

}  // namespace sealcast::swarm
