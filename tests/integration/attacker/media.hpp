#pragma once
// The media plane as an attacker reads it: RTP, SRTP with keys that it found (libsrtp), PPSPP DATA, sealed objects.
#include <map>

#include "search.hpp"
#include "traffic.hpp"

namespace sealcast::attacker {

// One direction of an association: packets of one SSRC of one flow, in the order of the capture.
struct MediaFlow {
  std::vector<ByteView> packets;  // RTP only
  std::vector<Bytes> decrypted;   // RTP packets without protection, when a key fitted
  std::optional<InlineKey> key;
};

// All RTP of a capture. UDP payloads that hold several packets (segmentation offload) are taken apart.
std::vector<MediaFlow> media_flows(const Traffic& traffic);
std::vector<ByteView> split_segments(ByteView payload);

// Tries each key on the first packets; the one that fits decrypts the flow. Index: ROC 0 at the first packet.
void decrypt(MediaFlow& flow, const std::set<InlineKey>& keys);

// Chunks of one object, from whatever could be read.
class Object {
 public:
  void rtp_packet(ByteView packet);  // takes the chunk of a DATA message, if there is one
  std::size_t chunks() const { return chunks_.size(); }
  // RFC 8188: the records whose chunks are all there and that the key opens, in order.
  std::vector<Bytes> open(const Bytes& key) const;

 private:
  std::optional<Bytes> range(std::uint64_t from, std::uint64_t to) const;
  std::map<std::uint32_t, Bytes> chunks_;
  std::size_t chunk_size_ = 0;
};

}  // namespace sealcast::attacker
