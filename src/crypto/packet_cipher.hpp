#pragma once
// Ciphers under SRTP, over batches of packets in place.
#include <array>
#include <memory>
#include <span>

#include "base/secret.hpp"

namespace sealcast::crypto {

// One packet's work. For AES-GCM: nonce = iv[0..11], aad, text, tag of 16 octets.
// For AES-CTR with HMAC-SHA1-80: iv of 16 octets, text, and `authenticated` (text included) followed by the trailer if
// there is one; the tag of 10 octets has its place right behind `authenticated`.
struct PacketJob {
  std::array<std::uint8_t, 16> iv{};
  ByteView aad;
  MutableByteView text;  // transformed in place
  std::uint8_t* tag = nullptr;
  ByteView authenticated;
  std::array<std::uint8_t, 4> trailer{};
  bool with_trailer = false;
  bool ok = false;  // set by the call
};

// One key, one direction, one thread.
class PacketCipher {
 public:
  virtual ~PacketCipher() = default;
  virtual void seal(std::span<PacketJob> jobs) = 0;
  // Where a tag is wrong, ok is false and the text is unspecified.
  virtual void open(std::span<PacketJob> jobs) = 0;
};
std::unique_ptr<PacketCipher> make_gcm_cipher(ByteView key);                                    // 16 or 32 octets
std::unique_ptr<PacketCipher> make_ctr_hmac_cipher(ByteView key, ByteView authentication_key);  // 16, 20 octets

// AES in counter mode over zeros: the pseudo-random function of SRTP's key derivation (RFC 3711 section 4.3.3). Key 16
// or 32 octets.
void aes_counter_keystream(ByteView key, const std::array<std::uint8_t, 16>& iv, MutableByteView out);

}  // namespace sealcast::crypto
