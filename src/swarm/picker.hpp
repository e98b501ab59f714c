#pragma once
// What is asked for next, and of whom.
#include <functional>
#include <map>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/time.hpp"
#include "content/bitmap.hpp"
#include "swarm/buffer_pool.hpp"
#include "swarm/range_set.hpp"
#include "swarm/run_rate.hpp"
#include "swarm/runs.hpp"
#include "swarm/shares.hpp"

namespace sealcast::swarm {

// A run that was asked for on a channel and comes in.
struct RunFetch {
  content::Bin bin = 0;
  content::ChunkRange range{};
  BufferPool::Buffer data;                // opened when the first chunk comes
  std::uint32_t received = 0;             // one bit per chunk
  std::optional<content::Bin> waits_for;  // complete, and this hash is missing to prove it
  std::uint64_t order = 0;                // of asking, on its channel
  Instant asked{};
  bool complete() const {
    return received == (range.size() == 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << range.size()) - 1);
  }
};

// A channel as the picker sees it: what the partner has, what it was asked for, and how far the search has come.
struct Source {
  explicit Source(RangePool& pool) : has(pool), denied(pool) {}
  RangeSet has;     // by its own word
  RangeSet denied;  // it did not give these when it was asked; not asked for again before `denied_until`
  Instant denied_until{};
  std::map<content::Bin, RunFetch> fetching;
  std::vector<content::Bin> complete;     // of these: all chunks are here, and storage does not have it yet
  std::size_t storing = 0;                // runs that came from here and are with storage
  std::size_t window = RunRate::k_least;  // runs that may be under way, or with storage
  RunRate rate;                           // of runs that verified
  std::uint64_t order = 0;                // of the run that was asked for last
  std::size_t busy() const { return fetching.size() + storing; }
  std::uint32_t cursor = 0;  // whole run where the search goes on
  std::uint64_t dice = 0;    // of chance
  // A search that has run out of its budget goes on at the next call.
  bool searching = false, jumped = false;
  std::uint64_t left = 0;                      // chunks that the search has not come to
  std::optional<std::uint64_t> nothing_found;  // Picker::revision at which a search came home empty
  std::vector<content::ChunkRange> news;       // what the partner has got since
  Duration expected = RunRate::k_unknown;      // until what is asked for now would be here
  Instant overdue_at{};                        // when to look for what is overdue elsewhere
  Shares shares;                               // of a partner that others fetch from as well
  bool any = false;                            // nothing of our share was left
};

// Chooses runs of one swarm for its channels. The rules, and why:
//
//  1. Each channel searches on from where it was, beginning at a random run, for the next chunk that the partner has
//     and we do not. Partners then bring different parts, and UEs that start together have something to give to each
//     other. No count of who has what is kept: a partner says what it likes, and would steer it.
//  2. A run is asked for whole when the partner has it whole and nothing of it is here; else chunk by chunk. A whole
//     run needs one proof and one write.
//  3. A run is asked of one partner. Only one that has nothing under way and finds nothing else is asked, a second one
//     at most, for what another is asked for already, and only if it is overdue there, or would be here in less than
//     half of the time: a transfer does not hang on the slowest, what a slow one was asked for goes to who can give it
//     now, and in a crowd, where most have nothing new at most times, nothing comes twice for that. No chunk is asked
//     for while its whole run is under way.
//  4. A run that did not verify as a whole is fetched chunk by chunk from then on: the good chunks are kept, and the
//     bad one has a sender.
//  5. What a partner was asked for and did not give is not asked of it for a while (10 s; 1 s if it has nothing else):
//     a HAVE that is not true costs one question. Other partners are asked at once.
//  6. The window, runs under way on a channel, begins at 4, grows by one with each run that verifies, up to what keeps
//     the partner busy at the rate at which it gives (RunRate), and is halved when nothing comes for 3 s: who answers
//     gets asked, who is slow or does not answer holds little back.
//  7. What has come and is with storage is asked of nobody, and counts in the window: storage that is slow slows the
//     asking, and what waits for it is bounded.
//  8. A search has a budget of steps and goes on later, and one that found nothing is not repeated before something
//     changed; of what a partner has got since only that is looked at: else a HAVE in each datagram would cost a walk
//     over the whole object.
//  9. Where the next missing chunk begins a gap, another partner of ours or somebody who tells us what he gets is at
//     work. A random run of the gap is taken, once in a search: UEs whose searches have met would ask for the same
//     from there on.
// 10. Of a cache, which all UEs of a swarm ask, first what is our share among the UEs that we know and that fetch, too;
//     they bring us the rest. When nothing of it is left, anything.
//
// O(log n) in what a partner said for a step, which passes up to 4,096 chunks.
class Picker {
 public:
  Picker(const Runs& runs, const content::Bitmap& held, Work& work);

  // Goes on with the search, or begins one, until the window is full, nothing is left, `allows` says no, or `steps` are
  // spent. What is asked for is in `fetching` and given to `ask`. Returns the steps.
  std::uint64_t search(Instant now, Source& source, std::uint64_t steps, const std::function<bool()>& allows,
                       const std::function<void(RunFetch&)>& ask);
  // A search would find nothing: none before something has changed.
  bool idle(Instant now, const Source& source) const {
    return source.nothing_found == revision_ && source.news.empty() && now < overdue_at(source);
  }
  // When it is worth asking this partner for what is under way elsewhere.
  Instant overdue_at(const Source& source) const {
    return source.busy() > 0 || asked_.empty() || source.has.empty() ? k_never : source.overdue_at;
  }
  // The partner has this, which was not known.
  void has(Source& source, content::ChunkRange range);
  // Is not under way on this channel any more: it came, or will not.
  void release(Source& source, content::Bin bin);
  void release_all(Source& source);
  // With storage, until it is stored or refused.
  void store(content::Bin bin) { storing_.insert(bin); }
  void stored(content::Bin bin) { storing_.erase(bin); }
  bool storing(content::Bin bin) const { return storing_.contains(bin); }
  void deny(Instant now, Source& source, content::ChunkRange range);
  void forgive(Instant now, Source& source);  // what was denied, when its time is over
  // Rule 4.
  void fetch_by_chunk(std::uint32_t chunk) { by_chunk_[chunk / 32] = true; }
  // Something may be asked for that could not be: searches that found nothing are worth repeating.
  void changed() { ++revision_; }
  bool nothing_asked() const { return asked_.empty() && storing_.empty(); }

  // What must hold between calls; ends the process if it does not. All channels of the swarm are `sources`. For tests
  // and fuzzing: O(runs under way).
  void check(std::span<const Source* const> sources) const;

 private:
  std::uint64_t step(Instant now, Source& source, const std::function<void(RunFetch&)>& ask);
  std::uint32_t within_gap(Source& source, std::uint32_t missing, std::uint32_t block_end) const;
  bool ask_run(Instant now, Source& source, std::uint32_t run, const std::function<void(RunFetch&)>& ask);
  void begin_fetch(Instant now, Source& source, content::Bin bin, content::ChunkRange range,
                   const std::function<void(RunFetch&)>& ask);
  bool ask_for(Instant now, Source& source, content::ChunkRange range, const std::function<void(RunFetch&)>& ask);
  void begin(Source& source) const;
  std::uint64_t look_at_news(Instant now, Source& source, std::uint64_t steps, const std::function<bool()>& allows,
                             const std::function<void(RunFetch&)>& ask);
  std::uint64_t ask_for_overdue(Instant now, Source& source, const std::function<void(RunFetch&)>& ask);

  const Runs* runs_;
  const content::Bitmap* held_;
  Work* work_;
  struct Asked {
    int owners = 0;  // channels
    Instant due{};   // expected from the first of them
  };
  std::unordered_map<content::Bin, Asked> asked_;  // runs under way
  std::unordered_set<content::Bin> storing_;
  std::vector<bool> by_chunk_;  // of each whole run
  std::uint64_t revision_ = 0;
};

}  // namespace sealcast::swarm
