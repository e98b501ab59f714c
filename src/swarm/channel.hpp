#pragma once
// State of one channel (one swarm on one association) and of one association; plain data that the parts of the engine
// work on.
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "swarm/congestion.hpp"
#include "swarm/engine.hpp"
#include "swarm/rate_limit.hpp"
#include "swarm/swarm_state.hpp"

namespace sealcast::swarm {

// A piece (aligned run of 2^k chunks, k <= 5) that was asked for on a channel and comes in.
struct PieceFetch {
  content::Bin bin = 0;
  content::ChunkRange range{};
  Bytes data;                             // made when the first chunk comes
  std::uint32_t received = 0;             // one bit per chunk
  std::vector<content::NodeHash> hashes;  // offered, not verified; bounded
  Instant asked{};
  bool complete() const {
    return received == (range.size() == 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << range.size()) - 1);
  }
};

enum class ChannelStage : std::uint8_t { opening, half_open, open };

struct Channel {
  ppspp::ChannelId local = 0, remote = 0;
  ChannelStage stage = ChannelStage::opening;
  bool initiator = false;
  SwarmState* swarm = nullptr;
  Instant opened{}, next_handshake{};
  int handshakes = 0;

  // The partner's side.
  content::Bitmap has;
  bool bitmap_seen = false, choked_by_partner = false;
  std::set<std::string> keyinfo_seen;  // bounded
  std::uint32_t have_messages = 0;     // fragmentary HAVE is bounded
  bool news = false;                   // the datagram at hand told of chunks that were not known
  int looks = 0;                       // at pieces asked for in the datagram at hand; bounded

  // What we send.
  std::deque<Bytes> control;                    // messages, each fits a datagram with its channel id
  std::vector<content::ChunkRange> have_queue;  // HAVE to be packed
  bool keyinfo_due = false;
  std::deque<content::ChunkRange> serve_queue;  // pieces the partner asked for
  std::vector<content::ChunkRange> waiting;     // asked for, found corrupt, being fetched again (bounded)
  std::deque<std::uint32_t> resend;             // chunks whose DATA was lost
  Bytes piece;                                  // octets of the piece being sent, checked
  content::ChunkRange piece_range{};
  std::uint32_t piece_next = 0;
  bool piece_active = false;

  // What we fetch.
  std::map<content::Bin, PieceFetch> fetching;
  std::size_t fetch_window = 4;  // pieces
  std::uint32_t cursor = 0;      // run where the search goes on
  Instant last_progress{}, asked_again{};
  bool stalled = false;
  int bad_pieces = 0;
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
  std::set<SwarmId> admitted;
  std::vector<std::unique_ptr<Channel>> channels;
  Bytes closing;  // a last datagram: channels to close
  bool leaving = false, exhaustion_told = false;
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
