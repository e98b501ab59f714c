#include "io/socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/address.hpp"

namespace sealcast::io {
namespace {

// A socket bound to a port that the system chose; -1 with errno.
int bind_any(const IpAddress& address, std::uint16_t& port) {
  int fd = ::socket(address.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  sockaddr_storage where{};
  socklen_t size = sizeof(sockaddr_in);
  if (address.is_v6()) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
    v6->sin6_family = AF_INET6;
    std::memcpy(&v6->sin6_addr, address.octets.data(), 16);
    size = sizeof(sockaddr_in6);
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
    v4->sin_family = AF_INET;
    std::memcpy(&v4->sin_addr, address.octets.data(), 4);
  }
  if (::bind(fd, reinterpret_cast<sockaddr*>(&where), size) != 0 || ::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
    int reason = errno;
    ::close(fd);
    errno = reason;
    return -1;
  }
  port = ntohs(address.is_v6() ? reinterpret_cast<sockaddr_in6*>(&where)->sin6_port : reinterpret_cast<sockaddr_in*>(&where)->sin_port);
  return fd;
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
    if (fd < 0) reason = errno;
    else held.push_back(fd), ports.push_back(port);
  }
  for (int fd : held) ::close(fd);
  if (reason != 0) return fail(ErrorCode::network, "no free port on " + address + ": " + std::strerror(reason));
  return ports;
}

}  // namespace sealcast::io
