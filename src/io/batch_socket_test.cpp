#include "io/batch_socket.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include <cerrno>
#include <optional>

#include "tests/support/seeded_random.hpp"

namespace sealcast::io {
namespace {

const Endpoint k_loopback{IpAddress::v4(127, 0, 0, 1), 0};

Bytes octets(std::size_t size) {
  Bytes out(size);
  test::SeededRandom(size).fill(out);
  return out;
}

struct Sockets : testing::Test {
  void open(MediaOptions options = {}) {
    ASSERT_TRUE(from.open(k_loopback, options));
    ASSERT_TRUE(to.open(k_loopback, options));
  }
  SendBatch batch(const Bytes& data, std::size_t segment) const { return {to.local(), segment, data}; }
  // Segments as they were, until `wanted` octets are there.
  std::vector<Bytes> collect(std::size_t wanted) {
    std::vector<Bytes> out;
    for (std::size_t got = 0; got < wanted;) {
      pollfd ready{to.descriptor(), POLLIN, 0};
      if (::poll(&ready, 1, 2000) != 1) break;
      for (auto& received : to.receive(counters)) {
        EXPECT_EQ(received.from, from.local());
        EXPECT_LE(received.data.size(), received.segment * k_batch_segments);
        for (std::size_t at = 0; at < received.data.size(); at += received.segment)
          out.push_back(bytes_of(received.data.subspan(at, std::min(received.segment, received.data.size() - at))));
        got += received.data.size();
      }
    }
    return out;
  }
  void expect_arrives(const Bytes& data, std::size_t segment) {
    auto segments = collect(data.size());
    Bytes whole;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      if (i + 1 < segments.size()) {
        EXPECT_EQ(segments[i].size(), segment);
      }
      whole.insert(whole.end(), segments[i].begin(), segments[i].end());
    }
    EXPECT_EQ(whole, data);
  }
  BatchSocket from, to;
  MediaCounters counters;
};

TEST_F(Sockets, BatchesArriveSegmentBySegmentWithAndWithoutOffload) {
  for (bool segmentation : {true, false})
    for (bool coalescing : {true, false}) {
      open({segmentation, coalescing});
      for (auto [size, segment] : {std::pair{std::size_t{1}, std::size_t{1}},
                                   {1200, 1200},
                                   {64 * 1000, 1000},
                                   {63 * 1000 + 1, 1000},
                                   {65507, 65507},
                                   {3000, 1250}}) {
        auto data = octets(size);
        EXPECT_EQ(from.send(batch(data, segment), counters), size);
        expect_arrives(data, segment);
      }
    }
  EXPECT_EQ(counters.send_errors, 0u);
  EXPECT_EQ(counters.receive_errors, 0u);
  EXPECT_EQ(counters.sent_segments, counters.received_segments);
}

TEST_F(Sockets, WhatAFullSocketDidNotTakeGoesOutLaterOctetForOctet) {
  for (bool segmentation : {true, false}) {
    int calls = 0;
    open({segmentation, true, [&](int fd, mmsghdr* messages, unsigned count, int flags) {
            if (++calls % 2 == 1) {
              errno = EAGAIN;
              return -1;
            }
            return ::sendmmsg(fd, messages, std::min(count, 10u), flags);
          }});
    auto data = octets(40 * 1000 + 7);
    std::size_t done = 0;
    for (int tries = 0; done < data.size() && tries < 20; ++tries)
      done += from.send({to.local(), 1000, ByteView(data).subspan(done)}, counters);
    EXPECT_EQ(done, data.size());
    expect_arrives(data, 1000);
    EXPECT_EQ(from.segmentation(), segmentation);
  }
  EXPECT_EQ(counters.send_errors, 0u);
}

// A system that refuses whatever carries UDP_SEGMENT.
auto refuse_segmentation(int reason, int& refused) {
  return [reason, &refused](int fd, mmsghdr* messages, unsigned count, int flags) {
    if (messages->msg_hdr.msg_controllen == 0) return ::sendmmsg(fd, messages, count, flags);
    ++refused;
    errno = reason;
    return -1;
  };
}

TEST_F(Sockets, ASystemThatRefusesSegmentationIsAskedOnce) {
  for (int reason : {EINVAL, EIO, ENOPROTOOPT}) {
    int refused = 0;
    open({true, true, refuse_segmentation(reason, refused)});
    auto data = octets(5000);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(from.send(batch(data, 1000), counters), data.size());
      expect_arrives(data, 1000);
    }
    EXPECT_EQ(refused, 1);
    EXPECT_FALSE(from.segmentation());
  }
}

TEST_F(Sockets, ABadDestinationIsCountedAndTurnsNothingOff) {
  bool unreachable = false;
  open({true, true, [&](int fd, mmsghdr* messages, unsigned count, int flags) {
          errno = ENETUNREACH;
          return unreachable ? -1 : ::sendmmsg(fd, messages, count, flags);
        }});
  auto data = octets(5000);
  SendBatch nowhere{{IpAddress::v4(127, 0, 0, 1), 0}, 1000, data};  // port 0: EINVAL
  EXPECT_EQ(from.send(nowhere, counters), data.size());
  EXPECT_EQ(counters.send_errors, 5u);
  SendBatch other_family{*parse_endpoint("[::1]:5000"), 1000, data};
  EXPECT_EQ(from.send(other_family, counters), data.size());
  EXPECT_EQ(counters.send_errors, 10u);
  unreachable = true;
  EXPECT_EQ(from.send(batch(data, 1000), counters), data.size());
  EXPECT_EQ(counters.send_errors, 15u);
  unreachable = false;
  EXPECT_TRUE(from.segmentation());
  EXPECT_EQ(from.send(batch(data, 1000), counters), data.size());
  expect_arrives(data, 1000);
}

TEST_F(Sockets, EmptyDatagramsAreNoBatches) {
  open();
  int fd = from.descriptor();
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ::getsockname(to.descriptor(), reinterpret_cast<sockaddr*>(&name), &size);
  EXPECT_EQ(::sendto(fd, "", 0, 0, reinterpret_cast<sockaddr*>(&name), size), 0);
  auto data = octets(10);
  EXPECT_EQ(from.send(batch(data, 10), counters), 10u);
  expect_arrives(data, 10);
  EXPECT_EQ(counters.received_batches, 1u);
}

TEST_F(Sockets, AnAddressThatIsTakenIsNamed) {
  open();
  BatchSocket third;
  auto taken = third.open(from.local(), {});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::network);
  EXPECT_NE(taken.error().message.find(from.local().text() + ": Address already in use"), std::string::npos);
  EXPECT_FALSE(third.is_open());
}

// A datagram that is too large for the way is told apart from other trouble; segmentation stays on.
TEST_F(Sockets, WhatIsTooLargeIsCounted) {
  MediaOptions options;
  options.send_messages = [](int fd, mmsghdr* messages, unsigned count, int flags) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < messages[0].msg_hdr.msg_iovlen; ++i) size += messages[0].msg_hdr.msg_iov[i].iov_len;
    if (size > 1000) return errno = EMSGSIZE, -1;
    return ::sendmmsg(fd, messages, count, flags);
  };
  open(options);
  auto small = octets(900), large = octets(4000);
  EXPECT_EQ(from.send(batch(small, 900), counters), 900u);
  EXPECT_EQ(counters.too_large, 0u);
  EXPECT_EQ(from.send(batch(large, 1200), counters), 4000u);
  EXPECT_GE(counters.too_large, 3u);
}

// The loopback's MTU is smaller than that; where it is not, nothing is to be cut.
TEST_F(Sockets, OnlyWhatMayBeCutIsCutAndSegmentationStaysOn) {
  open();
  auto huge = octets(65507), small = octets(4800);
  auto fragmented = batch(huge, 65507);
  fragmented.fragment = true;
  ASSERT_EQ(from.send(fragmented, counters), huge.size());
  EXPECT_EQ(counters.send_errors, 0u);
  expect_arrives(huge, 65507);
  bool segmentation = from.segmentation();
  EXPECT_EQ(from.send(batch(small, 1200), counters), small.size());
  expect_arrives(small, 1200);
  EXPECT_EQ(from.segmentation(), segmentation);
  int mode = -1;
  socklen_t size = sizeof mode;
  EXPECT_EQ(::getsockopt(from.descriptor(), IPPROTO_IP, IP_MTU_DISCOVER, &mode, &size), 0);
  EXPECT_EQ(mode, IP_PMTUDISC_PROBE);
}

}  // namespace
}  // namespace sealcast::io
