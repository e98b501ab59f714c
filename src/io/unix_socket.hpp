#pragma once
// UNIX socket names of any length, and who is at the other end. For the HTTP server and client.
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>

#include "base/result.hpp"
#include "os/descriptor.hpp"

namespace sealcast::io {

// A sockaddr_un has room for 107 octets. A longer path goes through its directory's descriptor, which this object keeps
// open.
class UnixAddress {
 public:
  static Result<UnixAddress> of(const std::filesystem::path& path);
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t size() const { return sizeof address_; }

 private:
  UnixAddress() = default;
  sockaddr_un address_{};
  os::Descriptor directory_;
};

// "uid 1000 (ann), pid 4711": who did something, for a log.
std::string user_text(unsigned user, int process);
std::string own_user_text();
// Of the partner on a connected UNIX socket; empty: the kernel does not say.
std::string partner_text(int descriptor);
// Same user as this process, or root.
bool partner_trusted(int descriptor);

}  // namespace sealcast::io
