#include "io/resolve.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "os/socket_address.hpp"

namespace sealcast::io {

Result<std::vector<Endpoint>> resolve(const std::string& place) {
  if (const auto numeric = parse_endpoint(place)) return std::vector<Endpoint>{*numeric};
  const auto colon = place.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == place.size())
    return fail(ErrorCode::usage, "the address " + place + " is not of the form host:port");
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const auto host = place.substr(0, colon);
  if (const int error = ::getaddrinfo(host.c_str(), place.substr(colon + 1).c_str(), &hints, &found); error != 0)
    return fail(ErrorCode::network, "cannot find " + host + ": " + ::gai_strerror(error));
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, &::freeaddrinfo);
  std::vector<Endpoint> out;
  for (const auto* each = found; each != nullptr; each = each->ai_next) {
    os::SocketAddress address;
    if (each->ai_addrlen > os::SocketAddress::room) continue;
    std::memcpy(address.get(), each->ai_addr, each->ai_addrlen);
    const auto endpoint = address.endpoint();
    if (endpoint && std::find(out.begin(), out.end(), *endpoint) == out.end()) out.push_back(*endpoint);
  }
  if (out.empty()) return fail(ErrorCode::network, "cannot find " + host + ": it has no address that can be used");
  return out;
}

}  // namespace sealcast::io
