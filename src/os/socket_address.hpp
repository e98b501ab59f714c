#pragma once
// The kernel's socket addresses and ours: the only place that knows both.
#include <sys/socket.h>

#include <optional>

#include "base/address.hpp"

namespace sealcast::os {

// IPv4 or IPv6; room for whatever the kernel writes.
class SocketAddress {
 public:
  SocketAddress() = default;
  explicit SocketAddress(const Endpoint& endpoint);

  int family() const { return storage_.ss_family; }
  std::optional<Endpoint> endpoint() const;  // nothing: another family (or never filled)
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage_); }
  socklen_t size() const;                                      // of what it holds
  static constexpr socklen_t room = sizeof(sockaddr_storage);  // for what the kernel writes

 private:
  sockaddr_storage storage_{};
};

std::optional<Endpoint> local_endpoint(int socket);   // getsockname(2)
std::optional<Endpoint> remote_endpoint(int socket);  // getpeername(2)

}  // namespace sealcast::os
