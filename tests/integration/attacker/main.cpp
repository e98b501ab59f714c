// The eavesdropper of the tests: has a capture of everything on loopback, knows the plaintext only to recognise it, and
// reports what it could read.
//
//   attacker --capture FILE       captures until SIGINT: "ready", then {"packets":N,"drops":N,"truncated":N}
//   attacker CAPTURE PLAINTEXT [--key KEYFILE] [--leaked-key KEYFILE] [--words FILE]
//     --key         look for this content key, in every form
//     --leaked-key  the control: as if the attacker had got this content key elsewhere
//     --words       look for these secrets too, one a line
#include <cstdio>
#include <sstream>

#include "base/encoding.hpp"
#include "base/json.hpp"
#include "media.hpp"

namespace sealcast::attacker {
namespace {

struct Options {
  std::string capture, plaintext, key, leaked_key, words;
};

std::optional<Options> options_of(const std::vector<std::string>& arguments) {
  Options out;
  std::vector<std::string> files;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    auto* value = arguments[i] == "--key"          ? &out.key
                  : arguments[i] == "--leaked-key" ? &out.leaked_key
                  : arguments[i] == "--words"      ? &out.words
                                                   : nullptr;
    if (!value)
      files.push_back(arguments[i]);
    else if (++i < arguments.size())
      *value = arguments[i];
    else
      return std::nullopt;
  }
  if (files.size() != 2) return std::nullopt;
  out.capture = files[0];
  out.plaintext = files[1];
  return out;
}

std::optional<Bytes> key_of(const std::string& file) {
  auto octets = read_whole_file(file);
  auto document = octets ? json::parse(string_of(*octets), {1 << 20, 8}) : json::parse("");
  auto key = document ? parse_base64url(document->string_or("k")) : std::nullopt;
  return key && key->size() == content::ContentKey::size() ? key : std::nullopt;
}

json::Value number(std::size_t n) {
  return json::Value(static_cast<std::int64_t>(n));
}

struct Report {
  Windows windows;
  Windows::Found udp, tcp, srtp, sealed;
  Loot in_udp, in_tcp, in_srtp;
  std::size_t udp_octets = 0, tcp_octets = 0, tls = 0, gaps = 0;
  std::size_t flows = 0, flows_opened = 0, packets = 0, decrypted = 0, chunks = 0, records = 0;

  explicit Report(ByteView plaintext) : windows(plaintext) {}

  void look_at(const Traffic& traffic, const Searcher& searcher) {
    for (auto& datagram : traffic.udp) {
      udp_octets += datagram.payload.size();
      windows.scan(datagram.payload, udp);
      searcher.search(datagram.payload, in_udp);
    }
    for (auto& packet : traffic.other) {
      windows.scan(packet, udp);
      searcher.search(packet, in_udp);
    }
    for (auto& stream : traffic.tcp) {
      tcp_octets += stream.octets.size();
      gaps += stream.gaps;
      if (stream.tls()) ++tls;
      windows.scan(stream.octets, tcp);
      searcher.search(stream.octets, in_tcp);
    }
  }

  void decrypt_media(const Traffic& traffic, const Searcher& searcher, Object& object) {
    auto keys = in_udp.srtp_keys;
    keys.insert(in_tcp.srtp_keys.begin(), in_tcp.srtp_keys.end());
    for (auto& flow : media_flows(traffic)) {
      ++flows;
      packets += flow.packets.size();
      decrypt(flow, keys);
      if (!flow.key) {
        for (auto packet : flow.packets) object.rtp_packet(packet);
        continue;
      }
      ++flows_opened;
      decrypted += flow.decrypted.size();
      for (auto& packet : flow.decrypted) {
        windows.scan(packet, srtp);
        searcher.search(packet, in_srtp);
        object.rtp_packet(packet);
      }
    }
  }

  void open_sealed(const Object& object, const std::optional<Bytes>& leaked) {
    auto keys = found_content_keys();
    if (leaked) keys.insert(*leaked);
    chunks = object.chunks();
    for (auto& key : keys) {
      for (auto& record : object.open(key)) {
        ++records;
        windows.scan(record, sealed);
      }
    }
  }

  std::set<Bytes> found_content_keys() const {
    auto out = in_udp.content_keys;
    for (auto* loot : {&in_tcp, &in_srtp}) out.insert(loot->content_keys.begin(), loot->content_keys.end());
    return out;
  }

  std::string text(const Traffic& traffic) const {
    auto all = udp;
    for (auto* found : {&tcp, &srtp, &sealed}) all.add(*found);
    auto keys = in_udp.srtp_keys;
    keys.insert(in_tcp.srtp_keys.begin(), in_tcp.srtp_keys.end());
    json::Object document;
    document["captured"] = json::Object{{"packets", number(traffic.packets)},
                                        {"udp_octets", number(udp_octets)},
                                        {"tcp_octets", number(tcp_octets)},
                                        {"streams", number(traffic.tcp.size())},
                                        {"tls", number(tls)},
                                        {"gaps", number(gaps)},
                                        {"other", number(traffic.other.size())}};
    document["windows"] = number(windows.count());
    document["clear"] = json::Object{{"udp", number(udp.count())}, {"tcp", number(tcp.count())}};
    document["inline_keys"] = json::Object{
        {"udp", number(in_udp.inline_keys)}, {"tcp", number(in_tcp.inline_keys)}, {"different", number(keys.size())}};
    document["content_keys"] = json::Object{{"found", number(found_content_keys().size())},
                                            {"known", number(in_udp.known_key + in_tcp.known_key + in_srtp.known_key)}};
    document["words"] = number(in_udp.words + in_tcp.words + in_srtp.words);
    document["srtp"] = json::Object{{"flows", number(flows)},
                                    {"packets", number(packets)},
                                    {"flows_opened", number(flows_opened)},
                                    {"decrypted", number(decrypted)},
                                    {"windows", number(srtp.count())}};
    document["sealed"] =
        json::Object{{"chunks", number(chunks)}, {"records", number(records)}, {"windows", number(sealed.count())}};
    document["read"] = number(all.count());
    return json::Value(std::move(document)).text();
  }
};

std::vector<std::string> words_of(const std::string& file) {
  std::vector<std::string> out;
  std::istringstream lines(string_of(read_whole_file(file).value_or(Bytes{})));
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) out.push_back(line);
  return out;
}

int wrong(const std::string& what) {
  std::fprintf(stderr, "attacker: %s\n", what.c_str());
  return 1;
}

int attack(const Options& options) {
  auto traffic = read_capture(options.capture);
  if (!traffic) return wrong(options.capture + " is no whole capture");
  auto plaintext = read_whole_file(options.plaintext);
  if (!plaintext) return wrong(options.plaintext + " cannot be read");
  std::optional<Bytes> key, leaked;
  if (!options.key.empty() && !(key = key_of(options.key))) return wrong(options.key + " is no key file");
  if (!options.leaked_key.empty() && !(leaked = key_of(options.leaked_key)))
    return wrong(options.leaked_key + " is no key file");
  auto words = options.words.empty() ? std::vector<std::string>{} : words_of(options.words);
  if (!options.words.empty() && words.empty()) return wrong(options.words + " has no words");
  Searcher searcher(key, words);
  Report report(*plaintext);
  Object object;
  report.look_at(*traffic, searcher);
  report.decrypt_media(*traffic, searcher, object);
  report.open_sealed(object, leaked);
  std::printf("%s\n", report.text(*traffic).c_str());
  return 0;
}

}  // namespace
}  // namespace sealcast::attacker

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "--capture") return sealcast::attacker::record(arguments[1]);
  auto options = sealcast::attacker::options_of(arguments);
  if (options) return sealcast::attacker::attack(*options);
  std::fprintf(stderr,
               "usage: attacker --capture FILE | attacker CAPTURE PLAINTEXT [--key KEYFILE] [--leaked-key KEYFILE] "
               "[--words FILE]\n");
  return 2;
}
