#include "crypto/backend.hpp"

#include <atomic>
#include <numeric>

#include "base/encoding.hpp"
#include "crypto/primitives.hpp"

namespace sealcast::crypto {

const Primitives k_openssl{&make_openssl_gcm, &make_openssl_gcm_stream, &make_openssl_ctr_hmac, &openssl_sha256};

namespace {

std::atomic<Backend> g_backend{Backend::automatic};
std::atomic<Vectors> g_vectors{Vectors::widest};

// Around every block and lane that the fast paths treat differently.
constexpr std::array<std::size_t, 20> k_lengths{1,  15,  16,  17,  31,  47,  55,   56,   63,   64,
                                                65, 119, 128, 255, 256, 511, 1024, 1152, 1400, 4097};
constexpr std::size_t k_header = 12, k_room = 32;

Bytes pattern(std::size_t size, std::size_t first) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(first + i * 7 + (i >> 8));
  return out;
}

PacketJob job_over(Bytes& packet, std::size_t text, std::uint8_t number) {
  auto size = k_header + text;
  PacketJob job;
  std::iota(job.iv.begin(), job.iv.end(), number);
  job.aad = ByteView(packet).first(k_header);
  job.text = MutableByteView(packet).subspan(k_header, text);
  job.authenticated = ByteView(packet).first(size);
  job.tag = packet.data() + size;
  job.trailer = {0, 0, 0, number};
  job.with_trailer = true;
  return job;
}

// SHA-256 over everything that sealing these packets gives; empty when one does not open again, or a changed one does.
std::string answer_of(PacketCipher& cipher, std::size_t tag) {
  std::vector<Bytes> packets;
  std::vector<PacketJob> jobs;
  for (auto length : k_lengths) packets.push_back(pattern(k_header + length + k_room, length));
  for (std::size_t i = 0; i < packets.size(); ++i)
    jobs.push_back(job_over(packets[i], k_lengths[i], static_cast<std::uint8_t>(i)));
  cipher.seal(jobs);
  Sha256 all;
  for (std::size_t i = 0; i < jobs.size(); ++i) all.update(ByteView(packets[i]).first(k_header + k_lengths[i] + tag));
  for (std::size_t i = 0; i < jobs.size(); i += 2) jobs[i].tag[i % tag] ^= 1;
  cipher.open(jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    auto plain = pattern(k_header + k_lengths[i], k_lengths[i]);
    const bool changed = i % 2 == 0;
    if (jobs[i].ok == changed || (!changed && !equal(jobs[i].text, ByteView(plain).subspan(k_header)))) return {};
  }
  return hex(all.finish());
}

// SHA-256 over what opening a sealed text in pieces gives; empty when its tag does not fit, or a wrong one does.
std::string answer_of(GcmStream& stream, PacketCipher& sealer) {
  auto sealed = pattern(k_header + 5000 + k_room, 5000);
  auto job = job_over(sealed, 5000, 1);
  job.aad = {};
  sealer.seal({&job, 1});
  Bytes out(job.text.size());
  const auto nonce = ByteView(job.iv).first(k_gcm_nonce);
  for (bool wrong : {false, true}) {
    if (wrong) job.tag[7] ^= 1;
    stream.begin(nonce);
    for (std::size_t at = 0, i = 0; at < out.size(); ++i) {
      const auto size = std::min(k_lengths[i % k_lengths.size()], out.size() - at);
      stream.open(job.text.subspan(at, size), MutableByteView(out).subspan(at, size));
      at += size;
    }
    if (stream.finish({job.tag, k_gcm_tag}) == wrong) return {};
  }
  return hex(sha256(out));
}

std::string answer_of(void (*hash)(std::span<const ByteView>, std::span<Digest>)) {
  std::vector<Bytes> texts;
  for (auto length : k_lengths) texts.push_back(pattern(length, length));
  std::vector<ByteView> inputs(texts.begin(), texts.end());
  std::vector<Digest> digests(inputs.size());
  hash(inputs, digests);
  Sha256 all;
  for (auto& digest : digests) all.update(digest);
  return hex(all.finish());
}

// Once in the life of a process.
const std::string& ipsec_mb_fault() {
  static const std::string fault =
      ipsec_mb_can() ? wrong_answers(k_ipsec_mb) : "this processor lacks what it needs (AES-NI, AVX)";
  return fault;
}

}  // namespace

// The right ones are those of independent implementations: tests/support/crypto_answers.py makes them.
std::string wrong_answers(const Primitives& by) {
  auto key = pattern(32, 0x11), authentication_key = pattern(20, 0x77);
  auto short_key = ByteView(key).first(16);
  const struct {
    const char* name;
    std::string got, right;
  } answers[] = {
      {"AES-128-GCM", answer_of(*by.gcm(short_key), 16),
       "7a2d82c52ee93940b0e3483f35f84dd5126efb17749dc9b09a6c664c1e60fe46"},
      {"AES-256-GCM", answer_of(*by.gcm(key), 16), "5a9c5e4055b2506576ed87783a24a75028e4f75c63e5e50ac89824d0402c1d5c"},
      {"AES-128-GCM in pieces", answer_of(*by.gcm_stream(short_key), *k_openssl.gcm(short_key)),
       hex(sha256(ByteView(pattern(k_header + 5000, 5000)).subspan(k_header)))},
      {"AES-128-CTR with HMAC-SHA1", answer_of(*by.ctr_hmac(short_key, authentication_key), 10),
       "8a97ce60d9a8b53c2b3743856798b9e8efc6d327accea746c28a4f92461b40d7"},
      {"SHA-256", answer_of(by.sha256), "1cec2b60010bfd5b679b63de6654323906a077dc4ff2194f0211496e1cea373e"},
  };
  for (auto& answer : answers)
    if (answer.got != answer.right) return std::string(answer.name) + " gives wrong answers";
  return {};
}

void set_backend(Backend backend, Vectors vectors) {
  g_backend = backend;
  g_vectors = vectors;
}
Vectors vectors_allowed() {
  return g_vectors;
}
bool uses_ipsec_mb() {
  return g_backend != Backend::openssl && ipsec_mb_fault().empty();
}
std::string backend_name() {
  if (!uses_ipsec_mb()) return "openssl";
  return g_vectors == Vectors::widest ? "ipsec-mb" : g_vectors == Vectors::avx2 ? "ipsec-mb-avx2" : "ipsec-mb-sse";
}
std::string backend_trouble() {
  return g_backend == Backend::openssl ? std::string() : ipsec_mb_fault();
}

Status self_test() {
  if (auto fault = wrong_answers(k_openssl); !fault.empty())
    return fail("the self test of OpenSSL failed: " + fault + "; nothing is done with it");
  if (g_backend == Backend::ipsec_mb && !ipsec_mb_fault().empty())
    return fail("ipsec-mb cannot be used here: " + ipsec_mb_fault());
  return {};
}

}  // namespace sealcast::crypto
