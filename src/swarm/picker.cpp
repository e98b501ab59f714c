#include "swarm/picker.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace sealcast::swarm {

using content::Bin;
using content::ChunkRange;

namespace {

constexpr Duration k_denial = 10s, k_denial_of_all = 1s;
constexpr std::uint32_t k_block = 4096;  // chunks whose bits are looked at in one step
constexpr std::size_t k_most_news = 64;  // ranges
constexpr std::uint32_t k_longest_news = 32 * 8;
constexpr Duration k_overdue_pause = 50ms;

// The first chunk of `range` that is not held; nothing when all are.
std::optional<std::uint32_t> first_missing(const content::Bitmap& held, ChunkRange range) {
  if (held.test(range)) return std::nullopt;
  return held.next_clear(range.first);
}

}  // namespace

Picker::Picker(const Runs& runs, const content::Bitmap& held, Work& work)
    : runs_(&runs), held_(&held), work_(&work), by_chunk_(runs.count()) {}

void Picker::release(Source& source, Bin bin) {
  if (source.fetching.erase(bin) == 0) return;
  std::erase(source.complete, bin);
  auto asked = asked_.find(bin);
  if (--asked->second.owners == 0) asked_.erase(asked);
}

void Picker::release_all(Source& source) {
  while (!source.fetching.empty()) release(source, source.fetching.begin()->first);
}

void Picker::has(Source& source, ChunkRange range) {
  if (source.nothing_found == revision_ && source.news.size() < k_most_news && range.size() <= k_longest_news) {
    source.news.push_back(range);
    return;
  }
  source.nothing_found.reset();
  source.left = runs_->geometry().chunks();  // of a search under way: it may have passed what is new, or is moved there
  if (source.fetching.empty() && (source.cursor < range.first / 32 || source.cursor > range.last / 32))
    source.cursor = range.first / 32;
}

void Picker::deny(Instant now, Source& source, ChunkRange range) {
  if (source.denied.empty()) source.denied_until = now + k_denial;
  source.denied.add(range);
}

void Picker::forgive(Instant now, Source& source) {
  if (now < source.denied_until || source.denied.empty()) return;
  source.denied.clear();
  source.nothing_found.reset();
}

bool Picker::ask_for(Instant now, Source& source, ChunkRange range, const std::function<void(RunFetch&)>& ask) {
  auto bin = runs_->node_of(range);
  if (!bin || source.fetching.contains(*bin) || storing_.contains(*bin)) return false;
  auto& asked = asked_[*bin];
  if (asked.owners > 0) return false;
  asked = {1, now + source.expected};
  begin_fetch(now, source, *bin, range, ask);
  return true;
}

void Picker::begin_fetch(Instant now, Source& source, Bin bin, ChunkRange range,
                         const std::function<void(RunFetch&)>& ask) {
  RunFetch fetch;
  fetch.bin = bin;
  fetch.range = range;
  fetch.asked = now;
  fetch.order = ++source.order;
  ask(source.fetching.emplace(bin, std::move(fetch)).first->second);
}

// Rules 2 and 4.
bool Picker::ask_run(Instant now, Source& source, std::uint32_t run, const std::function<void(RunFetch&)>& ask) {
  auto range = runs_->whole(run);
  if (held_->test(range) || (!source.denied.empty() && source.denied.contains(range))) return false;
  bool doubtful = !source.denied.empty() && source.denied.overlaps(range);
  if (!by_chunk_[run] && !doubtful && !held_->test_any(range) && source.has.contains(range))
    return ask_for(now, source, range, ask);
  bool any = false;
  work_->count(range.size());
  for (auto chunk = range.first; chunk <= range.last && source.busy() < source.window; ++chunk) {
    if (held_->test(chunk) || !source.has.contains(chunk) || (doubtful && source.denied.contains(chunk))) continue;
    auto whole = *runs_->node_of(range);
    if (asked_.contains(whole) || storing_.contains(whole)) continue;
    any = ask_for(now, source, {chunk, chunk}, ask) || any;
  }
  return any;
}

// The gap that the next missing chunk begins is where another one is at work, of whom we have what is before it: its
// middle is as good for us, and leaves that one alone. A random run of the part of the gap that is near.
std::uint32_t Picker::within_gap(Source& source, std::uint32_t missing, std::uint32_t block_end) const {
  auto first = missing / 32, last = first;
  while (last < block_end / 32 && !held_->test_any(runs_->whole(last + 1))) ++last;
  source.dice = source.dice * 6364136223846793005u + 1442695040888963407u;  // any will do: nobody is to guess it
  return first + static_cast<std::uint32_t>((source.dice >> 33) % (last - first + 1));
}

// One step of a search: to the next chunk that the partner has and we do not, or a bounded way towards it. What it
// cost.
std::uint64_t Picker::step(Instant now, Source& source, const std::function<void(RunFetch&)>& ask) {
  auto chunks = runs_->geometry().chunks();
  auto from = std::min(source.cursor * 32, chunks - 1);
  std::uint32_t next_run = runs_->count();
  std::uint64_t cost = 1;
  if (auto has = source.has.next(from)) {
    auto block_end = std::min(*has | (k_block - 1), chunks - 1);
    auto missing = first_missing(*held_, {*has, block_end});
    auto run = missing ? *missing / 32 : block_end / 32;
    if (missing) {
      cost += 8;
      if (run != source.cursor && !std::exchange(source.jumped, true)) {
        auto chosen = within_gap(source, *missing, block_end);
        if (source.has.contains(runs_->whole(chosen))) run = source.cursor = chosen;
        source.left = chunks;  // once round from here
      }
      if (by_chunk_[run] || held_->test_any(runs_->whole(run))) cost += 32;
      if (source.any || source.shares.alone() || source.shares.ours(run)) ask_run(now, source, run, ask);
    }
    next_run = run + 1;
  }
  auto passed = std::uint64_t{std::min(next_run, runs_->count()) - source.cursor} * 32;
  source.left -= std::min(source.left, passed);
  source.cursor = next_run >= runs_->count() ? 0 : next_run;
  return cost;
}

void Picker::begin(Source& source) const {
  source.searching = true;
  source.jumped = false;
  source.left = runs_->geometry().chunks();
  source.news.clear();
}

// All else is known to be of no use.
std::uint64_t Picker::look_at_news(Instant now, Source& source, std::uint64_t steps,
                                   const std::function<bool()>& allows, const std::function<void(RunFetch&)>& ask) {
  std::uint64_t spent = 0;
  while (!source.news.empty() && source.busy() < source.window && spent < steps && allows()) {
    auto& range = source.news.back();
    auto run = range.first / 32;
    spent += 8;
    ask_run(now, source, run, ask);
    if (source.busy() >= source.window) break;  // some of its chunks may be left
    if (range.last / 32 > run)
      range.first = (run + 1) * 32;
    else
      source.news.pop_back();
  }
  return spent;
}

// Rule 3's second time.
std::uint64_t Picker::ask_for_overdue(Instant now, Source& source, const std::function<void(RunFetch&)>& ask) {
  constexpr Duration k_grace = 100ms;
  source.overdue_at = now + k_overdue_pause;
  for (auto& [bin, asked] : asked_) {
    bool slow = now > asked.due + k_grace || asked.due - now > 2 * source.expected + k_grace;
    auto range = runs_->cut(bin);
    if (!slow || asked.owners > 1 || source.fetching.contains(bin) || storing_.contains(bin)) continue;
    if (!source.has.contains(range) || (!source.denied.empty() && source.denied.overlaps(range))) continue;
    ++asked.owners;
    begin_fetch(now, source, bin, range, ask);
    break;  // the next one when this one is here
  }
  return 1 + asked_.size() / 4;
}

// Once round all chunks that the partner has; or what it got since that was done.
std::uint64_t Picker::search(Instant now, Source& source, std::uint64_t steps, const std::function<bool()>& allows,
                             const std::function<void(RunFetch&)>& ask) {
  std::uint64_t spent = 0;
  if (source.has.empty()) {  // where the search begins stays where it was
    source.nothing_found = revision_;
    return spent;
  }
  if (source.nothing_found == revision_) {
    spent = look_at_news(now, source, steps, allows, ask);
  } else {
    if (!source.searching) begin(source);
    while (source.busy() < source.window && spent < steps && source.left > 0 && allows()) {
      spent += step(now, source, ask);
      if (source.left > 0 || source.shares.alone() || std::exchange(source.any, true)) continue;
      source.left = runs_->geometry().chunks();
    }
    // Of the last run some chunks may be left.
    if (source.left == 0 && source.busy() < source.window) source.nothing_found = revision_;
    // Only a search whose budget is at its end goes on where it is.
    source.searching = spent >= steps && source.left > 0;
  }
  if (source.nothing_found != revision_ || source.busy() > 0 || !source.news.empty()) return spent;
  // Nothing else is there to ask for: what was denied may be asked for again soon.
  source.denied_until = std::min(source.denied_until, now + k_denial_of_all);
  if (now >= source.overdue_at && spent < steps && allows()) spent += ask_for_overdue(now, source, ask);
  return spent;
}

void Picker::check(std::span<const Source* const> sources) const {
  std::unordered_map<Bin, int> owners;
  std::size_t storing = 0;
  for (auto* source : sources) {
    SEALCAST_ASSERT(source->cursor < runs_->count() && source->window >= 1);
    SEALCAST_ASSERT(source->left <= runs_->geometry().chunks());
    storing += source->storing;
    for (auto& [bin, fetch] : source->fetching) {
      ++owners[bin];
      SEALCAST_ASSERT(fetch.bin == bin && fetch.range == runs_->cut(bin) && runs_->node_of(fetch.range) == bin);
      SEALCAST_ASSERT(fetch.order <= source->order && (fetch.received == 0 || !fetch.data.empty()));
      SEALCAST_ASSERT(fetch.data.empty() || fetch.data.size() == runs_->geometry().size_of(fetch.range));
      SEALCAST_ASSERT(!fetch.waits_for || fetch.complete());
    }
  }
  for (auto* source : sources)
    for (auto bin : source->complete) SEALCAST_ASSERT(source->fetching.at(bin).complete());
  SEALCAST_ASSERT(owners.size() == asked_.size() && storing <= storing_.size());
  for (auto& [bin, count] : owners) SEALCAST_ASSERT((count == 1 || count == 2) && asked_.at(bin).owners == count);
}

}  // namespace sealcast::swarm
