#pragma once
// Inside of the engine, shared by engine*.cpp: engine.cpp (swarms, associations, timers), engine_receive.cpp (datagrams
// in), engine_fetch.cpp (what to ask for), engine_send.cpp (datagrams out).
#include <functional>
#include <map>
#include <unordered_map>

#include "swarm/channel.hpp"

namespace sealcast::swarm {

inline constexpr Duration k_handshake_patience = 10s, k_keep_alive = 15s, k_dead_partner = 180s;
inline constexpr Duration k_piece_patience = 3s, k_stall = 10s;
inline constexpr std::size_t k_max_fetch_window = 64;     // pieces asked for on one channel
inline constexpr std::size_t k_max_serve_queue = 256;     // requests of a partner that wait
inline constexpr std::size_t k_max_control_queue = 4096;  // control datagrams waiting on one channel
inline constexpr std::size_t k_max_control = 1204;        // octets of a control datagram: passes on every path
inline constexpr int k_max_bad_pieces = 3;
inline constexpr int k_max_bad_in_row =
    128;  // more than are under way at once; on a plain association: nobody is blamed, but it is of no use
inline constexpr Duration k_close_doubt = 3s;  // a plain partner's farewell is believed when nothing follows it
inline constexpr Duration k_reordering = 200ms;
inline constexpr Duration k_search_pause = 10ms, k_denial = 10s, k_prune_pause = 10s;
inline constexpr std::uint64_t k_search_steps = 4096;  // of a timer
inline constexpr std::uint64_t k_datagram_steps = 64;  // of search that any datagram may cost beyond its octets
inline constexpr int k_max_timeouts = 10;              // in a row, then the partner is gone

struct AssociationKey {
  Endpoint remote;
  std::uint32_t ssrc = 0;
  bool operator==(const AssociationKey&) const = default;
};
struct AssociationKeyHash {
  std::size_t operator()(const AssociationKey& k) const noexcept { return EndpointHash{}(k.remote) * 31 + k.ssrc; }
};

struct Engine::Impl {
  Impl(RandomSource& r, EngineOptions o) : random(r), options(o), download(o.download_limit), upload(o.upload_limit) {}

  // engine.cpp
  Association* find(AssociationId id);
  SwarmState* find(const SwarmId& id);
  Channel& make_channel(Instant now, Association& a, SwarmState& s, bool initiator);
  void close_channel(Association& a, Channel& c, const std::string& reason, bool tell_partner);
  void emit(EventKind kind, AssociationId association, const SwarmId& swarm, content::ChunkRange range = {},
            std::string text = {}, Error error = {});
  void for_each_channel(SwarmState& s, const std::function<void(Association&, Channel&)>& visit);
  void chunks_gained(SwarmState& s, content::ChunkRange range, const Channel* from);
  void chunks_lost(Instant now, AssociationId reader, SwarmState& s, const std::vector<std::uint32_t>& chunks);
  void tick(Instant now, Association& a);
  Instant deadline_of(Instant now, const Association& a) const;

  // engine_receive.cpp
  void receive_rtp(Instant now, Association& a, std::span<rtp::PacketSlot> slots);
  void receive_rtcp(Instant now, Association& a, rtp::PacketSlot& slot);
  void datagram(Instant now, Association& a, ByteView payload);
  void first_datagram(Instant now, Association& a, ppspp::Decoder& decoder);
  void handshake_answer(Instant now, Association& a, Channel& c, const ppspp::Handshake& h);
  void channel_opened(Instant now, Association& a, Channel& c);
  void message(Instant now, Association& a, Channel& c, const ppspp::Message& m);
  void on_have(Instant now, Association& a, Channel& c, content::ChunkRange range);
  void on_ack(Instant now, Association& a, Channel& c, content::ChunkRange range);
  void on_choke(Instant now, Association& a, Channel& c, bool choked);
  void on_closing(Instant now, Association& a, Channel& c);
  void on_request(Instant now, Channel& c, content::ChunkRange range);
  void on_cancel(Channel& c, content::ChunkRange range);
  void on_keyinfo(Instant now, Association& a, Channel& c, ByteView text);
  bool helps(const Channel& c, content::Bin node) const;
  void on_integrity(Instant now, Association& a, Channel& c, std::span<const content::NodeHash> nodes);
  bool proof(Channel& c, PieceFetch& piece, std::vector<content::NodeHash>& out);
  void on_data(Instant now, Association& a, Channel& c, const ppspp::Message& m);
  void settle(Instant now, Association& a, ppspp::ChannelId channel);
  void piece_complete(Instant now, Association& a, Channel& c, content::Bin bin,
                      std::span<const content::NodeHash> hashes);
  void piece_bad(Instant now, Association& a, Channel& c, const PieceFetch& piece);
  void deny_overtaken(Instant now, Channel& c, std::uint64_t order);

  // engine_fetch.cpp
  // Asks for what fits into the window; looks at no more than `steps`, and goes on later.
  void fetch(Instant now, Association& a, Channel& c, std::uint64_t steps = k_search_steps);
  bool may_fetch(Instant now, const Channel& c) const;
  std::uint64_t look(Instant now, Association& a, Channel& c);
  void fetch_after_arrival(Instant now, Association& a, Channel& c);
  bool fetch_run(Instant now, Channel& c, std::uint32_t run, bool endgame);
  bool ask(Instant now, Channel& c, content::ChunkRange range, bool endgame);
  void release(Channel& c, content::Bin bin);
  void release_all(Channel& c);
  void watch_progress(Instant now, Association& a, Channel& c);
  void give_up(Instant now, Association& a, Channel& c, std::string why);
  void look_at_path(Association& a, const Channel& c);
  void deny(Instant now, Channel& c, content::ChunkRange range);
  void fetch_everywhere(Instant now, SwarmState& s);

  // engine_send.cpp
  std::optional<SendBatch> send_from(Instant now, Association& a);
  bool put_feedback(Instant now, Association& a);
  bool put_closing(Instant now, Association& a);
  bool put_control(Instant now, Association& a, Channel& c);
  bool put_data(Instant now, Association& a, Channel& c);
  bool next_piece(Instant now, Association& a, Channel& c);
  std::optional<content::ChunkRange> next_request(Channel& c);
  void put_integrity(Channel& c, content::ChunkRange range);
  // Appends an RTP packet around `payload`; false when the batch is full or sizes do not fit together.
  MutableByteView packet_room(Association& a, std::size_t payload);
  void add_packet(Instant now, Association& a, std::size_t payload, SentPacket sent);
  std::optional<SendBatch> finish_batch(Association& a);
  void make_good(Association& a, std::vector<SentPacket>& lost);
  void queue_control(Channel& c, Bytes messages);
  void queue_range(Channel& c, ppspp::MessageType type, content::ChunkRange range);

  RandomSource& random;
  EngineOptions options;
  RangePool ranges;
  RateLimit download, upload;
  AssociationId next_association = 1;
  std::map<AssociationId, std::unique_ptr<Association>> associations;
  std::unordered_map<AssociationKey, Association*, AssociationKeyHash> by_key;
  std::unordered_map<SwarmId, std::unique_ptr<SwarmState>, crypto::DigestHash> swarms;
  std::deque<Event> events;
  AssociationId turn = 0;        // association that sent last
  AssociationId asked_last = 0;  // association that was asked for something last
  std::size_t channels = 0;
  Instant last_tick{};

  // The batch under construction.
  Bytes batch = Bytes(k_batch_octets + 64);
  std::vector<rtp::PacketSlot> slots;
  std::size_t batch_used = 0, batch_segment = 0;
  bool batch_closed = false;
};

}  // namespace sealcast::swarm
