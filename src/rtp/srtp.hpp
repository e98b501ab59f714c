#pragma once
// SRTP and SRTCP transforms (RFC 3711, RFC 7714) for one direction and one SSRC, over batches of packets.
#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "rtp/suite.hpp"

namespace sealcast::rtp {

inline constexpr std::size_t k_rtp_header = 12;
inline constexpr std::size_t k_max_srtp_overhead = 20;  // tag and SRTCP index

// A packet in its caller's memory, transformed in place.
struct PacketSlot {
  std::uint8_t* data = nullptr;
  std::uint32_t size = 0;      // octets now; changed by the call
  std::uint32_t capacity = 0;  // octets that fit (protect needs room for the tag)
  bool ok = false;             // set by the call
};

struct SrtpOptions {
  std::uint32_t window = 16384;  // replay window in packets, a power of two, 64..32768 (RFC 4568 WSH)
  std::uint64_t lifetime = std::uint64_t{1} << 31;  // packets under one master key
  std::uint32_t rtcp_lifetime = 0x7fffffff;         // RTCP packets; the index has 31 bits
};

struct SrtpCounters {
  std::uint64_t packets = 0;
  std::uint64_t authentication_failures = 0;
  std::uint64_t replays = 0;
  std::uint64_t malformed = 0;
};

// Sends packets of one SSRC. The ROC follows the sequence numbers that the caller writes into the headers, which must
// be consecutive.
class SrtpSender {
 public:
  SrtpSender(const SrtpKey& key, std::uint32_t ssrc, SrtpOptions options = {});
  ~SrtpSender();
  SrtpSender(SrtpSender&&) noexcept;
  SrtpSender& operator=(SrtpSender&&) noexcept;
  // RTP packets with their headers written. A packet beyond the key's lifetime is refused (ok = false).
  void protect(std::span<PacketSlot> packets);
  void protect_rtcp(PacketSlot& packet);  // E flag set, index appended
  std::uint64_t packets_left() const;     // of the lifetime
  std::size_t overhead() const;           // octets that protect() adds to an RTP packet

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Receives packets of one SSRC: estimates the index, checks tag and replay window, decrypts. A failed packet has ok =
// false and is left alone otherwise.
class SrtpReceiver {
 public:
  SrtpReceiver(const SrtpKey& key, std::uint32_t ssrc, SrtpOptions options = {});
  ~SrtpReceiver();
  SrtpReceiver(SrtpReceiver&&) noexcept;
  SrtpReceiver& operator=(SrtpReceiver&&) noexcept;
  void unprotect(std::span<PacketSlot> packets);
  void unprotect_rtcp(PacketSlot& packet);
  const SrtpCounters& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::rtp
