#include "os/socket_address.hpp"

#include <netinet/in.h>

#include <cstring>

namespace sealcast::os {

SocketAddress::SocketAddress(const Endpoint& from) {
  if (from.address.is_v6()) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(from.port);
    std::memcpy(&v6.sin6_addr, from.address.octets.data(), sizeof v6.sin6_addr);
    std::memcpy(&storage_, &v6, sizeof v6);
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(from.port);
    std::memcpy(&v4.sin_addr, from.address.octets.data(), sizeof v4.sin_addr);
    std::memcpy(&storage_, &v4, sizeof v4);
  }
}

std::optional<Endpoint> SocketAddress::endpoint() const {
  Endpoint out;
  if (storage_.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &storage_, sizeof v6);
    out.address.family = IpAddress::Family::v6;
    std::memcpy(out.address.octets.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
    out.port = ntohs(v6.sin6_port);
  } else if (storage_.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &storage_, sizeof v4);
    std::memcpy(out.address.octets.data(), &v4.sin_addr, sizeof v4.sin_addr);
    out.port = ntohs(v4.sin_port);
  } else {
    return std::nullopt;
  }
  return out;
}

socklen_t SocketAddress::size() const {
  return storage_.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

std::optional<Endpoint> local_endpoint(int socket) {
  SocketAddress where;
  socklen_t size = SocketAddress::room;
  if (::getsockname(socket, where.get(), &size) != 0) return std::nullopt;
  return where.endpoint();
}

std::optional<Endpoint> remote_endpoint(int socket) {
  SocketAddress where;
  socklen_t size = SocketAddress::room;
  if (::getpeername(socket, where.get(), &size) != 0) return std::nullopt;
  return where.endpoint();
}

}  // namespace sealcast::os
