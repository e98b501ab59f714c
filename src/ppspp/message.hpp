#pragma once
// PPSPP messages (RFC 7574 sections 3, 7 and 8) in our profile: 32-bit chunk ranges, SHA-256 Merkle tree. A datagram is
// a channel id and messages.
#include <optional>

#include "base/wire.hpp"
#include "content/merkle_tree.hpp"

namespace sealcast::ppspp {

using content::ChunkRange;
using ChannelId = std::uint32_t;  // 0: the first datagram of a handshake, or closing

enum class MessageType : std::uint8_t {
  handshake = 0,
  data = 1,
  ack = 2,
  have = 3,
  integrity = 4,
  request = 8,
  cancel = 9,
  choke = 10,
  unchoke = 11,
  keyinfo = 200,  // ours
};

inline constexpr std::size_t k_range_message = 9;  // HAVE, REQUEST, CANCEL
inline constexpr std::size_t k_ack_message = 17;
inline constexpr std::size_t k_integrity_message = 41;
inline constexpr std::size_t k_data_overhead = 17;  // of DATA, without the chunk
inline constexpr std::size_t k_channel_octets = 4;
inline constexpr std::size_t k_max_keyinfo = 1190;
inline constexpr std::size_t k_handshake_octets = 96;  // ours, at most

// Options that matter to us (RFC 7574 section 7). A closing HANDSHAKE has source channel 0 and no options.
struct Handshake {
  ChannelId source = 0;
  std::optional<crypto::Digest> swarm;  // initiator only
  std::uint32_t chunk_size = 0;
};

struct Message {
  MessageType type{};
  ChunkRange range{};           // DATA, ACK, HAVE, INTEGRITY, REQUEST, CANCEL
  std::uint64_t timestamp = 0;  // DATA: sender's clock; ACK: one-way delay sample; microseconds
  crypto::Digest hash{};        // INTEGRITY
  ByteView data;                // DATA: the chunk, up to the end of the datagram; KEYINFO: its text
  Handshake handshake;
};

// Messages of one datagram, behind the channel id. An unknown type or a broken message ends it: malformed() is true
// then.
class Decoder {
 public:
  explicit Decoder(ByteView messages) : reader_(messages) {}
  std::optional<Message> next();
  bool malformed() const { return malformed_; }

 private:
  bool range(Message& m);
  bool handshake(Handshake& h);
  bool body(Message& m);
  Reader reader_;
  bool malformed_ = false;
};

// The node that a range of INTEGRITY names; nullopt when its width is no power of two or it is not aligned.
std::optional<content::Bin> node_of(ChunkRange range);
ChunkRange range_of(content::Bin node);

void write_handshake(Writer& w, const Handshake& h);
void write_closing(Writer& w);
void write_range(Writer& w, MessageType type, ChunkRange range);  // HAVE, REQUEST, CANCEL
void write_ack(Writer& w, ChunkRange range, std::uint64_t delay);
void write_integrity(Writer& w, const content::NodeHash& node);
void write_data(Writer& w, std::uint32_t chunk, std::uint64_t timestamp, ByteView data);
void write_keyinfo(Writer& w, std::string_view text);

}  // namespace sealcast::ppspp
