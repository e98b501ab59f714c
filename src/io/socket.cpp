#include "io/socket.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/address.hpp"
#include "os/descriptor.hpp"
#include "os/random.hpp"
#include "os/socket_address.hpp"

namespace sealcast::io {
namespace {

// Below what systems give to outgoing connections (Linux: from 32768 on), one of which could have the port when its
// listener comes back.
constexpr std::uint16_t k_first_port = 16384, k_ports = 16384;
constexpr int k_attempts = 200;

// A socket bound to `port`, 0: one that the system chose; none, with errno.
os::Descriptor bind_one(const IpAddress& address, std::uint16_t& port) {
  os::Descriptor fd(::socket(address.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const os::SocketAddress where({address, port});
  if (!fd || ::bind(fd.get(), where.get(), where.size()) != 0) return {};
  const auto bound = os::local_endpoint(fd.get());
  if (!bound) return {};
  port = bound->port;
  return fd;
}

os::Descriptor bind_any(const IpAddress& address, std::uint16_t& port) {
  os::SystemRandom random;
  for (int i = 0; i < k_attempts; ++i) {
    port = static_cast<std::uint16_t>(k_first_port + random.u32() % k_ports);
    auto fd = bind_one(address, port);
    if (fd || errno != EADDRINUSE) return fd;
  }
  port = 0;
  return bind_one(address, port);
}

// From now on a listener with SO_REUSEADDR may have the port too. Who looks for a free one binds without it, and does
// not get this one.
void share(int socket) {
  int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

}  // namespace

Result<HeldPorts> free_tcp_ports(const std::string& address, std::size_t count) {
  auto parsed = parse_ip_address(address);
  if (!parsed) return fail(ErrorCode::usage, "\"" + address + "\" is no IP address");
  HeldPorts held;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t port = 0;
    auto fd = bind_any(*parsed, port);
    if (!fd) return fail(ErrorCode::network, "no free port on " + address + ": " + std::strerror(errno));
    share(fd.get());
    held.sockets.push_back(std::move(fd));
    held.ports.push_back(port);
  }
  return held;
}

}  // namespace sealcast::io
