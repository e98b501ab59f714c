#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "os/clock.hpp"
#include "os/descriptor.hpp"
#include "os/random.hpp"
#include "os/socket_address.hpp"

namespace sealcast::os {
namespace {

TEST(SystemRandom, FillsEveryOctetSometimes) {
  SystemRandom random;
  Bytes seen(1000), octets(1000);
  for (int i = 0; i < 8; ++i) {
    random.fill(octets);
    for (std::size_t k = 0; k < seen.size(); ++k) seen[k] |= octets[k];
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0);
  random.fill({});
}

TEST(Descriptor, ClosesWhatItOwnsOnceAndKeepsErrno) {
  int raw = -1;
  {
    Descriptor first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(first);
    raw = first.get();
    Descriptor second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is the question
    EXPECT_EQ(second.get(), raw);
    errno = EADDRINUSE;
  }
  EXPECT_EQ(errno, EADDRINUSE);
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(SocketAddress, IsTheEndpointThatItWasMadeFrom) {
  for (const char* text : {"192.0.2.1:5061", "[2001:db8::7]:65535"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint);
    EXPECT_EQ(SocketAddress(*endpoint).endpoint(), endpoint);
  }
  EXPECT_FALSE(SocketAddress().endpoint());
}

TEST(SocketAddress, SaysWhereASocketIsBound) {
  Descriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress any(Endpoint{IpAddress::v4(127, 0, 0, 1), 0});
  ASSERT_EQ(::bind(fd.get(), any.get(), any.size()), 0);
  const auto bound = local_endpoint(fd.get());
  ASSERT_TRUE(bound);
  EXPECT_NE(bound->port, 0);
  EXPECT_FALSE(remote_endpoint(fd.get()));
}

}  // namespace
}  // namespace sealcast::os
