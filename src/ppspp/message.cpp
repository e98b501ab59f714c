#include "ppspp/message.hpp"

#include <algorithm>
#include <bit>

namespace sealcast::ppspp {
namespace {

enum Option : std::uint8_t {
  version = 0,
  minimum_version = 1,
  swarm_id = 2,
  integrity_method = 3,
  tree_hash = 4,
  signature = 5,
  addressing = 6,
  discard_window = 7,
  supported_messages = 8,
  chunk_size = 9,
  end = 255,
};
constexpr std::uint8_t k_version = 1, k_merkle_tree = 1, k_sha256 = 2, k_chunk_ranges_32 = 2;
// Bit 0 of the first octet (the most significant) is type 0: HANDSHAKE, DATA, ACK, HAVE, INTEGRITY; REQUEST, CANCEL,
// CHOKE, UNCHOKE; KEYINFO (200).
constexpr std::size_t k_supported_octets = 26;

std::array<std::uint8_t, k_supported_octets> supported() {
  std::array<std::uint8_t, k_supported_octets> out{};
  out[0] = 0b11111000;
  out[1] = 0b11110000;
  out[25] = 0b10000000;
  return out;
}

}  // namespace

bool Decoder::range(Message& m) {
  m.range = {reader_.u32(), reader_.u32()};
  return reader_.ok() && m.range.first <= m.range.last;
}

// Options come in ascending order, each once; an unknown one has no length, so nothing after it can be read.
bool Decoder::handshake(Handshake& h) {
  h.source = reader_.u32();
  int last = -1;
  bool good = true, merkle = false, sha256 = false, ranges = false, spoken = false;
  for (;;) {
    int option = reader_.u8();
    if (!reader_.ok() || option <= last) return false;
    last = option;
    if (option == Option::end) break;
    switch (option) {
      case Option::version:
        spoken = reader_.u8() == k_version;
        break;
      case Option::minimum_version:
        good = good && reader_.u8() <= k_version;
        break;
      case Option::swarm_id: {
        auto id = reader_.take(reader_.u16());
        if (id.size() != 32) return false;
        h.swarm.emplace();
        std::copy(id.begin(), id.end(), h.swarm->begin());
        break;
      }
      case Option::integrity_method:
        merkle = reader_.u8() == k_merkle_tree;
        break;
      case Option::tree_hash:
        sha256 = reader_.u8() == k_sha256;
        break;
      case Option::addressing:
        ranges = reader_.u8() == k_chunk_ranges_32;
        break;
      case Option::supported_messages:
        reader_.take(reader_.u8());
        break;
      case Option::chunk_size:
        h.chunk_size = reader_.u32();
        break;
      default:
        return false;
    }
  }
  if (h.source == 0) return reader_.ok();  // closing: nothing else counts
  return reader_.ok() && good && spoken && merkle && sha256 && ranges && h.chunk_size != 0;
}

bool Decoder::body(Message& m) {
  switch (m.type) {
    case MessageType::handshake:
      return handshake(m.handshake);
    case MessageType::data:
      if (!range(m) || m.range.first != m.range.last) return false;
      m.timestamp = reader_.u64();
      m.data = reader_.rest();
      return reader_.ok() && !m.data.empty();
    case MessageType::ack:
      if (!range(m)) return false;
      m.timestamp = reader_.u64();
      return reader_.ok();
    case MessageType::integrity: {
      if (!range(m)) return false;
      auto hash = reader_.take(32);
      if (!reader_.ok() || !node_of(m.range)) return false;
      std::copy(hash.begin(), hash.end(), m.hash.begin());
      return true;
    }
    case MessageType::have:
    case MessageType::request:
    case MessageType::cancel:
      return range(m);
    case MessageType::choke:
    case MessageType::unchoke:
      return true;
    case MessageType::keyinfo: {
      std::size_t size = reader_.u16();
      m.data = reader_.take(size);
      return reader_.ok() && size > 0 && size <= k_max_keyinfo;
    }
  }
  return false;
}

std::optional<Message> Decoder::next() {
  if (malformed_ || reader_.at_end()) return std::nullopt;
  Message m;
  m.type = static_cast<MessageType>(reader_.u8());
  if (!body(m)) {
    malformed_ = true;
    return std::nullopt;
  }
  return m;
}

std::optional<content::Bin> node_of(ChunkRange range) {
  auto width = range.size();
  if (!std::has_single_bit(width) || range.first % width != 0) return std::nullopt;
  return content::bin::at(std::countr_zero(width), range.first / width);
}

ChunkRange range_of(content::Bin node) {
  auto first = content::bin::first_chunk(node);
  auto last = std::min<std::uint64_t>(first + content::bin::width(node) - 1, UINT32_MAX);
  return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last)};
}

void write_handshake(Writer& w, const Handshake& h) {
  w.u8(static_cast<std::uint8_t>(MessageType::handshake));
  w.u32(h.source);
  auto option = [&](Option code, std::uint8_t value) {
    w.u8(code);
    w.u8(value);
  };
  option(Option::version, k_version);
  if (h.swarm) {
    option(Option::minimum_version, k_version);
    w.u8(Option::swarm_id);
    w.u16(32);
    w.bytes(*h.swarm);
  }
  option(Option::integrity_method, k_merkle_tree);
  option(Option::tree_hash, k_sha256);
  option(Option::addressing, k_chunk_ranges_32);
  option(Option::supported_messages, k_supported_octets);
  w.bytes(supported());
  w.u8(Option::chunk_size);
  w.u32(h.chunk_size);
  w.u8(Option::end);
}

void write_closing(Writer& w) {
  w.u8(static_cast<std::uint8_t>(MessageType::handshake));
  w.u32(0);
  w.u8(Option::end);
}

void write_range(Writer& w, MessageType type, ChunkRange range) {
  w.u8(static_cast<std::uint8_t>(type));
  w.u32(range.first);
  w.u32(range.last);
}

void write_ack(Writer& w, ChunkRange range, std::uint64_t delay) {
  write_range(w, MessageType::ack, range);
  w.u64(delay);
}

void write_integrity(Writer& w, const content::NodeHash& node) {
  write_range(w, MessageType::integrity, range_of(node.bin));
  w.bytes(node.hash);
}

void write_data(Writer& w, std::uint32_t chunk, std::uint64_t timestamp, ByteView data) {
  write_range(w, MessageType::data, {chunk, chunk});
  w.u64(timestamp);
  w.bytes(data);
}

void write_keyinfo(Writer& w, std::string_view text) {
  w.u8(static_cast<std::uint8_t>(MessageType::keyinfo));
  w.u16(static_cast<std::uint16_t>(text.size()));
  w.bytes(view_of(text));
}

}  // namespace sealcast::ppspp
