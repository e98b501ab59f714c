// Reading a session description.
#include <algorithm>

#include "base/text.hpp"
#include "sdp/crypto_attribute.hpp"
#include "sdp/words.hpp"

namespace sealcast::sdp {
namespace {

constexpr std::size_t k_longest = 65536, k_most_media = 16, k_most_crypto = 16;
// What HANDSHAKE, INTEGRITY and DATA of the default chunk need.
constexpr std::uint64_t k_least_datagram = 1204;
constexpr std::string_view k_encoding = "vnd.p2pcds.ppspp/1000000";

tl::unexpected<Refusal> refuse(const char* rule, std::string sentence) {
  return unexpected(Refusal{rule, std::move(sentence)});
}

struct Section {
  std::string_view media;                    // value of m=
  std::vector<std::string_view> connection;  // c= of the section
  std::vector<std::string_view> attributes;  // values of a=
};

struct Session {
  std::vector<std::string_view> connection;
  std::vector<Section> sections;
};

Expected<Session, Refusal> cut(std::string_view text) {
  if (text.size() > k_longest) return refuse("no-media-line", "the session description is longer than 64 KiB");
  Session out;
  bool first = true;
  for (auto line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (line.size() < 2 || line[1] != '=')
      return refuse("no-media-line", "the line \"" + printable(line, 40) + "\" is no SDP");
    if (first && line != "v=0") return refuse("no-media-line", "the session description does not begin with v=0");
    first = false;
    auto value = line.substr(2);
    auto* section = out.sections.empty() ? nullptr : &out.sections.back();
    if (line[0] == 'm') {
      if (out.sections.size() >= k_most_media)
        return refuse("no-media-line", "the session description has more than 16 media sections");
      out.sections.push_back({value, {}, {}});
    } else if (line[0] == 'c') {
      (section ? section->connection : out.connection).push_back(value);
    } else if (line[0] == 'a' && section) {
      section->attributes.push_back(value);
    }
  }
  return out;
}

// m=application <port> <transport> <payload types>
bool is_ours(const Section& section) {
  auto parts = words(section.media);
  if (parts.size() < 4 || (parts[0] != "application" && parts[0] != "video") || parts[1] == "0") return false;
  return std::any_of(section.attributes.begin(), section.attributes.end(),
                     [](auto a) { return a.starts_with("rtpmap:") && a.find(k_encoding) != a.npos; });
}

std::string rejected(const Section& section) {
  auto parts = words(section.media);
  std::string out = "m=";
  for (std::size_t i = 0; i < std::min<std::size_t>(parts.size(), 8); ++i)
    out += (i ? " " : "") + (i == 1 ? "0" : printable(parts[i], 40));
  return out;
}

Expected<bool, Refusal> read_media_line(const Section& section, MediaDescription& out) {
  auto parts = words(section.media);
  auto port = number(parts[1], 65535);
  if (!port) return refuse("no-media-line", "the port in m=" + printable(section.media, 60) + " is no number");
  out.address.port = static_cast<std::uint16_t>(*port);
  if (parts[2] == "RTP/SAVPF")
    out.transport = Transport::savpf;
  else if (parts[2] == "RTP/AVPF")
    out.transport = Transport::avpf;
  else
    return refuse("profile-mismatch", "the transport is " + printable(parts[2], 40) + ", not RTP/SAVPF or RTP/AVPF");
  return true;
}

Expected<bool, Refusal> read_connection(const Session& session, const Section& section, MediaDescription& out) {
  auto& lines = section.connection.empty() ? session.connection : section.connection;
  auto parts = lines.empty() ? std::vector<std::string_view>{} : words(lines.front());
  auto address = parts.size() == 3 && parts[0] == "IN" ? parse_ip_address(parts[2]) : std::nullopt;
  if (!address || (parts[1] == "IP6") != address->is_v6())
    return refuse("no-media-line", "there is no c= line with an IP address");
  out.address.address = *address;
  return true;
}

Expected<bool, Refusal> read_format(std::string_view parameters, MediaDescription& out) {
  bool version = false, addressing = false, hash = false;
  for (auto part : split(parameters, ';')) {
    auto pair = words(part);
    if (pair.empty()) continue;
    auto name = pair[0].substr(0, pair[0].find('=')),
         value = pair[0].find('=') == pair[0].npos ? std::string_view{} : pair[0].substr(pair[0].find('=') + 1);
    if (name == "ver") version = value == "1";
    if (name == "cam") addressing = value == "2";
    if (name == "mhf") hash = value == "2";
    if (name == "ig") out.runs = value == "run";
    if (name == "maxdg") {
      auto size = number(value, 65507);
      if (!size || *size < k_least_datagram)
        return refuse("fmtp-mismatch", "maxdg in a=fmtp is not between 1204 and 65507");
      out.max_datagram = *size;
    }
  }
  if (!version || !addressing || !hash) return refuse("fmtp-mismatch", "a=fmtp does not say ver=1, cam=2 and mhf=2");
  return true;
}

// "98 name/rate" or "98 parameters": the rest after the payload type.
std::string_view after_type(std::string_view value, std::uint8_t type) {
  auto parts = words(value);
  if (parts.size() < 2 || number(parts[0], 127) != type) return {};
  return value.substr(static_cast<std::size_t>(parts[1].data() - value.data()));
}

Expected<bool, Refusal> read_attributes(const Section& section, MediaDescription& out) {
  bool format = false, multiplexed = false, feedback = false;
  for (auto a : section.attributes)
    if (a.starts_with("rtpmap:") && a.find(k_encoding) != a.npos) {
      auto type = number(words(a.substr(7))[0], 127);
      if (!type) return refuse("fmtp-mismatch", "the payload type in a=rtpmap is no number");
      out.payload_type = static_cast<std::uint8_t>(*type);
    }
  for (auto a : section.attributes) {
    if (a == "rtcp-mux")
      multiplexed = true;
    else if (a == "rtcp-fb:* ack ccfb")
      feedback = true;
    else if (a.starts_with("ssrc:") && out.ssrc == 0)
      out.ssrc = static_cast<std::uint32_t>(number(a.substr(5, a.find(' ') - 5), UINT32_MAX).value_or(0));
    else if (a.starts_with("fmtp:") && !after_type(a.substr(5), out.payload_type).empty()) {
      if (auto read = read_format(after_type(a.substr(5), out.payload_type), out); !read)
        return unexpected(read.error());
      format = true;
    } else if (a.starts_with("crypto:") && out.crypto.size() < k_most_crypto) {
      auto line = parse_crypto(a.substr(7));
      if (line)
        out.crypto.push_back(std::move(*line));
      else if (out.crypto_trouble.empty())
        out.crypto_trouble = line.error().rule + ": " + line.error().sentence;
    }
  }
  if (!format) return refuse("fmtp-mismatch", "a=fmtp for the payload type is missing");
  if (!feedback)
    return refuse("fmtp-mismatch", "a=rtcp-fb:* ack ccfb is missing: congestion control needs feedback by packet");
  if (out.ssrc == 0) return refuse("ssrc-required", "a=ssrc is missing or zero");
  if (!multiplexed) return refuse("rtcp-mux-required", "a=rtcp-mux is missing");
  return true;
}

}  // namespace

Expected<MediaDescription, Refusal> parse(std::string_view text) {
  auto session = cut(text);
  if (!session) return unexpected(session.error());
  MediaDescription out;
  const Section* ours = nullptr;
  for (auto& section : session->sections) {
    if (!ours && is_ours(section))
      ours = &section;
    else
      (ours ? out.media_behind : out.media_before).push_back(rejected(section));
  }
  if (!ours) return refuse("no-media-line", "there is no media section for " + std::string(k_encoding));
  for (auto read : {read_media_line(*ours, out), read_connection(*session, *ours, out), read_attributes(*ours, out)})
    if (!read) return unexpected(read.error());
  return out;
}

}  // namespace sealcast::sdp
