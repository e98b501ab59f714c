#include "media.hpp"

#include <srtp2/srtp.h>

#include <algorithm>

namespace sealcast::attacker {
namespace {

constexpr std::size_t k_rtp = 12, k_tries = 4;

std::uint32_t u32(ByteView at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}
std::uint16_t sequence_of(ByteView packet) {
  return static_cast<std::uint16_t>(packet[2] << 8 | packet[3]);
}
bool is_rtp(ByteView packet) {
  return packet.size() >= k_rtp && packet[0] >> 6 == 2 && (packet[1] < 192 || packet[1] > 223);
}  // RFC 5761 section 4

// libsrtp as the receiver of one direction.
class Receiver {
 public:
  explicit Receiver(const InlineKey& key) {
    static bool ready = srtp_init() == srtp_err_status_ok;
    auto profile = key.suite == rtp::CryptoSuite::aead_aes_128_gcm   ? srtp_profile_aead_aes_128_gcm
                   : key.suite == rtp::CryptoSuite::aead_aes_256_gcm ? srtp_profile_aead_aes_256_gcm
                                                                     : srtp_profile_aes128_cm_sha1_80;
    auto octets = key.key_and_salt;
    srtp_policy_t policy{};
    srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, profile);
    srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, profile);
    policy.ssrc = {ssrc_any_inbound, 0};
    policy.key = octets.data();
    policy.window_size = 16384;
    if (!ready || srtp_create(&session_, &policy) != srtp_err_status_ok) session_ = nullptr;
  }
  ~Receiver() {
    if (session_) srtp_dealloc(session_);
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  std::optional<Bytes> open(ByteView packet) {
    if (!session_) return std::nullopt;
    Bytes out(packet.begin(), packet.end());
    int size = static_cast<int>(out.size());
    if (srtp_unprotect(session_, out.data(), &size) != srtp_err_status_ok) return std::nullopt;
    out.resize(static_cast<std::size_t>(size));
    return out;
  }

 private:
  srtp_t session_ = nullptr;
};

bool fits(const InlineKey& key, const MediaFlow& flow) {
  Receiver receiver(key);
  for (std::size_t i = 0; i < std::min(k_tries, flow.packets.size()); ++i)
    if (receiver.open(flow.packets[i])) return true;
  return false;
}

// Octets of the message at the front that are not DATA (RFC 7574 section 8, docs/protocol.md section 4); 0 when it
// cannot be passed over.
std::size_t message_size(ByteView messages) {
  switch (messages[0]) {
    case 2:
      return 17;  // ACK
    case 3:
    case 8:
    case 9:
      return 9;  // HAVE, REQUEST, CANCEL
    case 4:
      return 41;  // INTEGRITY
    case 10:
    case 11:
      return 1;  // CHOKE, UNCHOKE
    case 200:
      return messages.size() < 3 ? 0 : 3u + (messages[1] << 8 | messages[2]);  // KEYINFO
    default:
      return 0;
  }
}

}  // namespace

// The next packet of an offloaded send has the same header with the next sequence number; all but the last are of one
// size.
std::vector<ByteView> split_segments(ByteView payload) {
  auto size = payload.size();
  if (is_rtp(payload)) {
    auto next = static_cast<std::uint16_t>(sequence_of(payload) + 1);
    for (std::size_t at = k_rtp; at + k_rtp <= payload.size(); ++at) {
      auto other = payload.subspan(at);
      if (other[0] != payload[0] || other[1] != payload[1] || sequence_of(other) != next ||
          u32(other.subspan(8)) != u32(payload.subspan(8)))
        continue;
      size = at;
      break;
    }
  }
  std::vector<ByteView> out;
  for (; payload.size() > size; payload = payload.subspan(size)) out.push_back(payload.first(size));
  out.push_back(payload);
  return out;
}

std::vector<MediaFlow> media_flows(const Traffic& traffic) {
  std::map<std::string, MediaFlow> flows;
  for (auto& datagram : traffic.udp) {
    for (auto packet : split_segments(datagram.payload))
      if (is_rtp(packet)) flows[datagram.flow + string_of(packet.subspan(8, 4))].packets.push_back(packet);
  }
  std::vector<MediaFlow> out;
  for (auto& [name, flow] : flows) out.push_back(std::move(flow));
  return out;
}

void decrypt(MediaFlow& flow, const std::set<InlineKey>& keys) {
  auto key = std::find_if(keys.begin(), keys.end(), [&](const InlineKey& each) { return fits(each, flow); });
  if (key == keys.end()) return;
  flow.key = *key;
  Receiver receiver(*key);
  for (auto packet : flow.packets)
    if (auto open = receiver.open(packet)) flow.decrypted.push_back(std::move(*open));
}

void Object::rtp_packet(ByteView packet) {
  if (packet.size() < k_rtp + 4) return;
  auto messages = packet.subspan(k_rtp + 4);  // the RTP header, the channel
  while (!messages.empty() && messages[0] != 1) {
    auto size = message_size(messages);
    if (size == 0 || size > messages.size()) return;
    messages = messages.subspan(size);
  }
  if (messages.size() <= 17) return;
  auto first = u32(messages.subspan(1)), last = u32(messages.subspan(5));
  if (first != last) return;
  auto data = messages.subspan(17);
  chunk_size_ = std::max(chunk_size_, data.size());
  chunks_.emplace(first, bytes_of(data));
}

std::optional<Bytes> Object::range(std::uint64_t from, std::uint64_t to) const {
  Bytes out;
  while (from < to) {
    auto chunk = chunks_.find(static_cast<std::uint32_t>(from / chunk_size_));
    auto skip = from % chunk_size_;
    if (chunk == chunks_.end() || skip >= chunk->second.size()) return std::nullopt;
    auto part = ByteView(chunk->second).subspan(skip);
    part = part.first(std::min<std::size_t>(part.size(), to - from));
    out.insert(out.end(), part.begin(), part.end());
    from += part.size();
  }
  return out;
}

std::vector<Bytes> Object::open(const Bytes& key) const {
  std::vector<Bytes> out;
  auto header = chunks_.empty() ? std::nullopt : range(0, content::k_sealed_header);
  if (!header || !content::is_sealed_header(*header)) return out;
  auto length = std::uint64_t{chunks_.rbegin()->first} * chunk_size_ + chunks_.rbegin()->second.size();
  content::RecordOpener opener(ByteView(*header).first(16), key);
  for (std::uint64_t index = 0;; ++index) {
    auto from = content::k_sealed_header + index * content::k_record,
         to = std::min<std::uint64_t>(from + content::k_record, length);
    if (from >= length) return out;
    Bytes plain;
    if (auto record = range(from, to); record && opener.open(index, *record, to == length, plain))
      out.push_back(std::move(plain));
  }
}

}  // namespace sealcast::attacker
