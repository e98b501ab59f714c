#pragma once
// What goes out: what partners ask for, control messages, and again what was lost.
#include "swarm/fetcher.hpp"
#include "swarm/packet_builder.hpp"

namespace sealcast::swarm {

class Server {
 public:
  Server(EngineCore& core, Fetcher& fetcher, PacketBuilder& packets)
      : core_(&core), fetcher_(&fetcher), packets_(&packets) {}

  // Messages of a partner.
  void on_ack(Channel& c, content::ChunkRange range);
  void on_request(Instant now, Channel& c, content::ChunkRange range);
  void on_cancel(Channel& c, content::ChunkRange range);

  // The next batch of an association.
  std::optional<SendBatch> batch(Instant now, Association& a);
  // Packets of which congestion control says that they are lost, or that they are not.
  void make_good(Association& a, Losses& losses);
  Instant deadline(Instant now, const Channel& c) const;

 private:
  // Each puts packets into the builder; false: it has none.
  bool put_closing(Instant now, Association& a);
  bool put_handshake(Instant now, Channel& c);
  bool put_control(Instant now, Channel& c);
  static void put_messages(Channel& c, Writer& w);
  static void put_haves(Channel& c, Writer& w);
  bool put_data(Instant now, Channel& c);
  bool may_be_in_flight(const Association& a) const;
  bool may_send(Instant now, const Association& a) const;
  bool have_run(Instant now, Channel& c);
  void let_go(Channel& c);
  bool put_chunk(Instant now, Channel& c, std::uint32_t chunk, ByteView data);
  std::optional<Bytes> read_again(Instant now, Channel& c, std::uint32_t chunk);
  bool next_run(Instant now, Channel& c);
  std::optional<content::ChunkRange> next_request(Channel& c);
  bool read_ahead(Instant now, Channel& c);
  void served(Channel& c);  // the first of its runs
  Bytes take_spare();
  Bytes hashes_of(Channel& c, content::ChunkRange range);
  bool put_hashes(Instant now, Channel& c);
  static std::size_t hashes_waiting(const Channel& c);  // octets, at most what a control datagram holds

  EngineCore* core_;
  Fetcher* fetcher_;
  PacketBuilder* packets_;
  std::vector<Bytes> spare_;
};

}  // namespace sealcast::swarm
