#pragma once
// Our media profile in SDP (RFC 4566, RFC 3264, RFC 4568; docs/protocol.md section 5): making offers and answers, and
// saying why one fails.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "rtp/suite.hpp"

namespace sealcast::sdp {

enum class Transport { savpf, avpf };  // RTP/SAVPF, RTP/AVPF

struct CryptoLine {
  std::uint32_t tag = 1;
  rtp::SrtpKey key;
  std::uint64_t lifetime = std::uint64_t{1} << 31;
  std::uint32_t window = 16384;
};

// One m=application section as one side wants it.
struct MediaDescription {
  Endpoint address;
  Transport transport = Transport::savpf;
  std::uint32_t ssrc = 0;
  std::uint8_t payload_type = 98;
  std::size_t max_datagram = 1204;
  bool runs = true;
  std::vector<CryptoLine> crypto;  // an answer has one
  std::string cname;               // random, per association
  std::string crypto_trouble;      // parse: why a crypto line was left out, as "rule: sentence"
  // Media sections of an offer that are not ours, before and behind it: they are answered with port 0 (RFC 3264 section
  // 6).
  std::vector<std::string> media_before, media_behind;
};

// What an answerer insists on.
struct Policy {
  bool secured_required = true;    // RTP/AVPF is refused ("sdes-required")
  bool inline_key_allowed = true;  // the SIP hop is TLS, or --insecure-signalling ("inline-key-needs-tls")
  std::vector<rtp::CryptoSuite> suites = {rtp::CryptoSuite::aead_aes_128_gcm, rtp::CryptoSuite::aes_cm_128_hmac_sha1_80,
                                          rtp::CryptoSuite::aead_aes_256_gcm};
};

// Rule names of docs/protocol.md section 5; which line, and a sentence.
struct Refusal {
  std::string rule;
  std::string sentence;
  std::string warning(std::string_view host) const;  // value of a Warning header
};

// Fresh keys for each suite, tags 1, 2, 3 in the order given.
MediaDescription make_offer(const Endpoint& address, Transport transport, std::span<const rtp::CryptoSuite> suites,
                            std::size_t max_datagram, RandomSource& random);
std::string write(const MediaDescription& description, std::uint64_t session_id);
// Strict for what we need, tolerant of other lines and other media sections (their port is answered 0). Bounded: 64
// KiB.
Expected<MediaDescription, Refusal> parse(std::string_view text);

struct Agreement {
  MediaDescription answer;  // to send back (answerer) or as received (offerer)
  Endpoint remote;
  std::uint32_t local_ssrc = 0, remote_ssrc = 0;
  Transport transport = Transport::savpf;
  std::size_t max_datagram = 1204;  // largest RTP payload the partner takes
  bool runs = true;
  std::optional<rtp::SrtpKey> send_key, receive_key;
  std::uint32_t receive_window = 16384;
};
// Answerer: first acceptable suite of the offer in the offer's order, own fresh key under its tag.
Expected<Agreement, Refusal> answer(const MediaDescription& offer, const Policy& policy, const Endpoint& local,
                                    std::size_t max_datagram, RandomSource& random);
// Offerer: the answer must keep transport, take one of our tags with its very suite, and bring a key that is not ours.
Expected<Agreement, Refusal> check_answer(const MediaDescription& offer, const MediaDescription& answer,
                                          const Policy& policy);
// "<rule>: <sentence>" out of a Warning header's value; empty rule when it is none of ours.
Refusal parse_warning(std::string_view value);

}  // namespace sealcast::sdp
