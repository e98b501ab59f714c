#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "os/descriptor.hpp"

namespace sealcast::io {

// TCP ports that nobody listens on and nobody else chooses as long as this lives: a listener that binds with
// SO_REUSEADDR, as StreamTransport does, may take them beside it.
struct HeldPorts {
  std::vector<std::uint16_t> ports;
  std::vector<os::Descriptor> sockets;  // one for each, bound
};

// `count` different ones of `address`.
Result<HeldPorts> free_tcp_ports(const std::string& address, std::size_t count);

}  // namespace sealcast::io
