#pragma once
// Runs that are with storage. Forgetting one is a matter of its swarm being gone, or another by now: its place stays
// taken until the answer comes, and with it the memory that it has.
#include <deque>
#include <optional>
#include <vector>

#include "ppspp/message.hpp"
#include "swarm/engine.hpp"
#include "swarm/picker.hpp"
#include "swarm/storage_job.hpp"

namespace sealcast::swarm {

struct StoredRun {
  SwarmId swarm{};
  std::uint64_t swarm_generation = 0;
  AssociationId association = 0;
  PartnerKind partner = PartnerKind::cache;
  ppspp::ChannelId channel = 0;
  RunFetch run;
  std::vector<content::NodeHash> hashes;  // offered with it, for a run whose node nothing was known of
  std::optional<content::Digest> expected;
};

class JobTable {
 public:
  // To be handed out by next().
  void add(StoredRun run) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(places_.size()));
      places_.emplace_back();
    }
    auto place = free_.back();
    free_.pop_back();
    places_[place].run.emplace(std::move(run));
    waiting_.push_back({place, places_[place].generation});
  }
  bool waits() const { return !waiting_.empty(); }
  std::size_t size() const { return places_.size() - free_.size(); }
  std::pair<JobId, StoredRun*> next() {
    auto id = waiting_.front();
    waiting_.pop_front();
    return {id, &*places_[id.place].run};
  }
  // The run that an answer is about, which leaves the table; nothing if it is nobody's.
  std::optional<StoredRun> take(JobId id) {
    if (id.place >= places_.size()) return std::nullopt;
    auto& place = places_[id.place];
    if (place.generation != id.generation || !place.run) return std::nullopt;
    auto out = std::move(place.run);
    place.run.reset();
    ++place.generation;
    free_.push_back(id.place);
    return out;
  }

 private:
  struct Place {
    std::uint32_t generation = 1;
    std::optional<StoredRun> run;
  };
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::deque<JobId> waiting_;
};

}  // namespace sealcast::swarm
