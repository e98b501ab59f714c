#include "swarm/fetcher.hpp"

#include <algorithm>
#include <utility>

#include "rtp/packet.hpp"

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;
namespace bin = content::bin;

namespace {

constexpr Duration k_run_patience = 3s, k_stall = 10s;
constexpr Duration k_search_pause = 10ms, k_prune_pause = 10s;
constexpr std::size_t k_max_jobs = 64;  // runs of one association that are with storage
constexpr int k_max_bad_runs = 3;
// More than are under way at once; on a plain association: nobody is blamed, but it is of no use.
constexpr int k_max_bad_in_row = 128;

}  // namespace

// ---- What the partner says

void Fetcher::on_have(Instant now, Channel& c, ChunkRange range) {
  auto& s = *c.swarm;
  auto& has = c.source.has;
  if (range.last >= s.geometry().chunks()) return;
  if (!has.add(range)) {
    // Full of small intervals: those that we hold ourselves are of no use any more.
    if (!has.full() || now - c.pruned < k_prune_pause || has.contains(range)) return;
    c.pruned = now;
    has.prune([&](ChunkRange each) { return s.config.held.test(each); });
    if (!has.add(range)) return;
  }
  c.news = true;
  s.picker.has(c.source, range);
  if (!c.bitmap_seen) {
    c.bitmap_seen = true;
    core_->emit(EventKind::bitmap, c.association->id, s.id());
  }
}

// A choke of a secured partner ends what was asked for. On a plain association anybody could have said it: what is
// under way is waited for, and when it comes the word is not believed (on_data).
void Fetcher::on_choke(Instant now, Channel& c, bool choked) {
  c.choked_by_partner = choked;
  if (!choked) {
    c.news = true;
    return;
  }
  c.choked = now;
  if (c.association->secured()) {
    c.swarm->picker.release_all(c.source);
    c.useless_since.reset();
    core_->freed(*c.swarm);
  }
}

// Does the hash of `node` help to prove a run under way? It does beside the way from a run to the root: the runs of its
// sibling's subtree lie beside each other. And a run's own tells what its octets have to be.
bool Fetcher::helps(const Channel& c, Bin node) const {
  auto& tree = c.swarm->tree;
  if (!tree.in_tree(node) || node == tree.root_bin() || tree.known(node)) return false;
  auto sibling = bin::sibling(node);
  auto& fetching = c.source.fetching;
  if (fetching.contains(node)) return true;
  auto at = fetching.lower_bound(sibling - (bin::width(sibling) - 1));
  return at != fetching.end() && at->first <= sibling + (bin::width(sibling) - 1);
}

// Hashes are kept only while they help runs that we asked for, unverified; one for each node, the newest.
void Fetcher::on_integrity(Instant now, Channel& c, std::span<const content::NodeHash> nodes) {
  auto& work = core_->ranges.work;
  auto& fetching = c.source.fetching;
  bool woken = false;
  for (auto& node : nodes) {
    work.count(8);
    if (!helps(c, node.bin)) continue;
    if (!c.offered.insert_or_assign(node.bin, node.hash).second) continue;
    work.count(c.source.complete.size() / 8);
    for (auto bin : c.source.complete)
      if (auto& run = fetching.at(bin); run.waits_for == node.bin) {
        run.waits_for.reset();
        woken = true;
      }
  }
  // At most 33 for each run help; what is beyond is left over from runs that are gone.
  if (c.offered.size() > 64 + 40 * fetching.size()) {
    work.count(c.offered.size());
    std::erase_if(c.offered, [&](auto& each) { return !helps(c, each.first); });
  }
  woken = woken || std::any_of(c.source.complete.begin(), c.source.complete.end(),
                               [&](Bin bin) { return !fetching.at(bin).waits_for; });
  if (woken) settle(now, c);
}

void Fetcher::on_data(Instant now, Channel& c, const ppspp::Message& m) {
  auto chunk = m.range.first;
  auto& s = *c.swarm;
  auto& fetching = c.source.fetching;
  if (chunk >= s.geometry().chunks() || m.data.size() != s.geometry().size_of(chunk)) return;
  auto at = fetching.end();
  for (int layer = 0; layer <= k_run_layer && at == fetching.end(); ++layer)
    at = fetching.find(bin::at(layer, chunk >> layer));
  if (at == fetching.end()) return;  // not asked for, cancelled, or a duplicate
  auto& run = at->second;
  auto bit = std::uint32_t{1} << (chunk - run.range.first);
  if ((run.received & bit) != 0) return;
  c.last_progress = now;
  c.useless_since = now;
  c.stalled = false;
  if (c.choked_by_partner) c.choked_by_partner = false, c.news = true;
  run.received |= bit;
  auto offset = s.geometry().offset_of(chunk) - s.geometry().offset_of(run.range.first);
  std::copy(m.data.begin(), m.data.end(), run.data.octets().subspan(offset).begin());
  if (!run.complete()) return;
  c.source.complete.push_back(run.bin);
  settle(now, c);
}

// ---- What is complete

// The hashes that a check of `run` needs and the tree does not know. False: one is missing, and the run waits for it.
bool Fetcher::proof(Channel& c, RunFetch& run, std::vector<content::NodeHash>& out) {
  out.clear();
  auto& tree = c.swarm->tree;
  for (auto at = run.bin; !tree.known(at); at = bin::parent(at)) {
    core_->ranges.work.count(4);
    auto sibling = bin::sibling(at);
    if (tree.known(sibling)) continue;
    auto found = c.offered.find(sibling);
    if (found == c.offered.end()) {
      run.waits_for = sibling;
      return false;
    }
    out.push_back({sibling, found->second});
  }
  run.waits_for.reset();
  return true;
}

// Hands to storage what is complete and can be proven: its hashes may come behind its chunks, or with another run.
void Fetcher::settle(Instant now, Channel& c) {
  std::vector<content::NodeHash> hashes;
  auto& complete = c.source.complete;
  while (c.open() && c.association->jobs < k_max_jobs) {  // a bad run may close it
    core_->ranges.work.count(complete.size() / 8 + 1);
    auto ready = std::find_if(complete.begin(), complete.end(), [&](Bin bin) {
      auto& run = c.source.fetching.at(bin);
      return !run.waits_for && proof(c, run, hashes);
    });
    if (ready == complete.end()) return;
    run_complete(now, c, *ready, hashes);
  }
}

// What the hash of a run must be: the tree knows, or the partner says and it leads to the root.
std::optional<content::Digest> Fetcher::proven_hash(Channel& c, Bin bin, std::span<const content::NodeHash> hashes) {
  auto& tree = c.swarm->tree;
  if (tree.known(bin)) return tree.hash(bin);
  auto own = c.offered.find(bin);
  if (own == c.offered.end() || !tree.verify(bin, own->second, hashes)) return std::nullopt;
  return own->second;
}

void Fetcher::run_complete(Instant now, Channel& c, Bin bin_of_run, std::span<const content::NodeHash> hashes) {
  auto& s = *c.swarm;
  auto run = std::move(c.source.fetching.at(bin_of_run));
  s.picker.release(c.source, bin_of_run);
  if (c.source.fetching.empty()) c.useless_since.reset();
  deny_overtaken(now, c, run.order);
  // Endgame: another was faster.
  if (s.config.held.test(run.range) || s.picker.storing(bin_of_run)) return fetch_after_arrival(now, c);
  StoredRun stored;
  stored.association = c.association->id;
  stored.partner = c.association->config.partner;
  stored.channel = c.local;
  stored.run = std::move(run);
  stored.expected = proven_hash(c, bin_of_run, hashes);
  if (!stored.expected) stored.hashes.assign(hashes.begin(), hashes.end());
  store(now, s, std::move(stored));
}

// ---- Storage

void Fetcher::store(Instant now, SwarmState& s, StoredRun stored) {
  stored.swarm = s.id();
  stored.swarm_generation = s.generation;
  s.picker.store(stored.run.bin);
  if (auto* a = core_->find(stored.association)) {
    ++a->jobs;
    if (auto* c = a->find(stored.channel)) ++c->source.storing;
  }
  core_->jobs.add(std::move(stored));
  if (core_->options.storage_jobs != StorageJobs::within) return;
  while (auto job = next_job()) finish(now, run(std::move(*job)));
}

SwarmState* Fetcher::swarm_of(const StoredRun& stored) {
  auto* s = core_->find(stored.swarm);
  return s && s->generation == stored.swarm_generation ? s : nullptr;
}

std::optional<StorageJob> Fetcher::next_job() {
  while (core_->jobs.waits()) {
    auto [id, stored] = core_->jobs.next();
    auto* s = swarm_of(*stored);
    if (!s) {  // its storage may be gone, too
      if (auto* a = core_->find(stored->association)) --a->jobs;
      core_->jobs.take(id);
      continue;
    }
    StorageJob out;
    out.id = id;
    out.storage = s->config.storage;
    out.offset = s->geometry().offset_of(stored->run.range.first);
    out.chunk_size = s->geometry().chunk_size();
    out.layer = bin::layer(stored->run.bin);
    out.buffer = stored->run.data.take();
    out.expected = stored->expected;
    return out;
  }
  return std::nullopt;
}

// Runs that were complete and did not fit into what storage may have of an association follow.
void Fetcher::job_done(Instant now, JobDone done) {
  auto* a = finish(now, std::move(done));
  for (std::size_t i = 0; a && i < a->channels.size(); ++i) settle(now, *a->channels[i]);
}

// Whoever brought it may be gone by now: what is written is written, and counts. The association it came on.
Association* Fetcher::finish(Instant now, JobDone done) {
  auto stored = core_->jobs.take(done.id);
  if (!stored) return nullptr;
  auto& run = stored->run;
  run.data.put(std::move(done.buffer));
  auto* a = core_->find(stored->association);
  if (a) {
    --a->jobs;
    core_->agenda.touch(*a);
  }
  auto* s = swarm_of(*stored);
  if (!s) return a;
  auto* c = a ? a->find(stored->channel) : nullptr;
  if (c) --c->source.storing;
  s->picker.stored(run.bin);
  if (done.status == JobStatus::written) {
    run_good(now, *s, *stored, c, *done.nodes);
  } else if (done.status == JobStatus::failed) {
    s->config.appetite = Appetite::none;
    core_->emit(EventKind::storage_failed, stored->association, s->id(), run.range, {}, std::move(done.error));
  } else if (stored->expected != done.nodes->root() && leads_to_root(*s, *stored, done.nodes->root())) {
    stored->expected = done.nodes->root();
    store(now, *s, std::move(*stored));
  } else if (c) {
    run_bad(now, *s, *c, run);
  } else {
    core_->freed(*s);
  }
  return a;
}

// Of a run of whose node nothing was known before it was hashed; or what was known had been damaged on a disk.
bool Fetcher::leads_to_root(SwarmState& s, const StoredRun& stored, const content::Digest& hash) {
  auto node = stored.run.bin;
  if (s.tree.known(node) ? s.tree.hash(node) == hash : s.tree.verify(node, hash, stored.hashes)) return true;
  return s.tree.mend(node, hash);
}

void Fetcher::credit(Instant now, Channel& c, const RunFetch& run) {
  auto& a = *c.association;
  c.bad_in_row = c.rests = 0;
  a.allowance.earn(64 + run.range.size() * 8);
  a.content_received += run.data.size();
  c.source.rate.add(now, run.asked);
  c.source.window = std::min(c.source.window + 1, c.source.rate.window(now, a.congestion.round_trip()));
  std::array<std::uint8_t, ppspp::k_ack_message> room;
  Writer w(room);
  ppspp::write_ack(w, run.range, 0);
  c.queue(bytes_of(w.written()));
}

void Fetcher::run_good(Instant now, SwarmState& s, const StoredRun& stored, Channel* c, const content::Subtree& nodes) {
  auto& run = stored.run;
  s.tree.store_subtree(run.bin, nodes);
  s.config.held.set(run.range);
  s.last_verified = now;
  auto& traffic = s.traffic;
  (stored.partner == PartnerKind::cache ? traffic.received_from_caches : traffic.received_from_ues) += run.data.size();
  if (c) credit(now, *c, run);
  // The tree knows more now: what waits on any channel may be provable.
  core_->for_each_channel(s, [&](Channel& other) {
    for (auto bin : other.source.complete) other.source.fetching.at(bin).waits_for.reset();
    if (&other == c || !other.source.fetching.contains(run.bin)) return;
    s.picker.release(other.source, run.bin);
    if (other.source.fetching.empty()) other.useless_since.reset();
    other.queue(ppspp::MessageType::cancel, run.range);
  });
  core_->emit(EventKind::chunks_verified, stored.association, s.id(), run.range);
  core_->chunks_gained(s, run.range, c);
  if (c) fetch_after_arrival(now, *c);
}

// Blame is certain only where datagrams are authenticated; elsewhere anybody could have sent them, and the run is just
// asked for again.
void Fetcher::run_bad(Instant now, SwarmState& s, Channel& c, const RunFetch& run) {
  auto& a = *c.association;
  ++a.integrity_failures;
  ++c.bad_runs;
  ++c.bad_in_row;
  s.picker.fetch_by_chunk(run.range.first);
  core_->freed(s);
  core_->emit(EventKind::integrity_failure, a.id, s.id(), run.range);
  if (a.secured() && c.bad_runs >= k_max_bad_runs) {
    core_->emit(EventKind::lied, a.id, s.id(), run.range);
    return core_->close_channel(c, "sent octets that do not verify", true);
  }
  if (a.secured()) return;
  c.source.window = std::max<std::size_t>(1, c.source.window / 2);
  if (c.bad_in_row >= k_max_bad_in_row) give_up(now, c, "nothing that comes from it verifies");
}

// ---- What to ask for

bool Fetcher::may_fetch(Instant now, const Channel& c) const {
  return c.open() && c.swarm->hungry() && !c.choked_by_partner && now >= c.rests_until;
}

// Memory for it is reserved before it is asked for.
bool Fetcher::may_ask(Instant now, const Channel& c) {
  auto octets = std::size_t{32} * c.swarm->geometry().chunk_size();
  return core_->download.allows(now) &&
         (c.source.busy() == 0 ? core_->buffers.room_for_first(octets) : core_->buffers.room(octets));
}

void Fetcher::asked(Instant now, Channel& c, RunFetch& fetch) {
  fetch.data = BufferPool::Buffer(core_->buffers, c.swarm->geometry().size_of(fetch.range));
  if (c.source.fetching.size() == 1) c.last_progress = now;
  if (!c.useless_since) c.useless_since = now;
  c.queue(ppspp::MessageType::request, fetch.range);
  core_->download.take(c.swarm->geometry().size_of(fetch.range));
  core_->asked_last = c.association->id;
}

void Fetcher::fetch(Instant now, Channel& c, std::uint64_t steps) {
  auto& picker = c.swarm->picker;
  picker.forgive(now, c.source);
  if (!may_fetch(now, c)) {
    c.source.searching = false;
    return;
  }
  if (picker.idle(now, c.source)) return;
  share(now, c);
  c.source.expected = c.source.rate.expected(c.source.busy(), c.association->congestion.round_trip());
  auto& allowance = c.association->allowance;
  auto budget = std::min(steps, allowance.available(now));
  auto spent = picker.search(
      now, c.source, budget, [&] { return may_ask(now, c); }, [&](RunFetch& fetch) { asked(now, c, fetch); });
  allowance.spend(spent);
  core_->ranges.work.count(spent);
}

// Who has all, or is a cache, asks nobody.
void Fetcher::share(Instant now, Channel& c) {
  constexpr Duration k_pause = 100ms;  // it changes with who comes and goes
  if (c.association->config.partner != PartnerKind::cache || now < c.shared + k_pause) return;
  c.shared = now;
  const EndpointHash number;
  std::vector<std::uint64_t> others;
  for (auto* other : c.swarm->channels) {
    auto& a = *other->association;
    if (!other->open() || a.config.partner != PartnerKind::ue || c.swarm->all_of(other->source.has)) continue;
    others.push_back(number(a.config.remote));
  }
  core_->ranges.work.count(others.size());
  Shares shares(number(c.association->config.local), std::move(others));
  if (shares == c.source.shares) return;
  c.source.shares = std::move(shares);
  c.source.any = false;
}

// Under a download limit asking is the timer's business, which takes the channels in turn: a fast partner would take
// all that there is.
void Fetcher::fetch_after_arrival(Instant now, Channel& c) {
  if (core_->options.download_limit == 0) fetch(now, c);
}

void Fetcher::fetch_everywhere(Instant now, SwarmState& s) {
  core_->for_each_channel(s, [&](Channel& c) { fetch(now, c); });
}

// A partner cannot be told "I no longer have it": PPSPP has no such message. Its requests stay unanswered until the
// chunk is here again.
void Fetcher::chunks_lost(Instant now, AssociationId reader, SwarmState& s, const std::vector<std::uint32_t>& chunks) {
  core_->emit(EventKind::storage_corrupt, reader, s.id(), {chunks.front(), chunks.back()});
  for (auto chunk : chunks) s.picker.fetch_by_chunk(chunk);
  s.config.appetite = Appetite::all;
  core_->freed(s);
  fetch_everywhere(now, s);
}

// ---- What does not come

// Requests are served in their order: what was asked for long before a run that came, and of which nothing has come,
// will not come (the partner never had it, or the request was cancelled by somebody).
void Fetcher::deny_overtaken(Instant now, Channel& c, std::uint64_t order) {
  constexpr std::uint64_t k_overtakers = 8;
  constexpr Duration k_pause = 100ms;  // a walk through all that is under way is not for each run
  if (now - c.overtaken < k_pause) return;
  c.overtaken = now;
  auto& fetching = c.source.fetching;
  core_->ranges.work.count(fetching.size() / 8);
  for (auto at = fetching.begin(); at != fetching.end();) {
    auto& run = (at++)->second;
    if (run.received != 0 || run.order + k_overtakers > order || now - run.asked < 1s) continue;
    c.swarm->picker.deny(now, c.source, run.range);
    c.swarm->picker.release(c.source, run.bin);
    core_->freed(*c.swarm);
  }
}

// It had its chance: what it was asked for goes to others, and it rests. The role is told and may replace it.
void Fetcher::give_up(Instant now, Channel& c, std::string why) {
  c.stalled = true;
  c.swarm->picker.release_all(c.source);
  core_->freed(*c.swarm);
  c.rests_until = now + k_stall * (1 << std::min(c.rests++, 4));
  c.last_progress = c.rests_until;
  c.useless_since.reset();
  core_->emit(EventKind::stalled, c.association->id, c.swarm->id(), {}, std::move(why));
  fetch_everywhere(now, *c.swarm);
}

// Small datagrams come, and DATA does not: what a path does whose MTU is too small, or has become so.
void Fetcher::look_at_path(const Channel& c) {
  auto& a = *c.association;
  auto needed = ppspp::k_channel_octets + ppspp::k_data_overhead + c.swarm->geometry().size_of(0);
  bool large_came = a.largest_received >= needed && a.largest_at > *c.useless_since;
  if (a.path_told || large_came || a.last_received < *c.useless_since || c.choked_by_partner) return;
  a.path_told = true;
  auto whole = needed + rtp::k_rtp_header + a.overhead() + (a.config.remote.address.is_v6() ? 48 : 28);
  core_->emit(EventKind::path_too_small, a.id, c.swarm->id(), {},
              "small datagrams come from " + a.config.remote.text() +
                  ", but none as large as a chunk needs: the path's MTU "
                  "seems to be below " +
                  std::to_string(whole) + "; what is published with a smaller --chunk-size may pass");
}

// Loss is made good below us. Silence means that the partner is gone or will not: others may have the runs, and after
// 10 s the role is told.
void Fetcher::watch_progress(Instant now, Channel& c) {
  auto& s = *c.swarm;
  auto& fetching = c.source.fetching;
  if (c.choked_by_partner && s.hungry() && !c.stalled && now - c.choked >= k_stall)
    return give_up(now, c, "it chokes us");
  if (c.useless_since && now - *c.useless_since >= k_stall) {
    look_at_path(c);
    return give_up(now, c, "it does not send what it was asked for");
  }
  if (fetching.empty() || now - c.last_progress < k_run_patience || now - c.asked_again < k_run_patience) return;
  c.asked_again = now;
  settle(now, c);  // what another channel has brought may prove a run of this one
  if (!c.open()) return;
  bool others = false;
  core_->for_each_channel(s, [&](Channel& other) {
    others = others || (&other != &c && may_fetch(now, other) && !other.stalled && !other.source.has.empty());
  });
  // Others are asked for what does not come. What is half here and nobody else has is asked for again.
  for (auto at = fetching.begin(); at != fetching.end();) {
    auto& run = (at++)->second;
    if (run.received != 0 && !others) {
      c.queue(ppspp::MessageType::request, run.range);
      continue;
    }
    if (run.received == 0) s.picker.deny(now, c.source, run.range);
    s.picker.release(c.source, run.bin);
  }
  core_->freed(s);
  c.source.window = others ? 1 : std::max<std::size_t>(1, c.source.window / 2);
  fetch_everywhere(now, s);
}

void Fetcher::tick(Instant now, Channel& c) {
  watch_progress(now, c);
  if (c.open()) fetch(now, c);
}

Instant Fetcher::deadline(Instant now, const Channel& c) const {
  auto& source = c.source;
  auto out = k_never;
  auto by = [&](Instant at) { out = std::min(out, at); };
  if (!source.fetching.empty()) by(std::max(now + 100ms, c.last_progress + k_run_patience));
  if (!c.swarm->hungry()) return out;
  bool limited = core_->options.download_limit != 0;
  if (c.choked_by_partner && !c.stalled) by(c.choked + k_stall);
  if (c.useless_since) by(*c.useless_since + k_stall);
  if (c.rests_until > now) by(c.rests_until);
  if (!source.denied.empty()) by(std::max(source.denied_until, now + k_search_pause));
  bool room = may_fetch(now, c) && source.busy() < source.window;
  if (source.searching || (room && !limited && !c.swarm->picker.idle(now, source))) by(now + k_search_pause);
  if (room && !limited) by(std::max(c.swarm->picker.overdue_at(source), now + k_search_pause));
  if (limited) by(std::max(core_->download.next(now), now + 1ms));
  return out;
}

}  // namespace sealcast::swarm
