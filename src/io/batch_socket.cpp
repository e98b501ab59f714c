#include "io/batch_socket.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace sealcast::io {
namespace {

constexpr std::size_t k_slots = 16;           // buffers of one recvmmsg
constexpr std::size_t k_slot_octets = 65536;  // a coalesced batch is never larger
constexpr int k_buffer_octets = 8 << 20;      // a window of 2^14 packets, some of it while the loop is busy with a disk

bool set(int descriptor, int level, int option, int value) {
  return ::setsockopt(descriptor, level, option, &value, sizeof value) == 0;
}

// The system's limit binds only those without CAP_NET_ADMIN.
void enlarge(int descriptor, int forced, int plain) {
  if (!set(descriptor, SOL_SOCKET, forced, k_buffer_octets)) (void)set(descriptor, SOL_SOCKET, plain, k_buffer_octets);
}

// Not allowed, as a rule: the kernel does not cut datagrams, and does not learn a path's MTU from forgeable ICMP. For
// partners whose path is too small the engine asks for it.
bool set_fragments(int descriptor, bool v6, bool allowed) {
  constexpr int k_least_mtu = 1280;  // of IPv6, which routers do not cut: pieces of this size pass everywhere
  return v6 ? set(descriptor, IPPROTO_IPV6, IPV6_MTU_DISCOVER, allowed ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE) &&
                  set(descriptor, IPPROTO_IPV6, IPV6_MTU, allowed ? k_least_mtu : 0)
            : set(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, allowed ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE);
}

bool is_full(int reason) {
  return reason == EAGAIN || reason == EWOULDBLOCK;
}

// Errors by which kernels and devices say that they do not segment. Some of them have other causes too: send() looks
// twice.
bool may_mean_no_segmentation(int reason) {
  return reason == EINVAL || reason == EIO || reason == ENOPROTOOPT || reason == EOPNOTSUPP || reason == EMSGSIZE;
}

std::size_t segments_of(std::size_t octets, std::size_t segment) {
  return (octets + segment - 1) / segment;
}

}  // namespace

Status BatchSocket::open(const Endpoint& local, const MediaOptions& options) {
  close();
  bool v6 = local.address.is_v6();
  auto refuse = [&](const char* what) {
    auto reason = std::generic_category().message(errno);
    close();
    return fail(ErrorCode::network, std::string(what) + " UDP " + local.text() + ": " + reason);
  };
  descriptor_ = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor_ < 0) return refuse("cannot make a socket for");
  // Else IPv4 partners would show up as ::ffff:a.b.c.d, which matches no address of an SDP.
  if (v6 && !set(descriptor_, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return refuse("cannot set up");
  if (!set_fragments(descriptor_, v6, false)) return refuse("cannot set up");
  fragments_ = false;
  enlarge(descriptor_, SO_RCVBUFFORCE, SO_RCVBUF);
  enlarge(descriptor_, SO_SNDBUFFORCE, SO_SNDBUF);
  const os::SocketAddress where(local);
  if (::bind(descriptor_, where.get(), where.size()) != 0) return refuse("cannot listen on");
  const auto bound = os::local_endpoint(descriptor_);
  if (!bound) return refuse("cannot listen on");
  local_ = *bound;
  coalescing_ = options.coalescing && set(descriptor_, SOL_UDP, UDP_GRO, 1);
  int segment = 0;
  socklen_t octets = sizeof segment;
  segmentation_ = options.segmentation && ::getsockopt(descriptor_, SOL_UDP, UDP_SEGMENT, &segment, &octets) == 0;
  send_messages_ = options.send_messages ? options.send_messages : ::sendmmsg;
  room_.resize(k_slots * k_slot_octets);
  return {};
}

void BatchSocket::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

std::span<ReceivedBatch> BatchSocket::receive(MediaCounters& counters) {
  std::array<mmsghdr, k_slots> messages{};
  std::array<iovec, k_slots> data;
  std::array<os::SocketAddress, k_slots> from;
  alignas(cmsghdr) std::array<std::array<std::uint8_t, CMSG_SPACE(sizeof(int))>, k_slots> control;
  for (std::size_t i = 0; i < k_slots; ++i) {
    data[i] = {room_.data() + i * k_slot_octets, k_slot_octets};
    auto& header = messages[i].msg_hdr;
    header.msg_name = &from[i];
    header.msg_namelen = sizeof from[i];
    header.msg_iov = &data[i];
    header.msg_iovlen = 1;
    header.msg_control = control[i].data();
    header.msg_controllen = control[i].size();
  }
  received_.clear();
  int count;
  do count = ::recvmmsg(descriptor_, messages.data(), k_slots, MSG_DONTWAIT, nullptr);
  while (count < 0 && errno == EINTR);
  // What a router or a partner's system says about an earlier datagram: reading it has cleared it.
  if (count < 0 && !is_full(errno)) ++counters.receive_errors;
  for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); ++i) take(messages[i], i, counters);
  return received_;
}

void BatchSocket::take(const mmsghdr& message, std::size_t slot, MediaCounters& counters) {
  auto& header = message.msg_hdr;
  std::size_t size = message.msg_len, segment = size;
  if ((header.msg_flags & MSG_TRUNC) != 0) ++counters.receive_errors;
  if ((header.msg_flags & MSG_TRUNC) != 0 || size == 0) return;
  auto* mutable_header = const_cast<msghdr*>(&header);
  for (auto* c = CMSG_FIRSTHDR(mutable_header); c; c = CMSG_NXTHDR(mutable_header, c)) {
    if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
    int value = 0;
    std::memcpy(&value, CMSG_DATA(c), sizeof value);
    if (value > 0) segment = std::min(size, static_cast<std::size_t>(value));
  }
  auto from = static_cast<const os::SocketAddress*>(header.msg_name)->endpoint();
  if (!from) return;
  MutableByteView data(room_.data() + slot * k_slot_octets, size);
  counters.received_segments += segments_of(size, segment);
  // Newer kernels coalesce up to 128 segments; an engine takes 64.
  for (std::size_t at = 0; at < size; at += segment * k_batch_segments) {
    received_.push_back({*from, segment, data.subspan(at, std::min(segment * k_batch_segments, size - at))});
    ++counters.received_batches;
  }
}

std::size_t BatchSocket::send(const SendBatch& batch, MediaCounters& counters) {
  if (batch.to.address.family != local_.address.family) {
    counters.send_errors += segments_of(batch.data.size(), batch.segment);
    return batch.data.size();
  }
  os::SocketAddress to(batch.to);
  if (batch.fragment != fragments_ && set_fragments(descriptor_, local_.address.is_v6(), batch.fragment))
    fragments_ = batch.fragment;
  // The kernel segments to what passes whole.
  if (!segmentation_ || batch.fragment || batch.data.size() <= batch.segment) return send_single(batch, to, counters);
  auto outcome = send_segmented(batch, to, counters);
  if (outcome == Outcome::sent) return batch.data.size();
  if (outcome == Outcome::full) return 0;
  // A bad destination is refused either way (port 0 is EINVAL too): only a batch that goes through in single datagrams
  // proves that segmentation is what failed. So no partner can turn it off for the others.
  auto errors = counters.send_errors;
  auto done = send_single(batch, to, counters);
  if (done > 0 && counters.send_errors == errors) segmentation_ = false;
  return done;
}

BatchSocket::Outcome BatchSocket::send_segmented(const SendBatch& batch, os::SocketAddress& to,
                                                 MediaCounters& counters) {
  iovec data{const_cast<std::uint8_t*>(batch.data.data()), batch.data.size()};
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(std::uint16_t))> control{};
  mmsghdr message{};
  auto& header = message.msg_hdr;
  header.msg_name = &to;
  header.msg_namelen = to.size();
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  auto* c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  auto segment = static_cast<std::uint16_t>(batch.segment);
  std::memcpy(CMSG_DATA(c), &segment, sizeof segment);
  int sent;
  do sent = send_messages_(descriptor_, &message, 1, MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  auto segments = segments_of(batch.data.size(), batch.segment);
  if (sent > 0) {
    ++counters.sent_batches;
    counters.sent_segments += segments;
    return Outcome::sent;
  }
  if (is_full(errno)) return Outcome::full;
  if (may_mean_no_segmentation(errno)) return Outcome::refused;
  counters.send_errors += segments;  // this destination's trouble (no route, a firewall): lost, as on any path
  return Outcome::sent;
}

// Datagram by datagram; one that is refused is counted and skipped.
std::size_t BatchSocket::send_single(const SendBatch& batch, os::SocketAddress& to, MediaCounters& counters) {
  std::array<mmsghdr, k_batch_segments> messages{};
  std::array<iovec, k_batch_segments> data;
  std::size_t count = 0;
  for (std::size_t at = 0; at < batch.data.size() && count < k_batch_segments; at += batch.segment, ++count) {
    data[count] = {const_cast<std::uint8_t*>(batch.data.data()) + at, std::min(batch.segment, batch.data.size() - at)};
    auto& header = messages[count].msg_hdr;
    header.msg_name = &to;
    header.msg_namelen = to.size();
    header.msg_iov = &data[count];
    header.msg_iovlen = 1;
  }
  std::size_t done = 0;
  while (done < count) {
    int sent = send_messages_(descriptor_, &messages[done], static_cast<unsigned>(count - done), MSG_DONTWAIT);
    if (sent > 0) {
      counters.sent_segments += static_cast<std::size_t>(sent);
      done += static_cast<std::size_t>(sent);
    } else if (is_full(errno)) {
      return done * batch.segment;
    } else if (errno != EINTR) {
      if (errno == EMSGSIZE) ++counters.too_large;
      ++counters.send_errors;
      ++done;
    }
  }
  ++counters.sent_batches;
  return batch.data.size();
}

}  // namespace sealcast::io
