#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "os/clock.hpp"
#include "os/descriptor.hpp"
#include "os/limits.hpp"
#include "os/random.hpp"
#include "os/running_time.hpp"
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

TEST(RunningTime, leaves_out_what_nobody_ran) {
  RunningTime time;
  std::int64_t clock = 1'000'000;
  auto raw = [&] { return clock; };
  auto start = time.now(raw);
  clock += 900'000;
  EXPECT_EQ(time.now(raw) - start, 900ms);
  EXPECT_EQ(time.stops(), 0u);
  clock += 600'000'000;  // stopped for ten minutes
  EXPECT_EQ(time.now(raw) - start, 900ms);
  EXPECT_EQ(time.stops(), 1u);
  clock += 1'000'000;
  EXPECT_EQ(time.now(raw) - start, 1900ms);
  // A reading that was taken before the stop and compared after it is taken anew.
  bool first = true;
  auto held_up = [&] {
    auto out = clock;
    if (std::exchange(first, false)) {
      clock += 60'000'000;
      time.now(raw);
    }
    return out;
  };
  EXPECT_EQ(time.now(held_up) - start, 1900ms);
  EXPECT_EQ(time.stops(), 2u);
}

TEST(Limits, some_descriptors_are_kept_back) {
  EXPECT_EQ(descriptors_for_connections(65536), 65280u);
  EXPECT_EQ(descriptors_for_connections(256), 128u);
  EXPECT_LE(descriptors_for_connections(), descriptor_limit());
}

}  // namespace
}  // namespace sealcast::os
