#include "service.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "output.hpp"

namespace sealcast::app {
namespace {

// sd_notify(3): one datagram to the socket that $NOTIFY_SOCKET names.
void notify_systemd(const char* state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (!path || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  (void)::sendto(fd, state, std::strlen(state), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  ::close(fd);
}

}  // namespace

Status tell_ready(const std::string& line) {
  // Who starts a node with a closed standard output does not wait for the line.
  if (!output_was_closed()) {
    print("ready %s\n", line.c_str());
    SEALCAST_TRY(flush_output());
  }
  notify_systemd("READY=1");
  return {};
}

Status run_until_signal(io::Loop& loop) {
  SEALCAST_TRY(loop.on_signal([&](int) { loop.stop(); }));
  loop.run();
  notify_systemd("STOPPING=1");
  return {};
}

}  // namespace sealcast::app
