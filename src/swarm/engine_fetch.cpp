// What to ask for, on which channel, and what to do when it does not come.
#include <algorithm>

#include "swarm/engine_impl.hpp"

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;

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
  PieceFetch piece;
  piece.bin = *bin;
  piece.range = range;
  piece.asked = now;
  c.fetching.emplace(*bin, std::move(piece));
  std::array<std::uint8_t, ppspp::k_range_message> room;
  Writer w(room);
  ppspp::write_range(w, ppspp::MessageType::request, range);
  queue_control(c, bytes_of(w.written()));
  download.take(c.swarm->geometry().size_of(range));
  return true;
}

// A run is asked for whole when the partner has it whole and we have none of it; else chunk by chunk.
bool Engine::Impl::fetch_run(Instant now, Channel& c, std::uint32_t run, bool endgame) {
  auto& s = *c.swarm;
  auto range = s.run_range(run);
  if (s.config.held.test(range)) return false;
  if (!s.by_chunk[run] && !s.config.held.test_any(range) && c.has.test(range)) return ask(now, c, range, endgame);
  bool any = false;
  for (auto chunk = range.first; chunk <= range.last && c.fetching.size() < c.fetch_window; ++chunk) {
    // Not while the whole run is on its way on another channel.
    if (s.wants(chunk) && c.has.test(chunk) && !s.asked.contains(*s.piece_of(range)))
      any = ask(now, c, {chunk, chunk}, endgame) || any;
  }
  return any;
}

void Engine::Impl::fetch(Instant now, Association& a, Channel& c) {
  auto& s = *c.swarm;
  if (c.stage != ChannelStage::open || s.config.appetite == Appetite::none || c.choked_by_partner ||
      s.config.held.full())
    return;
  constexpr std::uint32_t k_most_runs = 4096;  // at one call; the next one goes on from the cursor
  // Once round all runs at most; then again for what others were asked for and have not brought.
  for (bool endgame : {false, true}) {
    auto runs = s.runs();
    for (std::uint32_t looked = 0; looked < std::min(runs, k_most_runs) && c.fetch_window > c.fetching.size();
         ++looked) {
      if (!download.allows(now)) return;
      auto next = s.config.held.next_clear(std::min(c.cursor * 32, s.geometry().chunks() - 1));
      auto run = next >= s.geometry().chunks() ? 0 : next / 32;
      if (run != c.cursor && run > c.cursor) looked += run - c.cursor;
      if (fetch_run(now, c, run, endgame)) asked_last = a.id;
      c.cursor = (run + 1) % runs;
    }
    if (!c.fetching.empty()) return;
  }
}

// Under a download limit asking is the timer's business, which takes the channels in turn: a fast partner would take
// all that there is.
void Engine::Impl::fetch_after_arrival(Instant now, Association& a, Channel& c) {
  if (options.download_limit == 0) fetch(now, a, c);
}

void Engine::Impl::fetch_everywhere(Instant now, SwarmState& s) {
  for_each_channel(s, [&](Association& a, Channel& c) { fetch(now, a, c); });
}

// Loss is made good below us. Silence means that the partner is gone or will not: others may have the pieces, and after
// 10 s the role is told.
void Engine::Impl::watch_progress(Instant now, Association& a, Channel& c) {
  if (c.fetching.empty() || now - c.last_progress < k_piece_patience) return;
  if (!c.stalled && now - c.last_progress >= k_stall) {
    c.stalled = true;
    emit(EventKind::stalled, a.id, c.swarm->id());
  }
  auto& s = *c.swarm;
  bool others = false;
  for_each_channel(s, [&](Association&, Channel& other) {
    others = others || (&other != &c && !other.stalled && !other.has.empty());
  });
  if (!others) {
    if (now - c.asked_again < k_piece_patience) return;
    c.asked_again = now;
    // What another channel has brought may prove a piece of this one.
    auto local = c.local;
    settle(now, a, local);
    if (!a.find(local)) return;
    auto pieces = c.fetching;
    for (auto& [bin, piece] : pieces) {
      release(c, bin);
      ask(now, c, piece.range, false);
    }
    return;
  }
  release_all(c);
  c.fetch_window = 1;
  fetch_everywhere(now, s);
}

}  // namespace sealcast::swarm
