#include "io/socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/address.hpp"
#include "io/random.hpp"

namespace sealcast::io {
namespace {

// Below what systems give to outgoing connections (Linux: from 32768 on), one of which could have the port when its
// listener comes back.
constexpr std::uint16_t k_first_port = 16384, k_ports = 16384;
constexpr int k_attempts = 200;

// A socket bound to `port`, 0: one that the system chose; -1 with errno.
int bind_one(const IpAddress& address, std::uint16_t& port) {
  int fd = ::socket(address.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  sockaddr_storage where{};
  socklen_t size = sizeof(sockaddr_in);
  if (address.is_v6()) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::memcpy(&v6->sin6_addr, address.octets.data(), 16);
    size = sizeof(sockaddr_in6);
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, address.octets.data(), 4);
  }
  if (::bind(fd, reinterpret_cast<sockaddr*>(&where), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
    int reason = errno;
    ::close(fd);
    errno = reason;
    return -1;
  }
  port = ntohs(address.is_v6() ? reinterpret_cast<sockaddr_in6*>(&where)->sin6_port
                               : reinterpret_cast<sockaddr_in*>(&where)->sin_port);
  return fd;
}

int bind_any(const IpAddress& address, std::uint16_t& port) {
  SystemRandom random;
  for (int i = 0; i < k_attempts; ++i) {
    port = static_cast<std::uint16_t>(k_first_port + random.u32() % k_ports);
    if (int fd = bind_one(address, port); fd >= 0 || errno != EADDRINUSE) return fd;
  }
  port = 0;
  return bind_one(address, port);
}

}  // namespace

Result<std::vector<std::uint16_t>> free_tcp_ports(const std::string& address, std::size_t count) {
  auto parsed = parse_ip_address(address);
  if (!parsed) return fail(ErrorCode::usage, "\"" + address + "\" is no IP address");
  std::vector<int> held;  // all at once, so that they differ
  std::vector<std::uint16_t> ports;
  int reason = 0;
  for (std::size_t i = 0; i < count && reason == 0; ++i) {
    std::uint16_t port = 0;
    int fd = bind_any(*parsed, port);
    if (fd < 0)
      reason = errno;
    else
      held.push_back(fd), ports.push_back(port);
  }
  for (int fd : held) ::close(fd);
  if (reason != 0) return fail(ErrorCode::network, "no free port on " + address + ": " + std::strerror(reason));
  return ports;
}

}  // namespace sealcast::io
