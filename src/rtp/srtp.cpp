#include "rtp/srtp.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/assert.hpp"
#include "base/wire.hpp"
#include "crypto/packet_cipher.hpp"

namespace sealcast::rtp {
namespace {

constexpr std::uint32_t k_rtcp_encrypted = 0x80000000u;
constexpr std::uint32_t k_max_rtcp_index = 0x7fffffffu;

std::uint32_t read_u32(const std::uint8_t* at) {
  return Reader({at, 4}).u32();
}
std::uint16_t read_u16(const std::uint8_t* at) {
  return Reader({at, 2}).u16();
}
void write_u32(std::uint8_t* at, std::uint32_t value) {
  Writer({at, 4}).u32(value);
}

// RFC 3711 section 4.3.1 with a key derivation rate of 0. A 12-octet salt is padded on the right.
SecretBytes derive(const SrtpKey& key, std::uint8_t label, std::size_t size) {
  auto shape = sizes(key.suite);
  std::array<std::uint8_t, 16> iv{};
  auto salt = key.key_and_salt.expose().subspan(shape.key, shape.salt);
  std::copy(salt.begin(), salt.end(), iv.begin());
  iv[7] ^= label;
  SecretBytes out(size);
  crypto::aes_counter_keystream(key.key_and_salt.expose().first(shape.key), iv, out.fill());
  wipe(iv);
  return out;
}

// Session keys of one kind of packet (RTP: labels 0..2, RTCP: 3..5), and how they are applied.
class Transform {
 public:
  Transform(const SrtpKey& key, std::uint8_t first_label, std::uint32_t ssrc)
      : gcm_(key.suite != CryptoSuite::aes_cm_128_hmac_sha1_80), ssrc_(ssrc) {
    auto shape = sizes(key.suite);
    SEALCAST_ASSERT(key.key_and_salt.size() == shape.key + shape.salt);
    auto session = derive(key, first_label, shape.key);
    auto salt = derive(key, static_cast<std::uint8_t>(first_label + 2), shape.salt);
    std::copy(salt.expose().begin(), salt.expose().end(), salt_.fill().begin());
    cipher_ = gcm_ ? crypto::make_gcm_cipher(session.expose())
                   : crypto::make_ctr_hmac_cipher(session.expose(),
                                                  derive(key, static_cast<std::uint8_t>(first_label + 1), 20).expose());
    tag_ = shape.rtp_tag;
  }
  std::size_t tag() const { return tag_; }
  bool gcm() const { return gcm_; }
  crypto::PacketCipher& cipher() { return *cipher_; }

  // index: 48-bit packet index (RTP) or 31-bit SRTCP index.
  std::array<std::uint8_t, 16> iv(std::uint64_t index) const {
    std::array<std::uint8_t, 16> out{};
    // RFC 7714 section 8.1: 00 00 | SSRC | ROC | SEQ; RFC 3711 section 4.1.1: SSRC at octet 4, index at octet 8.
    std::size_t at = gcm_ ? 2 : 4;
    write_u32(out.data() + at, ssrc_);
    for (std::size_t i = 0; i < 6; ++i) out[at + 4 + i] = static_cast<std::uint8_t>(index >> (40 - 8 * i));
    for (std::size_t i = 0; i < salt_.size(); ++i) out[i] ^= salt_.expose()[i];
    return out;
  }
  // packet: header and text, the tag right behind.
  void prepare_rtp(crypto::PacketJob& job, std::uint8_t* packet, std::size_t size, std::uint64_t index) const {
    job.iv = iv(index);
    job.aad = {packet, k_rtp_header};
    job.text = {packet + k_rtp_header, size - k_rtp_header};
    job.tag = packet + size;
    job.authenticated = {packet, size};
    job.with_trailer = true;
    write_u32(job.trailer.data(), static_cast<std::uint32_t>(index >> 16));
  }

 private:
  bool gcm_;
  std::uint32_t ssrc_;
  std::size_t tag_ = 0;
  Secret<14> salt_;
  std::unique_ptr<crypto::PacketCipher> cipher_;
};

// SRTCP of one packet: [header 8][text][tag 16][index] with GCM, [header][text][index][tag 10] with HMAC. `size` is
// that of header and text.
void prepare_rtcp(const Transform& t, crypto::PacketJob& job, std::array<std::uint8_t, 12>& aad, std::uint8_t* packet,
                  std::size_t size, std::uint32_t index_word) {
  job.iv = t.iv(index_word & k_max_rtcp_index);
  job.text = {packet + 8, size - 8};
  if (t.gcm()) {
    std::copy_n(packet, 8, aad.data());
    write_u32(aad.data() + 8, index_word);
    job.aad = aad;
    job.tag = packet + size;
  } else {
    job.authenticated = {packet, size + 4};
    job.tag = packet + size + 4;
  }
}

// Sliding window over 48-bit or 31-bit indexes (RFC 3711 section 3.3.2).
class ReplayWindow {
 public:
  explicit ReplayWindow(std::uint32_t packets) : bits_(packets / 64), size_(packets) {
    SEALCAST_ASSERT(packets >= 64 && packets <= 32768 && (packets & (packets - 1)) == 0);
  }
  bool started() const { return started_; }
  std::uint64_t highest() const { return highest_; }
  bool fresh(std::uint64_t index) const {
    if (!started_ || index > highest_) return true;
    return highest_ - index < size_ && (bits_[index / 64 % bits_.size()] >> (index % 64) & 1) == 0;
  }
  void accept(std::uint64_t index) {
    if (!started_) {
      started_ = true;
      highest_ = index;
    }
    if (index > highest_) {
      if (index - highest_ >= size_)
        std::fill(bits_.begin(), bits_.end(), 0);
      else
        for (auto i = highest_ + 1; i <= index; ++i) bits_[i / 64 % bits_.size()] &= ~(std::uint64_t{1} << (i % 64));
      highest_ = index;
    }
    bits_[index / 64 % bits_.size()] |= std::uint64_t{1} << (index % 64);
  }

 private:
  std::vector<std::uint64_t> bits_;
  std::uint32_t size_;
  std::uint64_t highest_ = 0;
  bool started_ = false;
};

// RFC 3711 section 3.3.1: the index nearest to the highest one seen.
std::uint64_t guess_index(std::uint16_t sequence, std::uint64_t highest) {
  std::uint64_t roc = highest >> 16;
  auto s_l = static_cast<std::uint16_t>(highest);
  if (s_l < 0x8000) {
    if (sequence > s_l && sequence - s_l > 0x8000 && roc > 0) --roc;
  } else if (s_l - 0x8000 > sequence) {
    ++roc;
  }
  return roc << 16 | sequence;
}

}  // namespace

struct SrtpSender::Impl {
  Impl(const SrtpKey& key, std::uint32_t ssrc_, SrtpOptions options_)
      : rtp(key, 0, ssrc_), rtcp(key, 3, ssrc_), options(options_), ssrc(ssrc_) {}
  Transform rtp, rtcp;
  SrtpOptions options;
  std::uint32_t ssrc;
  std::uint64_t next_index = 0;  // of the packet that must come; its lower half is known after the first
  std::uint64_t sent = 0;
  std::uint32_t rtcp_index = 0;
  std::vector<crypto::PacketJob> jobs;
};

SrtpSender::SrtpSender(const SrtpKey& key, std::uint32_t ssrc, SrtpOptions options)
    : impl_(std::make_unique<Impl>(key, ssrc, options)) {}
SrtpSender::~SrtpSender() = default;
SrtpSender::SrtpSender(SrtpSender&&) noexcept = default;
SrtpSender& SrtpSender::operator=(SrtpSender&&) noexcept = default;

void SrtpSender::protect(std::span<PacketSlot> packets) {
  auto& s = *impl_;
  s.jobs.resize(packets.size());
  std::size_t used = 0;
  for (auto& packet : packets) {
    packet.ok = false;
    if (packet.size < k_rtp_header || packet.size + s.rtp.tag() > packet.capacity || s.sent >= s.options.lifetime)
      continue;
    auto sequence = read_u16(packet.data + 2);
    if (s.sent == 0) s.next_index = sequence;
    // A gap or a repetition would reuse a nonce or lose the receiver.
    if (static_cast<std::uint16_t>(s.next_index) != sequence || read_u32(packet.data + 8) != s.ssrc) continue;
    s.rtp.prepare_rtp(s.jobs[used++], packet.data, packet.size, s.next_index++);
    ++s.sent;
    packet.size += static_cast<std::uint32_t>(s.rtp.tag());
    packet.ok = true;
  }
  auto jobs = std::span(s.jobs).first(used);
  s.rtp.cipher().seal(jobs);
  if (!std::all_of(jobs.begin(), jobs.end(), [](auto& job) { return job.ok; }))
    for (auto& packet : packets) packet.ok = false;
}

void SrtpSender::protect_rtcp(PacketSlot& packet) {
  auto& s = *impl_;
  packet.ok = false;
  if (packet.size < 8 || packet.size + s.rtcp.tag() + 4 > packet.capacity ||
      s.rtcp_index >= std::min(s.options.rtcp_lifetime, k_max_rtcp_index))
    return;
  auto word = k_rtcp_encrypted | ++s.rtcp_index;
  crypto::PacketJob job;
  std::array<std::uint8_t, 12> aad;
  prepare_rtcp(s.rtcp, job, aad, packet.data, packet.size, word);
  write_u32(packet.data + packet.size + (s.rtcp.gcm() ? s.rtcp.tag() : 0), word);
  s.rtcp.cipher().seal({&job, 1});
  packet.size += static_cast<std::uint32_t>(s.rtcp.tag() + 4);
  packet.ok = job.ok;
}

std::uint64_t SrtpSender::packets_left() const {
  return impl_->options.lifetime - impl_->sent;
}

std::size_t SrtpSender::overhead() const {
  return impl_->rtp.tag();
}

struct SrtpReceiver::Impl {
  Impl(const SrtpKey& key, std::uint32_t ssrc_, SrtpOptions options)
      : rtp(key, 0, ssrc_), rtcp(key, 3, ssrc_), window(options.window), rtcp_window(128), ssrc(ssrc_) {}
  Transform rtp, rtcp;
  ReplayWindow window, rtcp_window;
  std::uint32_t ssrc;
  SrtpCounters counters;
  std::uint32_t failures_in_row = 0;
  std::vector<crypto::PacketJob> jobs;
  std::vector<std::pair<PacketSlot*, std::uint64_t>> waiting;

  std::uint64_t index_of(const PacketSlot& packet) const {
    auto sequence = read_u16(packet.data + 2);
    return window.started() ? guess_index(sequence, window.highest()) : sequence;
  }
  // A burst loss may have carried the sender past a wrap that we did not see: after many failures in a row, every 64th
  // packet is tried with the next roll-over counter, and its index is believed only when it authenticates.
  std::uint64_t recovery_offset() const {
    constexpr std::uint32_t k_suspicious = 50;
    if (!window.started() || failures_in_row < k_suspicious || failures_in_row % 64 != 0) return 0;
    return (1 + failures_in_row / 64 % 4) << 16;
  }
};

SrtpReceiver::SrtpReceiver(const SrtpKey& key, std::uint32_t ssrc, SrtpOptions options)
    : impl_(std::make_unique<Impl>(key, ssrc, options)) {}
SrtpReceiver::~SrtpReceiver() = default;
SrtpReceiver::SrtpReceiver(SrtpReceiver&&) noexcept = default;
SrtpReceiver& SrtpReceiver::operator=(SrtpReceiver&&) noexcept = default;
const SrtpCounters& SrtpReceiver::counters() const {
  return impl_->counters;
}

void SrtpReceiver::unprotect(std::span<PacketSlot> packets) {
  auto& r = *impl_;
  r.jobs.resize(packets.size());
  r.waiting.clear();
  for (auto& packet : packets) {
    packet.ok = false;
    if (packet.size < k_rtp_header + r.rtp.tag() || packet.data[0] != 0x80 || read_u32(packet.data + 8) != r.ssrc) {
      ++r.counters.malformed;
      continue;
    }
    auto index = r.index_of(packet) + r.recovery_offset();
    if (!r.window.fresh(index)) {
      ++r.counters.replays;
      continue;
    }
    r.rtp.prepare_rtp(r.jobs[r.waiting.size()], packet.data, packet.size - r.rtp.tag(), index);
    r.waiting.emplace_back(&packet, index);
  }
  r.rtp.cipher().open(std::span(r.jobs).first(r.waiting.size()));
  // Nothing about the stream is learnt before a packet has authenticated.
  for (std::size_t i = 0; i < r.waiting.size(); ++i) {
    auto [packet, index] = r.waiting[i];
    if (!r.jobs[i].ok) {
      ++r.counters.authentication_failures;
      ++r.failures_in_row;
    } else if (!r.window.fresh(index)) {
      ++r.counters.replays;
    } else {
      r.window.accept(index);
      r.failures_in_row = 0;
      ++r.counters.packets;
      packet->size -= static_cast<std::uint32_t>(r.rtp.tag());
      packet->ok = true;
    }
  }
}

void SrtpReceiver::unprotect_rtcp(PacketSlot& packet) {
  auto& r = *impl_;
  packet.ok = false;
  auto overhead = r.rtcp.tag() + 4;
  if (packet.size < 8 + overhead || read_u32(packet.data + 4) != r.ssrc) {
    ++r.counters.malformed;
    return;
  }
  auto size = packet.size - overhead;
  auto word = read_u32(packet.data + size + (r.rtcp.gcm() ? r.rtcp.tag() : 0));
  if ((word & k_rtcp_encrypted) == 0) {
    ++r.counters.malformed;
    return;
  }
  auto index = word & k_max_rtcp_index;
  if (!r.rtcp_window.fresh(index)) {
    ++r.counters.replays;
    return;
  }
  crypto::PacketJob job;
  std::array<std::uint8_t, 12> aad;
  prepare_rtcp(r.rtcp, job, aad, packet.data, size, word);
  r.rtcp.cipher().open({&job, 1});
  if (!job.ok) {
    ++r.counters.authentication_failures;
    return;
  }
  r.rtcp_window.accept(index);
  packet.size = static_cast<std::uint32_t>(size);
  packet.ok = true;
}

}  // namespace sealcast::rtp
