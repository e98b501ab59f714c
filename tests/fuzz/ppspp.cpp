// Messages of one datagram: each one that is accepted is written and read again alike.
#include "ppspp/message.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;
using ppspp::MessageType;

namespace {

void write(Writer& w, const ppspp::Message& m) {
  switch (m.type) {
    case MessageType::handshake:
      return m.handshake.source == 0 ? ppspp::write_closing(w) : ppspp::write_handshake(w, m.handshake);
    case MessageType::data:
      return ppspp::write_data(w, m.range.first, m.timestamp, m.data);
    case MessageType::ack:
      return ppspp::write_ack(w, m.range, m.timestamp);
    case MessageType::integrity:
      return ppspp::write_integrity(w, {*ppspp::node_of(m.range), m.hash});
    case MessageType::keyinfo:
      return ppspp::write_keyinfo(w, string_of(m.data));
    case MessageType::choke:
    case MessageType::unchoke:
      return w.u8(static_cast<std::uint8_t>(m.type));
    default:
      return ppspp::write_range(w, m.type, m.range);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ppspp::Decoder decoder({data, size});
  Bytes room(size + 200);
  while (auto m = decoder.next()) {
    SEALCAST_ASSERT(m->range.first <= m->range.last);
    if (auto node = ppspp::node_of(m->range)) SEALCAST_ASSERT(ppspp::range_of(*node) == m->range);
    Writer writer(room);
    write(writer, *m);
    SEALCAST_ASSERT(writer.ok());
    ppspp::Decoder second(writer.written());
    auto again = second.next();
    SEALCAST_ASSERT(again && again->type == m->type && again->range == m->range && again->hash == m->hash &&
                    equal(again->data, m->data));
    SEALCAST_ASSERT(again->handshake.source == m->handshake.source &&
                    (m->handshake.source == 0 || again->handshake.swarm == m->handshake.swarm));
    SEALCAST_ASSERT(!second.next() && !second.malformed());
  }
  return 0;
}
