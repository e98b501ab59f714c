#include "io/socket.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <set>

#include "base/address.hpp"
#include "os/socket_address.hpp"

namespace sealcast::io {
namespace {

// 0, or errno of what failed.
int listen_on(std::uint16_t port, bool reuse) {
  os::Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = reuse ? 1 : 0;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const os::SocketAddress where({*parse_ip_address("127.0.0.1"), port});
  if (::bind(fd.get(), where.get(), where.size()) != 0) return errno;
  return ::listen(fd.get(), 1) == 0 ? 0 : errno;
}

TEST(HeldPorts, AreDifferentAndNobodyElseFindsThemFree) {
  auto held = free_tcp_ports("127.0.0.1", 5);
  ASSERT_TRUE(held);
  EXPECT_EQ(std::set<std::uint16_t>(held->ports.begin(), held->ports.end()).size(), 5U);
  for (auto port : held->ports) EXPECT_EQ(listen_on(port, false), EADDRINUSE);
}

TEST(HeldPorts, LeaveRoomForTheListenerThatTheyAreFor) {
  auto held = free_tcp_ports("127.0.0.1", 2);
  ASSERT_TRUE(held);
  for (auto port : held->ports) EXPECT_EQ(listen_on(port, true), 0);
  held->sockets.clear();
  EXPECT_EQ(listen_on(held->ports[0], false), 0);
}

TEST(HeldPorts, NeedAnAddress) {
  auto none = free_tcp_ports("localhost", 1);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace sealcast::io
