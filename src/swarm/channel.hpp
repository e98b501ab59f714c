#pragma once
// State of one channel (one swarm on one association) and of one association; plain data that the parts of the engine
// work on.
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "ppspp/message.hpp"
#include "swarm/arrivals.hpp"
#include "swarm/congestion.hpp"
#include "swarm/engine.hpp"
#include "swarm/range_set.hpp"
#include "swarm/rate_limit.hpp"
#include "swarm/swarm_state.hpp"

namespace sealcast::swarm {

// A piece (aligned run of 2^k chunks, k <= 5) that was asked for on a channel and comes in.
struct PieceFetch {
  content::Bin bin = 0;
  content::ChunkRange range{};
  Bytes data;                             // made when the first chunk comes
  std::uint32_t received = 0;             // one bit per chunk
  std::optional<content::Bin> waits_for;  // complete, and this hash is missing to prove it
  std::uint64_t order = 0;                // of asking
  Instant asked{};
  bool complete() const {
    return received == (range.size() == 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << range.size()) - 1);
  }
};

enum class ChannelStage : std::uint8_t { opening, half_open, open };

struct Channel {
  explicit Channel(RangePool& pool) : has(pool), denied(pool), requested(pool), sent(pool), acknowledged(pool) {}
  ppspp::ChannelId local = 0, remote = 0;
  ChannelStage stage = ChannelStage::opening;
  bool initiator = false;
  SwarmState* swarm = nullptr;
  Instant opened{}, next_handshake{};
  int handshakes = 0;

  // The partner's side.
  RangeSet has;     // by its own word
  RangeSet denied;  // it did not give these when it was asked; not asked for again before `denied_until`
  Instant denied_until{}, pruned{}, compacted{};  // `has` and `serve_queue` are cleared up at times
  bool bitmap_seen = false, choked_by_partner = false;
  Instant choked{};
  std::deque<crypto::Digest> keyinfo_seen;  // the newest; bounded
  bool news = false;                        // the datagram at hand told of chunks that were not known
  std::optional<Instant> closing;           // a plain partner, or anybody, said that it closes; believed from then on

  // What we send.
  std::deque<Bytes> control;                    // messages, each fits a datagram with its channel id
  std::vector<content::ChunkRange> have_queue;  // HAVE to be packed
  bool keyinfo_due = false;
  std::deque<content::ChunkRange> serve_queue;  // what the partner asked for, in order
  RangeSet requested;                           // what of it is still wanted
  RangeSet sent, acknowledged;                  // chunks that we sent here; of these, what the partner says it verified
  std::vector<content::ChunkRange> waiting;     // asked for, found corrupt, being fetched again (bounded)
  std::set<std::uint32_t> resend;               // chunks whose DATA was lost
  Bytes piece;                                  // octets of the piece being sent, checked
  content::ChunkRange piece_range{};
  std::uint32_t piece_next = 0;
  bool piece_active = false;

  // What we fetch.
  std::map<content::Bin, PieceFetch> fetching;
  std::map<content::Bin, content::Digest> offered;  // hashes that help a piece under way, not verified; bounded
  std::size_t fetch_window = 4;                     // pieces
  std::uint64_t order = 0;
  std::uint32_t cursor = 0;  // run where the search goes on
  // A search that has run out of its budget goes on at the next call.
  bool searching = false, search_endgame = false;
  std::uint64_t search_left = 0;               // chunks
  std::optional<std::uint64_t> nothing_found;  // SwarmState::revision at which a search came home empty
  bool nothing_in_endgame = false;
  Instant last_progress{};  // a chunk that was asked for came, or was asked for after a rest
  // Since when something was asked for and nothing came, however often it was asked for and whatever else was said.
  std::optional<Instant> useless_since;
  Instant asked_again{}, rests_until{};
  int rests = 0;  // in a row
  bool stalled = false;
  int bad_pieces = 0, bad_in_row = 0;
};

// Work that an association may cost beyond what its datagrams pay for by their length: searching, looking at requests,
// opening channels. Verified content pays too.
class Allowance {
 public:
  std::uint64_t available(Instant now) {
    auto elapsed = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    tokens_ = std::min(k_burst, tokens_ + std::clamp(elapsed, 0.0, 3600.0) * k_each_second);
    return tokens_ > 0 ? static_cast<std::uint64_t>(tokens_) : 0;
  }
  void spend(std::uint64_t steps) { tokens_ -= static_cast<double>(steps); }
  void earn(std::uint64_t steps) { tokens_ = std::min(k_burst, tokens_ + static_cast<double>(steps)); }
  static constexpr double k_burst = 8192, k_each_second = 50000;

 private:
  double tokens_ = k_burst;
  Instant last_{};
};

struct Association {
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
  std::vector<std::unique_ptr<Channel>> channels;
  Bytes closing;  // a last datagram: channels to close
  bool leaving = false, exhaustion_told = false, path_told = false;
  std::size_t largest_received = 0;  // octets of RTP payload
  Instant last_received{}, last_sent{};
  std::uint64_t content_received = 0, content_sent = 0, integrity_failures = 0;

  bool secured() const { return sender.has_value(); }
  Channel* find(ppspp::ChannelId local) {
    for (auto& c : channels)
      if (c->local == local) return c.get();
    return nullptr;
  }
};

}  // namespace sealcast::swarm
