// SRTP of a batch of 64 packets: by suite, back end and size of the payload, beside libsrtp2. Octets are those of the
// payload.
#include <benchmark/benchmark.h>
#include <srtp2/srtp.h>

#include <array>

#include "base/wire.hpp"
#include "crypto/backend.hpp"
#include "rtp/srtp.hpp"

namespace sealcast {
namespace {

constexpr std::size_t k_batch = 64, k_ssrc = 7;

rtp::SrtpKey key_of(rtp::CryptoSuite suite) {
  const auto sizes = rtp::sizes(suite);
  SecretBytes key(sizes.key + sizes.salt);
  for (std::size_t i = 0; i < key.size(); ++i) key.fill()[i] = static_cast<std::uint8_t>(i * 5 + 1);
  return {suite, std::move(key)};
}

struct Packets {
  explicit Packets(std::size_t payload) : size(rtp::k_rtp_header + payload), room(k_batch * (size + 32)) {
    for (std::size_t i = 0; i < k_batch; ++i)
      slots[i] = {room.data() + i * (size + 32), 0, static_cast<std::uint32_t>(size + 32), false};
  }
  // Headers with the next sequence numbers; the payload is whatever stands there.
  void prepare() {
    for (auto& slot : slots) {
      slot.size = static_cast<std::uint32_t>(size);
      Writer w({slot.data, rtp::k_rtp_header});
      w.u8(0x80);
      w.u8(96);
      w.u16(sequence++);
      w.u32(0);
      w.u32(k_ssrc);
    }
  }
  std::size_t size;
  Bytes room;
  std::array<rtp::PacketSlot, k_batch> slots{};
  std::uint16_t sequence = 1;
};

void count(benchmark::State& state, std::size_t payload) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * k_batch * payload));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * k_batch));
}

void protect(benchmark::State& state, rtp::CryptoSuite suite, crypto::Backend backend) {
  crypto::set_backend(backend);
  const auto payload = static_cast<std::size_t>(state.range(0));
  rtp::SrtpSender sender(key_of(suite), k_ssrc, {.window = 16384, .lifetime = std::uint64_t{1} << 47});
  Packets packets(payload);
  for (auto _ : state) {
    packets.prepare();
    sender.protect(packets.slots);
    if (!packets.slots.back().ok) state.SkipWithError("refused");
  }
  count(state, payload);
  crypto::set_backend(crypto::Backend::automatic);
}

// With a sender beside it, whose time is not counted.
void unprotect(benchmark::State& state, rtp::CryptoSuite suite, crypto::Backend backend) {
  crypto::set_backend(backend);
  const auto payload = static_cast<std::size_t>(state.range(0));
  const rtp::SrtpOptions options{.window = 16384, .lifetime = std::uint64_t{1} << 47};
  rtp::SrtpSender sender(key_of(suite), k_ssrc, options);
  rtp::SrtpReceiver receiver(key_of(suite), k_ssrc, options);
  Packets packets(payload);
  for (auto _ : state) {
    state.PauseTiming();
    packets.prepare();
    sender.protect(packets.slots);
    state.ResumeTiming();
    receiver.unprotect(packets.slots);
    if (!packets.slots.back().ok) state.SkipWithError("refused");
  }
  count(state, payload);
  crypto::set_backend(crypto::Backend::automatic);
}

void libsrtp_protect(benchmark::State& state, rtp::CryptoSuite suite) {
  static const bool ready = ::srtp_init() == srtp_err_status_ok;
  const auto payload = static_cast<std::size_t>(state.range(0));
  auto key = key_of(suite);
  srtp_policy_t policy{};
  if (suite == rtp::CryptoSuite::aead_aes_128_gcm) {
    ::srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
    ::srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
  } else {
    ::srtp_crypto_policy_set_rtp_default(&policy.rtp);
    ::srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
  }
  policy.ssrc = {ssrc_specific, k_ssrc};
  policy.key = key.key_and_salt.fill().data();
  srtp_t session = nullptr;
  if (!ready || ::srtp_create(&session, &policy) != srtp_err_status_ok) return state.SkipWithError("no libsrtp2");
  Packets packets(payload);
  for (auto _ : state) {
    packets.prepare();
    for (auto& slot : packets.slots) {
      int size = static_cast<int>(slot.size);
      if (::srtp_protect(session, slot.data, &size) != srtp_err_status_ok) state.SkipWithError("refused");
    }
  }
  count(state, payload);
  ::srtp_dealloc(session);
}

using enum rtp::CryptoSuite;
using enum crypto::Backend;
#define SIZES ->Arg(160)->Arg(1169)->Arg(8192)
BENCHMARK_CAPTURE(protect, gcm_128_ipsec_mb, aead_aes_128_gcm, ipsec_mb) SIZES;
BENCHMARK_CAPTURE(protect, gcm_128_openssl, aead_aes_128_gcm, openssl) SIZES;
BENCHMARK_CAPTURE(protect, gcm_256_ipsec_mb, aead_aes_256_gcm, ipsec_mb) SIZES;
BENCHMARK_CAPTURE(protect, cm_128_hmac_ipsec_mb, aes_cm_128_hmac_sha1_80, ipsec_mb) SIZES;
BENCHMARK_CAPTURE(protect, cm_128_hmac_openssl, aes_cm_128_hmac_sha1_80, openssl) SIZES;
BENCHMARK_CAPTURE(unprotect, gcm_128_ipsec_mb, aead_aes_128_gcm, ipsec_mb) SIZES;
BENCHMARK_CAPTURE(unprotect, gcm_128_openssl, aead_aes_128_gcm, openssl) SIZES;
BENCHMARK_CAPTURE(unprotect, cm_128_hmac_ipsec_mb, aes_cm_128_hmac_sha1_80, ipsec_mb) SIZES;
BENCHMARK_CAPTURE(libsrtp_protect, gcm_128, aead_aes_128_gcm) SIZES;
BENCHMARK_CAPTURE(libsrtp_protect, cm_128_hmac, aes_cm_128_hmac_sha1_80) SIZES;

}  // namespace
}  // namespace sealcast
