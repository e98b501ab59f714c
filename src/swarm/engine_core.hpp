#pragma once
// What the parts of the engine share: associations, channels and swarms with their indexes, events, limits, and whose
// turn it is. The parts: fetcher (what is asked for and comes in), server (what partners ask for), packet builder, and
// the engine itself (engine*.cpp: verbs, handshakes, messages).
//
// A channel that is closed while a verb is under way is marked, and swept at the verb's end: references stay good, and
// who closed it has only to return.
#include <map>
#include <unordered_map>

#include "swarm/agenda.hpp"
#include "swarm/job_table.hpp"

namespace sealcast::swarm {

struct AssociationKey {
  Endpoint remote;
  std::uint32_t ssrc = 0;
  bool operator==(const AssociationKey&) const = default;
};
struct AssociationKeyHash {
  std::size_t operator()(const AssociationKey& k) const noexcept { return EndpointHash{}(k.remote) * 31 + k.ssrc; }
};

struct EngineCore {
  EngineCore(RandomSource& r, EngineOptions o)
      : random(r),
        options(std::move(o)),
        memory(std::max(options.memory_limit, k_least_memory_limit)),
        buffers(memory.share.arriving),
        download(options.download_limit),
        upload(options.upload_limit) {
    ranges.most = memory.share.intervals / k_octets_an_interval;
    ranges.guaranteed = k_intervals_at_rest;
  }

  Association* find(AssociationId id);
  SwarmState* find(const SwarmId& id);
  Channel& make_channel(Instant now, Association& a, SwarmState& s, bool initiator);
  void close_channel(Channel& c, const std::string& reason, bool tell_partner);
  void close_channels(SwarmState& s, const std::string& reason, bool plain_only);
  void sweep();  // at the end of each verb that may close channels
  void forget(Association& a);
  // Datagrams of so many octets do not pass, whole or in fragments.
  void path_is_small(Association& a, std::size_t octets, bool fragment);
  void emit(EventKind kind, AssociationId association, const SwarmId& swarm, content::ChunkRange range = {},
            std::string text = {}, Error error = {});
  // Open channels of the swarm; each counts as touched.
  template <class Visit>
  void for_each_channel(SwarmState& s, Visit visit) {
    for (std::size_t i = 0; i < s.channels.size(); ++i)
      if (auto& c = *s.channels[i]; c.open()) {
        agenda.touch(*c.association);
        visit(c);
      }
  }
  // Chunks of the swarm are free to be asked for again: its channels look at their deadlines.
  void freed(SwarmState& s);
  // HAVE to all but the channel they came from, and what waited for them is served.
  void chunks_gained(SwarmState& s, content::ChunkRange range, const Channel* from);

  RandomSource& random;
  EngineOptions options;
  Memory memory;
  RangePool ranges;
  BufferPool buffers;
  RateLimit download, upload;
  HashBudget hashes;
  AssociationId next_association = 1;
  std::uint64_t next_generation = 1;
  std::map<AssociationId, std::unique_ptr<Association>> associations;
  std::unordered_map<AssociationKey, Association*, AssociationKeyHash> by_key;
  std::unordered_map<SwarmId, std::unique_ptr<SwarmState>, crypto::DigestHash> swarms;
  JobTable jobs;
  Agenda agenda;
  std::vector<SwarmState*> freed_swarms;  // since deadlines were looked at last
  std::vector<Channel*> closed;           // to be swept
  std::size_t channels = 0;
  std::deque<Event> events;
  AssociationId asked_last = 0;  // association that was asked for something last
  Instant last_tick{};
};

}  // namespace sealcast::swarm
