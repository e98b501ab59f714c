#pragma once
// State of one channel (one swarm on one association) and of one association; plain data that the parts of the engine
// work on.
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "ppspp/message.hpp"
#include "swarm/allowance.hpp"
#include "swarm/arrivals.hpp"
#include "swarm/congestion.hpp"
#include "swarm/engine.hpp"
#include "swarm/picker.hpp"
#include "swarm/rate_limit.hpp"
#include "swarm/swarm_state.hpp"
#include "swarm/timer_heap.hpp"

namespace sealcast::swarm {

struct Association;

inline constexpr std::size_t k_max_control_queue = 4096;  // control datagrams that wait on one channel

// closed: the mark of a channel that goes at the end of the verb under way. Until then it may be referred to, and takes
// part in nothing.
enum class ChannelStage : std::uint8_t { opening, half_open, open, closed };

// A run that was read and checked, and goes out.
struct ServedRun {
  Bytes octets;  // empty: to be read again
  content::ChunkRange range{};
  std::uint32_t next = 0;  // chunk
  Bytes hashes;            // its INTEGRITY messages that did not go out yet; its chunks come behind them
};

struct Channel {
  Channel(Association& a, SwarmState& s, RangePool& pool, Memory& m)
      : association(&a),
        swarm(&s),
        memory(&m),
        at_rest(m.use.associations, k_octets_a_channel),
        queued(m.use.queues),
        requested(pool),
        sent(pool),
        acknowledged(pool),
        serving_octets(m.use.serving),
        source(pool) {}
  Association* association;
  SwarmState* swarm;
  Memory* memory;
  Charge at_rest, queued;
  ppspp::ChannelId local = 0, remote = 0;
  ChannelStage stage = ChannelStage::opening;
  bool initiator = false;
  Instant opened{}, next_handshake{};
  int handshakes = 0;
  std::optional<Instant> closing;           // a plain partner, or anybody, said that it closes; believed from then on
  std::deque<crypto::Digest> keyinfo_seen;  // the newest; bounded

  bool open() const { return stage == ChannelStage::open; }
  bool closed() const { return stage == ChannelStage::closed; }

  // Messages for the partner: each of `control` fits a datagram with its channel id.
  std::deque<Bytes> control;
  std::size_t control_octets = 0;
  std::vector<content::ChunkRange> have_queue;  // HAVE to be packed; bounded
  std::optional<std::uint32_t> have_from;       // and of the bitmap from here on
  bool keyinfo_due = false;
  void queue(Bytes messages);
  void queue(ppspp::MessageType type, content::ChunkRange range);
  void queue_alone(Bytes messages);  // a datagram of its own
  void queue_again(Bytes messages);  // before all others
  Bytes next_control();
  void has(content::ChunkRange range);  // HAVE for the partner
  bool queue_room() const;
  bool resend_room() const;
  void count();  // brings the books up to date

  // What we serve (server.cpp).
  std::deque<content::ChunkRange> serve_queue;  // what the partner asked for, in order
  RangeSet requested;                           // what of it is still wanted
  RangeSet sent, acknowledged;                  // chunks that we sent here; of these, what the partner says it verified
  std::vector<content::ChunkRange> waiting;     // asked for, found corrupt, being fetched again (bounded)
  std::set<std::uint32_t> resend;               // chunks whose DATA was lost
  std::deque<ServedRun> serving;                // the first goes out now
  Charge serving_octets;
  void count_serving();  // brings the books up to date
  Instant compacted{};   // `serve_queue` is cleared up at times
  bool serves() const { return !serving.empty() || !serve_queue.empty() || !resend.empty(); }

  // What we fetch (fetcher.cpp).
  Source source;
  bool bitmap_seen = false, choked_by_partner = false;
  Instant choked{}, pruned{};                       // `source.has` is cleared up at times
  Instant shared{};                                 // when it was looked who else fetches
  Instant overtaken{};                              // when runs that were overtaken were last looked for
  bool news = false;                                // the datagram at hand told of chunks that were not known
  std::map<content::Bin, content::Digest> offered;  // hashes that help a run under way, not verified; bounded
  Instant last_progress{};                          // a chunk that was asked for came, or was asked for after a rest
  // Since when something was asked for and nothing came, however often it was asked for and whatever else was said.
  std::optional<Instant> useless_since;
  Instant asked_again{}, rests_until{};
  int rests = 0;  // in a row
  bool stalled = false;
  int bad_runs = 0, bad_in_row = 0;
};

struct Association : Timed {
  explicit Association(Memory& m) : at_rest(m.use.associations, k_octets_an_association), in_flight(m.use.in_flight) {}
  Charge at_rest, in_flight;
  AssociationId id = 0;
  AssociationConfig config;
  std::optional<rtp::SrtpSender> sender;
  std::optional<rtp::SrtpReceiver> receiver;
  std::uint16_t first_sequence = 0;
  std::uint64_t packets_sent = 0;
  Congestion congestion;
  Arrivals arrivals;
  Allowance allowance;
  RateLimit keyinfos{32};  // KEYINFO texts a second that are handed to the role
  std::set<SwarmId> admitted;
  std::vector<std::unique_ptr<Channel>> channels;  // in the order of their turn to send
  std::unordered_map<ppspp::ChannelId, Channel*> by_id;
  Bytes closing;  // last datagrams: channels to close
  bool leaving = false, exhaustion_told = false, path_told = false;
  bool fragments = false;     // datagrams of DATA's size do not pass whole: the network may cut them
  bool small_wanted = false;  // a datagram that passes everywhere is due: does the partner hear us?
  bool ready = false, stale = false, overdue = false;  // Agenda's
  std::size_t jobs = 0;                                // runs from here that are with storage
  std::size_t largest_received = 0;                    // octets of RTP payload
  Instant largest_at{};                                // when one of this size came last
  Instant last_received{}, last_sent{};
  std::uint64_t content_received = 0, content_sent = 0, integrity_failures = 0;

  bool secured() const { return sender.has_value(); }
  // Octets that protection adds to a packet.
  std::size_t overhead() const { return sender ? sender->overhead() : 0; }
  Channel* find(ppspp::ChannelId local) {
    auto at = by_id.find(local);
    return at == by_id.end() || at->second->closed() ? nullptr : at->second;
  }
};

}  // namespace sealcast::swarm
