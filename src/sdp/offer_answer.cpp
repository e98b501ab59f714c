// Making offers and answers, and the rules between them.
#include "sdp/offer_answer.hpp"

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "sdp/crypto_attribute.hpp"

namespace sealcast::sdp {
namespace {

tl::unexpected<Refusal> refuse(const char* rule, std::string sentence) {
  return unexpected(Refusal{rule, std::move(sentence)});
}

rtp::SrtpKey fresh_key(rtp::CryptoSuite suite, RandomSource& random) {
  auto shape = rtp::sizes(suite);
  rtp::SrtpKey out{suite, SecretBytes(shape.key + shape.salt)};
  random.fill(out.key_and_salt.fill());
  return out;
}

MediaDescription own_side(const Endpoint& address, Transport transport, std::size_t max_datagram,
                          RandomSource& random) {
  MediaDescription out;
  out.address = address;
  out.transport = transport;
  out.max_datagram = max_datagram;
  do out.ssrc = random.u32();
  while (out.ssrc == 0);
  std::array<std::uint8_t, 12> name;
  random.fill(name);
  out.cname = base64url(name);
  return out;
}

// Replay windows of ours are powers of two up to 32768.
std::uint32_t usable_window(std::uint32_t asked) {
  std::uint32_t out = 64;
  while (out < asked && out < 32768) out *= 2;
  return out;
}

// Why a crypto line was left out.
Refusal trouble(const MediaDescription& d) {
  auto colon = d.crypto_trouble.find(": ");
  return {d.crypto_trouble.substr(0, colon), d.crypto_trouble.substr(colon + 2)};
}

bool same_key(const rtp::SrtpKey& a, const rtp::SrtpKey& b) {
  return equal_constant_time(a.key_and_salt.expose(), b.key_and_salt.expose());
}

}  // namespace

// The warn-text is a quoted string (RFC 3261 section 20.43).
std::string Refusal::warning(std::string_view host) const {
  std::string text;
  for (char c : printable(rule + ": " + sentence, 400)) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return "399 " + std::string(host) + " \"" + text + "\"";
}

Refusal parse_warning(std::string_view value) {
  auto open = value.find('"'), close = value.rfind('"');
  if (open == value.npos || close <= open) return {};
  std::string text;
  for (auto rest = value.substr(open + 1, close - open - 1); !rest.empty(); rest.remove_prefix(1)) {
    if (rest.front() == '\\' && rest.size() > 1) rest.remove_prefix(1);
    text += rest.front();
  }
  auto colon = text.find(": ");
  if (colon == text.npos || colon > 40) return {{}, text};
  return {text.substr(0, colon), text.substr(colon + 2)};
}

MediaDescription make_offer(const Endpoint& address, Transport transport, std::span<const rtp::CryptoSuite> suites,
                            std::size_t max_datagram, RandomSource& random) {
  auto out = own_side(address, transport, max_datagram, random);
  if (transport == Transport::savpf)
    for (auto suite : suites)
      out.crypto.push_back({static_cast<std::uint32_t>(out.crypto.size() + 1), fresh_key(suite, random)});
  return out;
}

std::string write(const MediaDescription& d, std::uint64_t session_id) {
  auto ip = std::string(d.address.address.is_v6() ? "IP6 " : "IP4 ") + d.address.address.text();
  auto type = std::to_string(d.payload_type);
  std::string out =
      "v=0\r\no=- " + std::to_string(session_id) + " 1 IN " + ip + "\r\ns=-\r\nc=IN " + ip + "\r\nt=0 0\r\n";
  for (auto& line : d.media_before) out += line + "\r\n";
  out += "m=application " + std::to_string(d.address.port) +
         (d.transport == Transport::savpf ? " RTP/SAVPF " : " RTP/AVPF ") + type + "\r\n";
  out += "a=rtpmap:" + type + " vnd.p2pcds.ppspp/1000000\r\na=rtcp-fb:* ack ccfb\r\n";
  out += "a=fmtp:" + type + " ver=1; cam=2; mhf=2; maxdg=" + std::to_string(d.max_datagram) +
         "; ig=" + (d.runs ? "run" : "chunk") + "; role=both\r\n";
  for (auto& line : d.crypto) out += write_crypto(line) + "\r\n";
  out += "a=ssrc:" + std::to_string(d.ssrc) + " cname:" + d.cname + "\r\na=rtcp-mux\r\na=sendrecv\r\n";
  for (auto& line : d.media_behind) out += line + "\r\n";
  return out;
}

Expected<Agreement, Refusal> answer(const MediaDescription& offer, const Policy& policy, const Endpoint& local,
                                    std::size_t max_datagram, RandomSource& random) {
  Agreement out;
  out.answer = own_side(local, offer.transport, max_datagram, random);
  out.answer.payload_type = offer.payload_type;
  out.answer.media_before = offer.media_before;
  out.answer.media_behind = offer.media_behind;
  out.remote = offer.address;
  out.local_ssrc = out.answer.ssrc;
  out.remote_ssrc = offer.ssrc;
  out.transport = offer.transport;
  out.max_datagram = std::min(offer.max_datagram, max_datagram);
  out.runs = offer.runs;
  if (offer.transport == Transport::avpf) {
    if (policy.secured_required)
      return refuse("sdes-required", "RTP/AVPF was offered, and this content or node wants RTP/SAVPF with a=crypto");
    if (!offer.crypto.empty()) return refuse("profile-mismatch", "a=crypto stands in an RTP/AVPF section");
    return out;
  }
  if (offer.crypto.empty() && offer.crypto_trouble.empty())
    return refuse("sdes-required", "RTP/SAVPF was offered without a=crypto");
  if (!policy.inline_key_allowed)
    return refuse("inline-key-needs-tls", "the offer with an inline key came over a hop without TLS");
  for (auto& line : offer.crypto) {
    if (std::find(policy.suites.begin(), policy.suites.end(), line.key.suite) == policy.suites.end()) continue;
    out.receive_key = line.key.duplicate();
    out.receive_window = usable_window(line.window);
    CryptoLine own;
    own.tag = line.tag;
    own.key = fresh_key(line.key.suite, random);
    out.send_key = own.key.duplicate();
    out.answer.crypto.push_back(std::move(own));
    return out;
  }
  if (offer.crypto.empty()) return unexpected(trouble(offer));
  return refuse("no-common-suite", "no offered suite is allowed here");
}

Expected<Agreement, Refusal> check_answer(const MediaDescription& offer, const MediaDescription& answer,
                                          const Policy& policy) {
  if (answer.transport != offer.transport)
    return refuse("profile-mismatch", offer.transport == Transport::savpf
                                          ? "RTP/SAVPF was offered and RTP/AVPF answered"
                                          : "RTP/AVPF was offered and RTP/SAVPF answered");
  if (policy.secured_required && answer.transport == Transport::avpf)
    return refuse("sdes-required", "this content or node wants RTP/SAVPF with a=crypto");
  Agreement out;
  out.remote = answer.address;
  out.local_ssrc = offer.ssrc;
  out.remote_ssrc = answer.ssrc;
  out.transport = answer.transport;
  out.max_datagram = std::min(offer.max_datagram, answer.max_datagram);
  out.runs = offer.runs && answer.runs;
  out.answer.payload_type = offer.payload_type;
  if (answer.transport == Transport::avpf) return out;
  if (!answer.crypto_trouble.empty()) return unexpected(trouble(answer));
  if (answer.crypto.size() != 1)
    return refuse("sdes-required",
                  "the answer has " + std::to_string(answer.crypto.size()) + " a=crypto lines instead of one");
  auto& line = answer.crypto.front();
  auto ours = std::find_if(offer.crypto.begin(), offer.crypto.end(), [&](auto& c) { return c.tag == line.tag; });
  if (ours == offer.crypto.end())
    return refuse("tag-mismatch", "the answer takes tag " + std::to_string(line.tag) + ", which was not offered");
  if (ours->key.suite != line.key.suite)
    return refuse("suite-mismatch", "the answer names another suite under tag " + std::to_string(line.tag));
  for (auto& offered : offer.crypto)
    if (same_key(offered.key, line.key)) return refuse("own-key-reflected", "the answer brings our own key back");
  out.send_key = ours->key.duplicate();
  out.receive_key = line.key.duplicate();
  out.receive_window = usable_window(line.window);
  return out;
}

}  // namespace sealcast::sdp
