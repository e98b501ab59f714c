#pragma once
// Two engines, what flies between them, and a third party that may say anything: for engine_pair.cpp.
#include <deque>
#include <functional>
#include <optional>

#include "ppspp/message.hpp"
#include "rtp/feedback.hpp"
#include "rtp/packet.hpp"
#include "swarm/engine.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace sealcast::fuzz {

// One content, whole.
struct Whole {
  Bytes octets;
  content::Geometry geometry;
  std::vector<content::Digest> nodes;
  swarm::SwarmId id{};
  explicit Whole(std::uint64_t length)
      : octets(length),
        geometry(*content::Geometry::make(length, 512)),
        nodes(content::MerkleTree::octets(geometry.chunks()) / 32) {
    FixedRandom(length).fill(octets);
    content::MerkleTreeBuilder builder(nodes, geometry.chunks());
    for (std::uint32_t i = 0; i < geometry.chunks(); ++i)
      builder.add(crypto::sha256(ByteView(octets).subspan(geometry.offset_of(i), geometry.size_of(i))));
    id = builder.finish();
  }
};

// Fails and lies when told to.
class Storage final : public swarm::ChunkStorage {
 public:
  explicit Storage(std::uint64_t size) : octets(size) {}
  Status read(std::uint64_t offset, MutableByteView out) override {
    SEALCAST_ASSERT(offset + out.size() <= octets.size());
    if (fail_reads) return fail("read failed");
    std::copy_n(octets.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    if (flip_reads && !out.empty()) out[out.size() / 2] ^= 1;
    return {};
  }
  Status write(std::uint64_t offset, ByteView data) override {
    SEALCAST_ASSERT(offset + data.size() <= octets.size());
    if (fail_writes) return fail(ErrorCode::disk_full, "disk full");
    std::copy(data.begin(), data.end(), octets.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  Bytes octets;
  bool fail_reads = false, fail_writes = false, flip_reads = false;
};

struct Datagram {
  Endpoint from, to;
  Bytes octets;
};

struct Node {
  FixedRandom random;
  swarm::Engine engine;
  const Whole& content;
  std::vector<content::Digest> nodes;
  Storage storage;
  Endpoint address;
  swarm::AssociationId partner = 0, stranger = 0;
  bool present = true;  // the swarm is there

  Node(std::uint16_t port, const Whole& c, bool seed, bool secured_only, swarm::EngineOptions options)
      : random(port),
        engine(random, options),
        content(c),
        nodes(content::MerkleTree::octets(c.geometry.chunks()) / 32),
        storage(c.octets.size()),
        address{IpAddress::v4(127, 0, 0, 1), port} {
    if (seed) {
      nodes = c.nodes;
      storage.octets = c.octets;
    }
    join(content::Bitmap(c.geometry.chunks(), seed), secured_only);
  }
  void join(content::Bitmap held, bool secured_only) {
    swarm::SwarmConfig config{content.id,      content.geometry, secured_only,         nodes,
                              std::move(held), &storage,         swarm::Appetite::all, "certificate~information"};
    SEALCAST_ASSERT(engine.add_swarm(std::move(config)));
    present = true;
  }
  // What counts as held is the content and nothing else.
  void check() {
    engine.check();
    auto* held = engine.held(content.id);
    SEALCAST_ASSERT((held != nullptr) == present);
    if (!held) return;
    for (auto range : held->ranges()) {
      auto from = content.geometry.offset_of(range.first), size = content.geometry.size_of(range);
      SEALCAST_ASSERT(
          equal(ByteView(storage.octets).subspan(from, size), ByteView(content.octets).subspan(from, size)));
    }
    for (auto& a : engine.associations()) SEALCAST_ASSERT(a.in_flight < (1u << 14) && a.congestion_window >= 2);
  }
};

// An authenticated partner without an engine: its messages are the input's. It listens only for the channel id that it
// is given.
class Stranger {
 public:
  Stranger(const Endpoint& address, std::uint32_t ssrc) : address_(address), ssrc_(ssrc) {}
  void secure(const rtp::SrtpKey& ours, const rtp::SrtpKey& theirs, std::uint32_t their_ssrc) {
    sender_.emplace(ours, ssrc_);
    receiver_.emplace(theirs, their_ssrc);
  }
  void knows(std::uint32_t partner_ssrc) { partner_ssrc_ = partner_ssrc; }

  void hear(Bytes octets) {
    rtp::PacketSlot slot{octets.data(), static_cast<std::uint32_t>(octets.size()),
                         static_cast<std::uint32_t>(octets.size()), true};
    if (rtp::classify(octets) != rtp::PacketKind::rtp) return;
    if (receiver_) receiver_->unprotect({&slot, 1});
    if (!slot.ok || slot.size < 16) return;
    Reader reader(ByteView(octets).subspan(12, slot.size - 12));
    reader.u32();
    ppspp::Decoder decoder(reader.rest());
    while (auto m = decoder.next())
      if (m->type == ppspp::MessageType::handshake && m->handshake.source != 0) channel_ = m->handshake.source;
  }

  Bytes say(Input& in, const Whole& content) {
    Bytes room(1500);
    Writer w(MutableByteView(room).subspan(12));
    auto greeting = in.u8() % 8 == 0 || channel_ == 0;
    w.u32(greeting ? 0 : channel_);
    if (greeting)
      ppspp::write_handshake(w,
                             {7 + in.u8() % 4u, content.id, in.u8() % 16 == 0 ? 1024u : content.geometry.chunk_size()});
    for (auto messages = 1 + in.u8() % 6; messages > 0; --messages) message(w, in, content);
    rtp::write_header({98, sequence_++, 0, ssrc_}, room.data());
    room.resize(12 + w.size());
    return pack(std::move(room), false);
  }
  // Feedback about packets that were perhaps never sent.
  Bytes report(Input& in) {
    rtp::Feedback f{ssrc_, partner_ssrc_, in.u16(), {}, in.u32()};
    for (auto n = 1 + in.u8() % 64; n > 0; --n)
      f.reports.push_back({in.u8() % 4 != 0, static_cast<std::uint16_t>(in.u16() & 0x1fff)});
    Bytes room(rtp::feedback_octets(f.reports.size()));
    room.resize(rtp::write_feedback(f, room));
    return pack(std::move(room), true);
  }
  const Endpoint& address() const { return address_; }

 private:
  static content::ChunkRange range(Input& in, const Whole& content) {
    auto chunks = content.geometry.chunks();
    if (in.u8() % 16 == 0) return {in.u32() / 2, UINT32_MAX - in.u8() % 2};
    auto layer = in.u8() % 7u;
    auto first = static_cast<std::uint32_t>(in.below(chunks)) >> layer << layer;
    return {first, std::min(chunks - 1, first + (1u << layer) - 1)};
  }
  void message(Writer& w, Input& in, const Whole& content) const {
    using ppspp::MessageType;
    static constexpr MessageType ranged[] = {MessageType::have, MessageType::request, MessageType::cancel};
    auto part = range(in, content);
    switch (in.u8() % 10) {
      case 0:
        return ppspp::write_ack(w, part, in.u64());
      case 1:
        return w.u8(static_cast<std::uint8_t>(in.flag() ? MessageType::choke : MessageType::unchoke));
      case 2:
        return ppspp::write_keyinfo(w, in.text(1 + in.u8() % 8u));
      case 3:
        return ppspp::write_closing(w);
      case 4:
        return w.bytes(in.take(in.u8() % 64));
      case 5: {
        auto node = in.below(content.nodes.size());
        auto hash = content.nodes[node];
        if (in.u8() % 4 == 0) hash[0] ^= 1;
        return ppspp::write_integrity(w, {node, hash});
      }
      case 6: {
        auto chunk = std::min(part.first, content.geometry.chunks() - 1);
        auto data = bytes_of(
            ByteView(content.octets).subspan(content.geometry.offset_of(chunk), content.geometry.size_of(chunk)));
        if (in.u8() % 4 == 0) data[in.below(data.size())] ^= 1;
        return ppspp::write_data(w, chunk, in.u64(), data);  // ends the datagram
      }
      default:
        return ppspp::write_range(w, ranged[in.u8() % 3], part);
    }
  }
  Bytes pack(Bytes room, bool control) {
    auto size = static_cast<std::uint32_t>(room.size());
    room.resize(size + 40u);
    rtp::PacketSlot slot{room.data(), size, static_cast<std::uint32_t>(room.size()), true};
    if (sender_ && control) sender_->protect_rtcp(slot);
    if (sender_ && !control) sender_->protect({&slot, 1});
    SEALCAST_ASSERT(slot.ok);
    room.resize(slot.size);
    return room;
  }

  Endpoint address_;
  std::uint32_t ssrc_, partner_ssrc_ = 0;
  std::uint32_t channel_ = 0;
  std::uint16_t sequence_ = 1;
  std::optional<rtp::SrtpSender> sender_;
  std::optional<rtp::SrtpReceiver> receiver_;
};

}  // namespace sealcast::fuzz
