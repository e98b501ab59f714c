#pragma once
// Inside of the engine, shared by engine*.cpp: engine.cpp (verbs: swarms, associations, timers), engine_receive.cpp
// (datagrams, handshakes, messages).
#include "swarm/server.hpp"

namespace sealcast::swarm {

inline constexpr Duration k_handshake_patience = 10s;
inline constexpr Duration k_close_doubt = 3s;  // a plain partner's farewell is believed when nothing follows it

struct Engine::Impl {
  Impl(RandomSource& random, EngineOptions options) : core(random, std::move(options)) {}

  // engine.cpp
  void tick(Instant now, Association& a);
  Instant deadline_of(const Association& a) const;
  Instant deadline();

  // engine_receive.cpp
  void receive_rtp(Instant now, Association& a, std::span<rtp::PacketSlot> slots);
  void receive_rtcp(Instant now, Association& a, rtp::PacketSlot& slot);
  void datagram(Instant now, Association& a, ByteView payload);
  void messages(Instant now, Channel& c, ppspp::Decoder& decoder);
  void first_datagram(Instant now, Association& a, ppspp::Decoder& decoder);
  bool admits(const Association& a, const SwarmState& s, const ppspp::Handshake& h) const;
  void handshake_answer(Instant now, Channel& c, const ppspp::Handshake& h);
  void channel_opened(Instant now, Channel& c);
  void message(Instant now, Channel& c, const ppspp::Message& m);
  void on_closing(Instant now, Channel& c);
  void on_keyinfo(Instant now, Channel& c, ByteView text);

  EngineCore core;
  PacketBuilder builder;
  Fetcher fetcher{core};
  Server server{core, fetcher, builder};
};

}  // namespace sealcast::swarm
