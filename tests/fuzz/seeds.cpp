// Writes the seed corpus: for each harness a few files, made by the writers of the product. Usage: fuzz_seeds DIRECTORY
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "ppspp/message.hpp"
#include "rtp/feedback.hpp"
#include "sdp/crypto_attribute.hpp"
#include "tests/fuzz/documents.hpp"
#include "tracking/registry.hpp"

using namespace sealcast;
using fuzz::k_alice;
using fuzz::k_cache;
using fuzz::k_now;

namespace {

std::filesystem::path g_directory;

void seed(const std::string& harness, const std::string& name, std::string_view octets) {
  std::filesystem::create_directories(g_directory / harness);
  std::ofstream(g_directory / harness / name, std::ios::binary)
      .write(octets.data(), static_cast<std::streamsize>(octets.size()));
}
void seed(const std::string& harness, const std::string& name, ByteView octets) {
  seed(harness, name, string_of(octets));
}

// Octets of decisions, the same in every run, behind the first one.
Bytes decisions(std::uint8_t first, std::size_t size, std::uint64_t number) {
  Bytes out(size);
  fuzz::FixedRandom(number).fill(out);
  if (size > 0) out[0] = first;
  return out;
}
void decide(const std::string& harness, const std::string& name, int first, std::size_t size) {
  seed(harness, name,
       ByteView(decisions(static_cast<std::uint8_t>(first), size, static_cast<std::size_t>(first) + size)));
}

void base() {
  seed("address", "v4", "192.0.2.1:5061");
  seed("address", "v6", "[2001:db8::7]:5061");
  seed("address", "mapped", "::ffff:192.0.2.1");
  seed("encoding", "url", "Zm9vYmFy-_");
  seed("encoding", "padded", "Zm9vYg==");
  seed("encoding", "hex", "00ffA1b2");
  seed("text", "terminal",
       std::string_view("\x20"
                        "a\x1b[2J\n\xe2\x80\xae"
                        "b\xff/../.x",
                        17));
  seed("json", "object", R"({"a":[1,true,null,"x\u00e9\n",2.5,-7],"b":{"c":{}}})");
  seed("json", "edges", R"([9223372036854775807,-9223372036854775808,1e308,-0,0.1,"\ud83d\ude00"])");
  decide("bitmap", "small", 0, 120);
  decide("bitmap", "large", 1, 400);
}

void media() {
  fuzz::FixedRandom random;
  Endpoint here{IpAddress::v4(192, 0, 2, 9), 40000};
  sdp::Policy policy;
  for (auto transport : {sdp::Transport::savpf, sdp::Transport::avpf}) {
    auto offer = sdp::make_offer(here, transport, policy.suites, 1204, random);
    bool secured = transport == sdp::Transport::savpf;
    seed("sdp", secured ? "savpf" : "avpf", std::string(1, secured ? '\x01' : '\0') + sdp::write(offer, 1));
    if (secured) {
      offer.media_before = {"m=audio 0 RTP/AVP 0"};
      seed("sdp", "sections", std::string(1, '\x02') + sdp::write(offer, 2) + "m=video 1 RTP/AVP 31\r\n");
      for (auto& line : offer.crypto)
        seed("crypto_attribute", "suite_" + std::to_string(line.tag), sdp::write_crypto(line).substr(9));
    }
  }
  seed("crypto_attribute", "parameters",
       "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4 KDR=0 UNENCRYPTED_SRTP");
  seed("warning", "rule", R"(399 sealcast.test "sdes-required: RTP/SAVPF was offered without a=crypto")");
  seed("warning", "quoted", R"(399 h "fmtp-mismatch: a \"b\" \\")");
  for (int suite : {0, 1, 2, 0x81}) decide("rtp", "suite_" + std::to_string(suite), suite, 600);
  rtp::Feedback f{1, 2, 65534, {{true, 5}, {false, 0}, {true, 0x1ffe}}, 77};
  Bytes room(rtp::feedback_octets(f.reports.size()));
  room.resize(rtp::write_feedback(f, room));
  seed("feedback", "packet", ByteView(room));
  decide("feedback", "life", 0, 500);
  decide("feedback", "longer", 200, 1500);
}

void messages() {
  Bytes room(1400);
  Writer hello(room);
  ppspp::write_handshake(hello, {77, crypto::Digest{1, 2}, 1152});
  ppspp::write_range(hello, ppspp::MessageType::have, {0, 99});
  ppspp::write_keyinfo(hello, "certificate~information");
  seed("ppspp", "opening", hello.written());
  Writer run(room);
  ppspp::write_integrity(run, {content::bin::at(5, 1), crypto::Digest{3}});
  ppspp::write_range(run, ppspp::MessageType::request, {32, 63});
  ppspp::write_range(run, ppspp::MessageType::cancel, {0, 31});
  ppspp::write_ack(run, {0, 31}, 12345);
  ppspp::write_data(run, 32, 99, view_of("chunk"));
  seed("ppspp", "run", run.written());
  Writer end(room);
  ppspp::write_closing(end);
  seed("ppspp", "closing", end.written());
}

// What engine_pair.cpp does with an octet: the lower half says what, the upper half to whom or how.
void talk() {
  for (int setup : {0x00, 0x41, 0x82, 0x83, 0xd5, 0x9c})
    seed("engine_pair", "calm_" + std::to_string(setup), std::string(1, static_cast<char>(setup)));
  const std::string deliver("\x00\x40\x05\x03\xe8", 5),
      trouble("\x10\x00\x20\x01\x00\x30\x05\x04\x00\x01\x00\x05\x27\x10", 14);
  auto stranger = [](int number, int whom) {
    auto words = decisions(static_cast<std::uint8_t>(whom), 40, static_cast<std::uint64_t>(number));
    return string_of(words);
  };
  int number = 0;
  for (int setup : {0x40, 0x41, 0x84, 0x85, 0x43, 0x8d}) {
    std::string ops(1, static_cast<char>(setup));
    for (int i = 0; i < 30; ++i) {
      ops += deliver + deliver;
      if (i % 3 == 0) ops += trouble;
      if (i % 2 == 1) ops += stranger(++number, i % 4 == 1 ? 0x1c : 0x0c);
      if (i % 10 == 9) ops += std::string("\x27\x00\x27", 3);  // a disk that lies for one datagram
    }
    seed("engine_pair", "talk_" + std::to_string(setup), ops);
  }
}

void documents() {
  fuzz::Parties p;
  fuzz::FixedRandom random;
  auto description = content::sign_description(p.description, p.provider);
  seed("uri", "uri", content::ContentUri{p.description.root, "sealcast.test"}.text());
  seed("uri", "root", content::root_text(p.description.root));
  seed("description", "signed", std::string(1, '\0') + description);
  seed("description", "payload", std::string(1, '\x01') + json::Value(fuzz::payload_of(description)).text());
  for (int kind : {2, 3, 6, 7}) decide("description", "spoilt_" + std::to_string(kind), kind, 60);
  auto certificate = keys::make_holder_certificate(k_cache, p.holder.public_key(), k_now, 3600, p.key_service);
  seed("keyinfo", "signed",
       std::string(1, '\0') + keys::make_keyinfo(certificate, p.description, k_cache, k_now, 3600, p.holder));
  for (int kind : {1, 2, 3, 5}) decide("keyinfo", "spoilt_" + std::to_string(kind), kind, 60);
  auto pending = keys::make_request(p.description, k_alice, {k_cache, p.holder.public_key()}, k_now, p.device, random);
  auto size = std::string{static_cast<char>(pending.body.size() >> 8), static_cast<char>(pending.body.size() & 0xff)};
  seed("key_request", "signed", std::string("\0\0", 2) + size + pending.body);
  for (int state : {0, 1, 2, 4}) decide("key_request", "spoilt_" + std::to_string(state), state, 120);
  seed("key_answer", "request", std::string(1, '\0') + pending.body);
  for (int kind : {1, 2, 3}) decide("key_answer", "spoilt_" + std::to_string(kind), kind, 60);
  seed("enrolment", "signed", std::string(1, '\0') + keys::make_enrolment(k_alice, k_now, p.device));
  for (int kind : {1, 2}) decide("enrolment", "spoilt_" + std::to_string(kind), kind, 40);
  seed("token", "signed",
       std::string(1, '\0') +
           tracking::make_token({{1, 2, 3}, tracking::inviter_hash(k_alice), k_cache, k_now, k_now + 300},
                                fuzz::key(5)));
  for (int kind : {1, 2}) decide("token", "spoilt_" + std::to_string(kind), kind, 40);
  seed("jose", "jws", crypto::jws_sign(json::Object{{"a", 1}}, "fuzz+jwt", fuzz::key(1), true));
  seed("jose", "jwe", crypto::jwe_encrypt(view_of("x"), fuzz::key(1).public_key(), view_of("u"), view_of("v"), random));
  for (int kind : {0, 1, 2}) decide("jose", "spoilt_" + std::to_string(kind), kind, 200);
  for (int kind : {0, 1, 2, 3})
    decide("core_secrets", "kind_" + std::to_string(kind), kind, 80 + 10 * static_cast<std::size_t>(kind));
  for (int kind : {0, 1, 2, 4, 5, 6}) decide("sealing", "kind_" + std::to_string(kind), kind, 300);
  seed("sealing", "metadata", std::string("\x03") + R"({"name":"film.mp4","type":"video/mp4"})");
}

void tracker() {
  tracking::Announcement a;
  a.swarms.push_back(
      {{1}, tracking::PeerState::seed, {{0, 9}, {20, 29}}, "desc", tracking::AccessList{false, {k_alice}}, "a~b"});
  a.swarms.push_back({{2}, tracking::PeerState::leech, {}, {}, tracking::AccessList{true, {}}, {}});
  seed("tracking", "announcement", tracking::write_announcement(a));
  seed("tracking", "peers",
       tracking::write_peer_list(
           {{1}, "sip:me@peers.sealcast.test", {{k_cache, true, tracking::PeerState::seed, "token"}}, {"a~b"}}));
  seed("tracking", "query", tracking::write_query({crypto::Digest{1}, true, "x"}));
  seed("tracking", "contents", tracking::write_content_list({{"d", "e"}, "n"}));
  seed("tracking", "access", tracking::write_access({false, {k_alice, "sip:bob@sealcast.test"}}));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]), 2;
  g_directory = argv[1];
  base();
  media();
  messages();
  talk();
  documents();
  tracker();
  return 0;
}
