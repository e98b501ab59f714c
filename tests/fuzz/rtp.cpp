// SRTP and SRTCP under a fixed key: foreign packets, and our own ones spoilt. Only what was protected, whole and once,
// comes through.
#include <algorithm>

#include "crypto/backend.hpp"
#include "rtp/packet.hpp"
#include "rtp/srtp.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

namespace {

constexpr std::uint32_t k_ssrc = 0x01020304;

rtp::SrtpKey fixed_key(rtp::CryptoSuite suite) {
  auto shape = rtp::sizes(suite);
  rtp::SrtpKey out{suite, SecretBytes(shape.key + shape.salt)};
  fuzz::FixedRandom(9).fill(out.key_and_salt.fill());
  return out;
}

// The first octets of a packet are made right, so that the transform is reached.
void make_plausible(Bytes& packet, bool control) {
  if (packet.size() < 12) return;
  packet[0] = 0x80;
  for (std::size_t i = 0; i < 4; ++i) packet[(control ? 4 : 8) + i] = static_cast<std::uint8_t>(k_ssrc >> (24 - 8 * i));
}

void foreign(rtp::SrtpReceiver& receiver, Bytes packet) {
  auto kind = rtp::classify(packet);
  if (kind != rtp::PacketKind::other) (void)rtp::sender_ssrc(packet, kind);
  if (auto header = rtp::parse_header(packet)) {
    std::uint8_t again[12];
    rtp::write_header(*header, again);
    SEALCAST_ASSERT((again[1] & 0x7f) == (packet[1] & 0x7f) && std::equal(again + 2, again + 12, packet.begin() + 2));
  }
  rtp::PacketSlot slot{packet.data(), static_cast<std::uint32_t>(packet.size()),
                       static_cast<std::uint32_t>(packet.size()), true};
  receiver.unprotect({&slot, 1});
  SEALCAST_ASSERT(!slot.ok);
  slot.size = static_cast<std::uint32_t>(packet.size());
  receiver.unprotect_rtcp(slot);
  SEALCAST_ASSERT(!slot.ok);
}

// One packet of ours, perhaps spoilt on its way, perhaps delivered twice.
void our_own(rtp::SrtpSender& sender, rtp::SrtpReceiver& receiver, std::uint16_t& sequence, fuzz::Input& in) {
  bool control = in.flag();
  Bytes plain(12);
  rtp::write_header({98, sequence, 0, k_ssrc}, plain.data());
  auto text = in.take(in.u8());
  plain.insert(plain.end(), text.begin(), text.end());
  if (control)
    make_plausible(plain, true);
  else
    ++sequence;
  Bytes sealed = plain;
  sealed.resize(plain.size() + 40);
  rtp::PacketSlot slot{sealed.data(), static_cast<std::uint32_t>(plain.size()),
                       static_cast<std::uint32_t>(sealed.size()), false};
  if (control)
    sender.protect_rtcp(slot);
  else
    sender.protect({&slot, 1});
  SEALCAST_ASSERT(slot.ok);
  sealed.resize(slot.size);
  auto arrived = fuzz::damage(sealed, in);
  bool whole = arrived == sealed;
  for (int copies = in.flag() ? 2 : 1, n = 0; n < copies; ++n) {
    auto copy = arrived;
    rtp::PacketSlot got{copy.data(), static_cast<std::uint32_t>(copy.size()), static_cast<std::uint32_t>(copy.size()),
                        false};
    if (control)
      receiver.unprotect_rtcp(got);
    else
      receiver.unprotect({&got, 1});
    SEALCAST_ASSERT(got.ok == (whole && n == 0));
    SEALCAST_ASSERT(!got.ok || equal({got.data, got.size}, plain));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  auto choice = in.u8();
  auto suite = static_cast<rtp::CryptoSuite>(choice % 3);
  crypto::set_backend(choice & 0x80 ? crypto::Backend::openssl : crypto::Backend::automatic);
  auto key = fixed_key(suite);
  rtp::SrtpOptions options;
  options.window = 64u << (choice >> 4 & 3);
  rtp::SrtpSender sender(key, k_ssrc, options);
  rtp::SrtpReceiver receiver(key, k_ssrc, options);
  auto sequence = static_cast<std::uint16_t>(in.u16() & 0x7fff);
  for (int i = 0; i < 64 && !in.empty(); ++i) {
    if (in.u8() % 4 != 0) {
      our_own(sender, receiver, sequence, in);
      continue;
    }
    auto packet = bytes_of(in.take(in.u8()));
    if (in.flag()) make_plausible(packet, in.flag());
    foreign(receiver, std::move(packet));
  }
  return 0;
}
