#pragma once
// What comes in: what the partner has, runs that were asked for, the hashes that prove them; and what is done when they
// do not come.
#include "swarm/engine_core.hpp"

namespace sealcast::swarm {

inline constexpr std::uint64_t k_search_steps = 4096;  // of a timer

class Fetcher {
 public:
  explicit Fetcher(EngineCore& core) : core_(&core) {}

  // Messages of a partner.
  void on_have(Instant now, Channel& c, content::ChunkRange range);
  void on_choke(Instant now, Channel& c, bool choked);
  void on_integrity(Instant now, Channel& c, std::span<const content::NodeHash> nodes);
  void on_data(Instant now, Channel& c, const ppspp::Message& m);

  // Asks for what fits into the window; looks at no more than `steps`, and goes on later.
  void fetch(Instant now, Channel& c, std::uint64_t steps = k_search_steps);
  void fetch_everywhere(Instant now, SwarmState& s);
  // Chunks that were held are missing: fetched again. `reader` is the association that wanted them, or 0.
  void chunks_lost(Instant now, AssociationId reader, SwarmState& s, const std::vector<std::uint32_t>& chunks);
  // Runs for storage, and what became of them.
  std::optional<StorageJob> next_job();
  void job_done(Instant now, JobDone done);
  // Looks after what does not come, then fetches.
  void tick(Instant now, Channel& c);
  Instant deadline(Instant now, const Channel& c) const;

 private:
  void share(Instant now, Channel& c);
  bool may_fetch(Instant now, const Channel& c) const;
  bool may_ask(Instant now, const Channel& c);
  void asked(Instant now, Channel& c, RunFetch& fetch);
  void fetch_after_arrival(Instant now, Channel& c);
  bool helps(const Channel& c, content::Bin node) const;
  bool proof(Channel& c, RunFetch& run, std::vector<content::NodeHash>& out);
  void settle(Instant now, Channel& c);
  void run_complete(Instant now, Channel& c, content::Bin bin, std::span<const content::NodeHash> hashes);
  std::optional<content::Digest> proven_hash(Channel& c, content::Bin bin, std::span<const content::NodeHash> hashes);
  void store(Instant now, SwarmState& s, StoredRun stored);
  SwarmState* swarm_of(const StoredRun& stored);
  Association* finish(Instant now, JobDone done);
  static bool leads_to_root(SwarmState& s, const StoredRun& stored, const content::Digest& hash);
  void run_good(Instant now, SwarmState& s, const StoredRun& stored, Channel* c, const content::Subtree& nodes);
  void credit(Instant now, Channel& c, const RunFetch& run);
  void run_bad(Instant now, SwarmState& s, Channel& c, const RunFetch& run);
  void deny_overtaken(Instant now, Channel& c, std::uint64_t order);
  void watch_progress(Instant now, Channel& c);
  void give_up(Instant now, Channel& c, std::string why);
  void look_at_path(const Channel& c);

  EngineCore* core_;
};

}  // namespace sealcast::swarm
