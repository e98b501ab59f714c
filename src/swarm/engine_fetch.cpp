// What to ask for, on which channel, and what to do when it does not come.
#include <algorithm>
#include <utility>

#include "swarm/engine_impl.hpp"

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;

namespace {

// The first chunk of first..last that is not held; nothing when all are.
std::optional<std::uint32_t> first_missing(const content::Bitmap& held, ChunkRange range) {
  if (held.test(range)) return std::nullopt;
  return held.next_clear(range.first);
}

}  // namespace

void Engine::Impl::release(Channel& c, Bin bin) {
  auto asked = c.swarm->asked.find(bin);
  if (asked != c.swarm->asked.end() && --asked->second <= 0) c.swarm->asked.erase(asked);
  c.fetching.erase(bin);
}

void Engine::Impl::release_all(Channel& c) {
  while (!c.fetching.empty()) release(c, c.fetching.begin()->first);
}

bool Engine::Impl::ask(Instant now, Channel& c, ChunkRange range, bool endgame) {
  auto bin = c.swarm->piece_of(range);
  if (!bin || c.fetching.contains(*bin)) return false;
  auto& owners = c.swarm->asked[*bin];
  if (owners >= (endgame ? 2 : 1)) return false;
  ++owners;
  if (c.fetching.empty()) c.last_progress = now;
  if (!c.useless_since) c.useless_since = now;
  PieceFetch piece;
  piece.bin = *bin;
  piece.range = range;
  piece.asked = now;
  piece.order = ++c.order;
  c.fetching.emplace(*bin, std::move(piece));
  queue_range(c, ppspp::MessageType::request, range);
  download.take(c.swarm->geometry().size_of(range));
  return true;
}

// A run is asked for whole when the partner has it whole and we have none of it; else chunk by chunk.
bool Engine::Impl::fetch_run(Instant now, Channel& c, std::uint32_t run, bool endgame) {
  auto& s = *c.swarm;
  auto range = s.run_range(run);
  if (s.config.held.test(range) || (!c.denied.empty() && c.denied.contains(range))) return false;
  bool doubtful = !c.denied.empty() && c.denied.overlaps(range);
  if (!s.by_chunk[run] && !doubtful && !s.config.held.test_any(range) && c.has.contains(range))
    return ask(now, c, range, endgame);
  bool any = false;
  ranges.work.count(range.size());
  for (auto chunk = range.first; chunk <= range.last && c.fetching.size() < c.fetch_window; ++chunk) {
    // Not while the whole run is on its way on another channel.
    if (s.wants(chunk) && c.has.contains(chunk) && !(doubtful && c.denied.contains(chunk)) &&
        !s.asked.contains(*s.piece_of(range)))
      any = ask(now, c, {chunk, chunk}, endgame) || any;
  }
  return any;
}

bool Engine::Impl::may_fetch(Instant now, const Channel& c) const {
  return c.stage == ChannelStage::open && c.swarm->config.appetite != Appetite::none && !c.choked_by_partner &&
         now >= c.rests_until && !c.swarm->config.held.full();
}

// One step of a search: to the next chunk that the partner has and we do not, or a bounded way towards it. What it
// cost.
std::uint64_t Engine::Impl::look(Instant now, Association& a, Channel& c) {
  constexpr std::uint32_t k_block = 4096;  // chunks whose bits are looked at in one step
  auto& s = *c.swarm;
  auto chunks = s.geometry().chunks();
  auto from = std::min(c.cursor * 32, chunks - 1);
  std::uint32_t next_run = s.runs();
  std::uint64_t cost = 1;
  if (auto has = c.has.next(from)) {
    auto block_end = std::min(*has | (k_block - 1), chunks - 1);
    auto missing = first_missing(s.config.held, {*has, block_end});
    auto run = missing ? *missing / 32 : block_end / 32;
    if (missing) {
      cost += 8;
      if (s.by_chunk[run] != 0 || s.config.held.test_any(s.run_range(run))) cost += 32;
      if (fetch_run(now, c, run, c.search_endgame)) asked_last = a.id;
    }
    next_run = run + 1;
  }
  auto passed = std::uint64_t{std::min(next_run, s.runs()) - c.cursor} * 32;
  c.search_left -= std::min(c.search_left, passed);
  c.cursor = next_run >= s.runs() ? 0 : next_run;
  return cost;
}

// Once round all chunks that the partner has; then, when nothing is under way here, again for what others were asked
// for and have not brought.
void Engine::Impl::fetch(Instant now, Association& a, Channel& c, std::uint64_t steps) {
  auto& s = *c.swarm;
  if (now >= c.denied_until && !c.denied.empty()) {
    c.denied.clear();
    c.nothing_found.reset();
  }
  if (!may_fetch(now, c)) {
    c.searching = false;
    return;
  }
  if (c.nothing_found == s.revision && (c.nothing_in_endgame || !c.fetching.empty())) return;
  auto begin = [&](bool endgame) {
    c.searching = true;
    c.search_endgame = endgame;
    c.search_left = s.geometry().chunks();
  };
  if (!c.searching) begin(false);
  auto budget = std::min(steps, a.allowance.available(now));
  std::uint64_t spent = 0;
  while (c.fetching.size() < c.fetch_window && download.allows(now) && spent < budget && c.searching) {
    if (c.search_left > 0) {
      spent += look(now, a, c);
    } else if (!c.search_endgame && c.fetching.empty()) {
      begin(true);
    } else {
      c.searching = false;
      c.nothing_found = s.revision;
      c.nothing_in_endgame = c.search_endgame;
      // Nothing else is there to ask for: what was denied may be asked for again soon.
      if (c.fetching.empty()) c.denied_until = std::min(c.denied_until, now + 1s);
    }
  }
  // Only a search whose budget is at its end goes on where it is.
  if (spent < budget) c.searching = false;
  a.allowance.spend(spent);
  ranges.work.count(spent);
}

// Under a download limit asking is the timer's business, which takes the channels in turn: a fast partner would take
// all that there is.
void Engine::Impl::fetch_after_arrival(Instant now, Association& a, Channel& c) {
  if (options.download_limit == 0) fetch(now, a, c);
}

void Engine::Impl::fetch_everywhere(Instant now, SwarmState& s) {
  for_each_channel(s, [&](Association& a, Channel& c) { fetch(now, a, c); });
}

// The partner did not give this when it was asked. Others may have it, and it may give it later.
void Engine::Impl::deny(Instant now, Channel& c, ChunkRange range) {
  if (c.denied.empty()) c.denied_until = now + k_denial;
  c.denied.add(range);
}

// Requests are served in their order: what was asked for long before a piece that came, and of which nothing has come,
// will not come (the partner never had it, or the request was cancelled by somebody).
void Engine::Impl::deny_overtaken(Instant now, Channel& c, std::uint64_t order) {
  constexpr std::uint64_t k_overtakers = 8;
  ranges.work.count(c.fetching.size() / 8);
  for (auto at = c.fetching.begin(); at != c.fetching.end();) {
    auto& piece = (at++)->second;
    if (piece.received != 0 || piece.order + k_overtakers > order || now - piece.asked < 1s) continue;
    deny(now, c, piece.range);
    release(c, piece.bin);
    ++c.swarm->revision;
  }
}

// It had its chance: what it was asked for goes to others, and it rests. The role is told and may replace it.
void Engine::Impl::give_up(Instant now, Association& a, Channel& c, std::string why) {
  c.stalled = true;
  release_all(c);
  ++c.swarm->revision;
  c.rests_until = now + k_stall * (1 << std::min(c.rests++, 4));
  c.last_progress = c.rests_until;
  c.useless_since.reset();
  emit(EventKind::stalled, a.id, c.swarm->id(), {}, std::move(why));
  fetch_everywhere(now, *c.swarm);
}

// Small datagrams come, DATA has never come: what a path does whose MTU is too small.
void Engine::Impl::look_at_path(Association& a, const Channel& c) {
  auto needed = ppspp::k_channel_octets + ppspp::k_data_overhead + c.swarm->geometry().size_of(0);
  if (a.path_told || a.largest_received >= needed || a.last_received < *c.useless_since || c.choked_by_partner) return;
  a.path_told = true;
  auto whole = needed + rtp::k_rtp_header + (a.secured() ? a.sender->overhead() : 0) +
               (a.config.remote.address.is_v6() ? 48 : 28);
  emit(EventKind::path_too_small, a.id, c.swarm->id(), {},
       "small datagrams come from " + a.config.remote.text() +
           ", but none as large as a chunk needs: the path's MTU "
           "seems to be below " +
           std::to_string(whole));
}

// Loss is made good below us. Silence means that the partner is gone or will not: others may have the pieces, and after
// 10 s the role is told.
void Engine::Impl::watch_progress(Instant now, Association& a, Channel& c) {
  auto& s = *c.swarm;
  if (c.choked_by_partner && s.config.appetite != Appetite::none && !s.config.held.full()) {
    if (!c.stalled && now - c.choked >= k_stall) return give_up(now, a, c, "it chokes us");
  }
  if (c.useless_since && now - *c.useless_since >= k_stall) {
    look_at_path(a, c);
    return give_up(now, a, c, "it does not send what it was asked for");
  }
  if (c.fetching.empty() || now - c.last_progress < k_piece_patience || now - c.asked_again < k_piece_patience) return;
  c.asked_again = now;
  // What another channel has brought may prove a piece of this one.
  auto local = c.local;
  settle(now, a, local);
  if (!a.find(local)) return;
  bool others = false;
  for_each_channel(s, [&](Association&, Channel& other) {
    others = others || (&other != &c && may_fetch(now, other) && !other.stalled && !other.has.empty());
  });
  // Others are asked for what does not come. What is half here and nobody else has is asked for again.
  for (auto at = c.fetching.begin(); at != c.fetching.end();) {
    auto& piece = (at++)->second;
    if (piece.received != 0 && !others) {
      queue_range(c, ppspp::MessageType::request, piece.range);
      continue;
    }
    if (piece.received == 0) deny(now, c, piece.range);
    release(c, piece.bin);
  }
  ++s.revision;
  c.fetch_window = others ? 1 : std::max<std::size_t>(1, c.fetch_window / 2);
  fetch_everywhere(now, s);
}

}  // namespace sealcast::swarm
