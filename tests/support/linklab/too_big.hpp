#pragma once
// What a router says of a packet that its next link cannot take.
#include <optional>

#include "direction.hpp"

namespace sealcast::linklab {

// An ICMP message "fragmentation needed" (RFC 792 type 3 code 4, with the next hop's MTU of RFC 1191) to the sender of
// this IPv4 packet, as if from its destination. Nothing for what is no IPv4 packet with DF set, for fragments that are
// not the first, and for ICMP itself but echo requests: nobody answers errors with errors.
std::optional<Packet> too_big_message(const Packet& packet, std::size_t mtu);

}  // namespace sealcast::linklab
