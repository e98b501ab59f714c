#pragma once
// Engines on a simulated network; and a partner without an engine, whose datagrams a test writes.
#include <gtest/gtest.h>

#include "ppspp/message.hpp"
#include "rtp/feedback.hpp"
#include "rtp/packet.hpp"
#include "sim/network.hpp"
#include "swarm/engine.hpp"
#include "tests/support/memory_storage.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::swarm {

using content::ChunkRange;
using content::MerkleTree;
using test::SeededRandom;

using test::MemoryStorage;

// One content, whole.
struct Content {
  Bytes octets;
  content::Geometry geometry;
  std::vector<content::Digest> nodes;
  SwarmId id{};
  Content(std::uint64_t length, std::uint64_t seed, std::uint32_t chunk = 1152)
      : octets(length),
        geometry(*content::Geometry::make(length, chunk)),
        nodes(MerkleTree::octets(geometry.chunks()) / 32) {
    SeededRandom(seed).fill(octets);
    content::MerkleTreeBuilder builder(nodes, geometry.chunks());
    for (std::uint32_t i = 0; i < geometry.chunks(); ++i)
      builder.add(crypto::sha256(ByteView(octets).subspan(geometry.offset_of(i), geometry.size_of(i))));
    id = builder.finish();
  }
};

struct Node {
  SeededRandom random;
  Engine engine;
  std::vector<content::Digest> nodes;
  MemoryStorage storage;
  Endpoint address;
  std::vector<Event> events;

  Node(std::uint16_t port, const Content& c, bool seed, bool secured_only, Appetite appetite = Appetite::all,
       EngineOptions options = {}, std::string keyinfo = {})
      : random(port),
        engine(random, options),
        nodes(MerkleTree::octets(c.geometry.chunks()) / 32),
        storage(c.octets.size()),
        address{IpAddress::v4(127, 0, 0, 1), port} {
    if (seed) {
      nodes = c.nodes;
      storage.octets = c.octets;
    }
    SwarmConfig config{c.id,     c.geometry, secured_only, nodes, content::Bitmap(c.geometry.chunks(), seed),
                       &storage, appetite,   keyinfo};
    EXPECT_TRUE(engine.add_swarm(std::move(config)));
  }
  int count(EventKind kind) const {
    return static_cast<int>(std::count_if(events.begin(), events.end(), [&](auto& e) { return e.kind == kind; }));
  }
};

using sim::LinkOptions;

// Nodes on a simulated network.
class World : public sim::Network {
 public:
  explicit World(LinkOptions link, std::uint64_t seed = 1) : Network(link, random_), random_(seed) {}
  World(LinkOptions link, std::initializer_list<Node*> nodes) : World(link) {
    for (auto* node : nodes) add(*node);
  }
  void add(Node& node) {
    Network::add(node.address, node.engine, [&node](Event event) {
      node.engine.check();
      node.events.push_back(std::move(event));
    });
  }

  // Associations on both sides; `opener` opens a channel.
  AssociationId connect(Node& opener, Node& other, const SwarmId& swarm, bool secured, bool admit = true,
                        PartnerKind other_is = PartnerKind::cache) {
    AssociationConfig mine, theirs;
    mine.remote = other.address;
    theirs.remote = opener.address;
    mine.local = theirs.remote;
    theirs.local = mine.remote;
    mine.local_ssrc = theirs.remote_ssrc = random_.u32() | 1;
    mine.remote_ssrc = theirs.local_ssrc = random_.u32() | 1;
    mine.initiator = true;
    mine.partner = other_is;
    theirs.partner = PartnerKind::ue;
    if (secured) {
      rtp::SrtpKey a{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)},
          b{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)};
      random_.fill(a.key_and_salt.fill());
      random_.fill(b.key_and_salt.fill());
      mine.send_key = a.duplicate();
      theirs.receive_key = a.duplicate();
      mine.receive_key = b.duplicate();
      theirs.send_key = b.duplicate();
    }
    auto here = *opener.engine.add_association(now, std::move(mine));
    auto there = *other.engine.add_association(now, std::move(theirs));
    if (admit) other.engine.admit(there, swarm);
    (void)opener.engine.open_channel(now, here, swarm);
    return here;
  }

 private:
  SeededRandom random_;
};

inline bool whole(const Node& node, const Content& c) {
  return node.engine.held(c.id)->full() && node.storage.octets == c.octets;
}

// A partner without an engine: the test writes its datagrams, over SRTP or plain.
struct Script {
  explicit Script(bool secured_ = true) : secured(secured_) {}
  bool secured;
  Endpoint address{IpAddress::v4(127, 0, 0, 1), 9};
  rtp::SrtpKey ours{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)},
      theirs{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)};
  rtp::SrtpSender sender{ours, 7};
  rtp::SrtpReceiver receiver{theirs, 8};
  std::uint16_t sequence = 0;
  ppspp::ChannelId channel = 0;
  std::vector<Bytes> heard;  // RTP payloads
  std::uint16_t first_heard = 0, packets_heard = 0;
  bool runs = true;  // ig=run

  AssociationId meet(Node& node, Instant now, std::size_t max_datagram = 1204) {
    AssociationConfig config;
    config.runs = runs;
    config.remote = address;
    config.local_ssrc = 8;
    config.remote_ssrc = 7;
    config.max_datagram = max_datagram;
    if (secured) config.send_key = theirs.duplicate();
    if (secured) config.receive_key = ours.duplicate();
    return *node.engine.add_association(now, std::move(config));
  }
  // What the engine says; learns the channel id that it chose, from its HANDSHAKE.
  void listen(Node& node, Instant now) {
    while (auto batch = node.engine.output(now))
      for (std::size_t at = 0; at < batch->data.size(); at += batch->segment) {
        auto octets = bytes_of(batch->data.subspan(at, std::min(batch->segment, batch->data.size() - at)));
        rtp::PacketSlot slot{octets.data(), static_cast<std::uint32_t>(octets.size()),
                             static_cast<std::uint32_t>(octets.size()), true};
        if (rtp::classify(octets) != rtp::PacketKind::rtp) continue;
        if (secured) receiver.unprotect({&slot, 1});
        if (!slot.ok) continue;
        if (packets_heard++ == 0) first_heard = rtp::parse_header(octets)->sequence;
        heard.push_back(bytes_of(ByteView(octets).subspan(12, slot.size - 12)));
        ppspp::Decoder decoder(ByteView(heard.back()).subspan(4));
        if (auto m = decoder.next(); m && m->type == ppspp::MessageType::handshake && m->handshake.source != 0)
          channel = m->handshake.source;
      }
  }
  // Messages of one type that were heard.
  std::vector<ChunkRange> heard_ranges(ppspp::MessageType type) const {
    std::vector<ChunkRange> out;
    for (auto& payload : heard) {
      ppspp::Decoder decoder(ByteView(payload).subspan(4));
      while (auto m = decoder.next())
        if (m->type == type) out.push_back(m->range);
    }
    return out;
  }
  std::size_t say(Node& node, Instant now, const std::function<void(Writer&)>& messages) {
    return say_as(sequence++, node, now, channel, messages);
  }
  // Returns the octets of the RTP payload.
  std::size_t say_as(std::uint16_t number, Node& node, Instant now, ppspp::ChannelId to,
                     const std::function<void(Writer&)>& messages) {
    Bytes room(2000);
    Writer w(MutableByteView(room).subspan(12));
    w.u32(to);
    messages(w);
    rtp::write_header({98, number, 0, 7}, room.data());
    rtp::PacketSlot slot{room.data(), static_cast<std::uint32_t>(12 + w.size()),
                         static_cast<std::uint32_t>(room.size()), true};
    if (secured) sender.protect({&slot, 1});
    EXPECT_TRUE(slot.ok);
    node.engine.input(now, {address, slot.size, MutableByteView(room).first(slot.size)});
    return w.size();
  }
  // The engine opens the channel, we answer and say what we have.
  AssociationId open(Node& node, Instant now, const SwarmId& swarm, ChunkRange have, std::uint32_t chunk_size = 1152) {
    auto id = meet(node, now);
    EXPECT_TRUE(node.engine.open_channel(now, id, swarm));
    listen(node, now);
    EXPECT_NE(channel, 0u);
    say(node, now, [&](Writer& w) {
      ppspp::write_handshake(w, {5, std::nullopt, chunk_size});
      ppspp::write_range(w, ppspp::MessageType::have, have);
    });
    return id;
  }
  // We open the channel.
  AssociationId call(Node& node, Instant now, const SwarmId& swarm, std::uint32_t chunk_size = 1152) {
    auto id = meet(node, now);
    node.engine.admit(id, swarm);
    channel = 0;
    say(node, now, [&](Writer& w) { ppspp::write_handshake(w, {5, swarm, chunk_size}); });
    listen(node, now);
    EXPECT_NE(channel, 0u);
    say(node, now, [](Writer&) {});
    return id;
  }
  void send_chunk(Node& node, Instant now, const Content& c, std::uint32_t chunk, bool good) {
    auto data = bytes_of(ByteView(c.octets).subspan(c.geometry.offset_of(chunk), c.geometry.size_of(chunk)));
    if (!good) data[0] ^= 1;
    say(node, now, [&](Writer& w) { ppspp::write_data(w, chunk, 0, data); });
  }
  void send_run(Node& node, Instant now, const Content& c, std::uint32_t run, bool good) {
    for (std::uint32_t chunk = run * 32; chunk < run * 32 + 32; ++chunk) send_chunk(node, now, c, chunk, good);
  }
  // All that was heard has arrived.
  void report(Node& node, Instant now) {
    rtp::Feedback f{7, 8, first_heard, std::vector<rtp::FeedbackReport>(packets_heard, {true, 0}), 0};
    Bytes room(rtp::feedback_octets(packets_heard) + 20);
    rtp::PacketSlot slot{room.data(), static_cast<std::uint32_t>(rtp::write_feedback(f, room)),
                         static_cast<std::uint32_t>(room.size()), true};
    if (secured) sender.protect_rtcp(slot);
    node.engine.input(now, {address, slot.size, MutableByteView(room).first(slot.size)});
  }
};

}  // namespace sealcast::swarm
