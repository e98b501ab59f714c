#pragma once
// Batches of datagrams between a core and the socket that drives it: packets back to back, as UDP_SEGMENT and UDP_GRO
// carry them.
#include "base/address.hpp"

namespace sealcast {

inline constexpr std::size_t k_batch_octets = 65507;  // largest UDP payload over IPv4
inline constexpr std::size_t k_batch_segments = 64;   // kernel limit of UDP_SEGMENT

// Every segment has `segment` octets, the last one may have less. 1..64 segments.
struct ReceivedBatch {
  Endpoint from;
  std::size_t segment = 0;
  MutableByteView data;  // decrypted in place; valid for the call
};
struct SendBatch {
  Endpoint to;
  std::size_t segment = 0;
  ByteView data;          // valid until the core is called again
  bool fragment = false;  // the network may cut it: the path takes no datagrams of this size
};

}  // namespace sealcast
