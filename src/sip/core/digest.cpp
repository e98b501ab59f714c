#include "sip/core/digest.hpp"

#include <algorithm>
#include <charconv>

#include "base/encoding.hpp"
#include "base/wire.hpp"
#include "crypto/hash.hpp"
#include "sip/digest.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_nonce_life = 300s;
constexpr std::size_t k_nonce_body = 16, k_nonce_mac = 16;
constexpr std::size_t k_most_uses = 8;  // of one connection; an honest one uses its newest

std::optional<std::uint32_t> parse_nc(const std::string& text) {
  std::uint32_t out = 0;
  if (text.size() != 8) return std::nullopt;
  auto [end, error] = std::from_chars(text.data(), text.data() + 8, out, 16);
  if (error != std::errc() || end != text.data() + 8) return std::nullopt;
  return out;
}

}  // namespace

DigestServer::DigestServer(std::string realm, RandomSource& random) : realm_(std::move(realm)) {
  random.fill(key_.fill());
  std::array<std::uint8_t, 32> nobody;
  random.fill(nobody);
  nobody_ha1_ = hex(nobody);
}

std::string DigestServer::sign(ByteView body, std::uint64_t connection) const {
  std::array<std::uint8_t, k_nonce_body + 8> text;
  Writer writer(text);
  writer.bytes(body.first(k_nonce_body));
  writer.u64(connection);
  auto mac = crypto::hmac_sha256(key_.expose(), text);
  Bytes whole(body.begin(), body.end());
  whole.insert(whole.end(), mac.begin(), mac.begin() + k_nonce_mac);
  return base64url(whole);
}

std::string DigestServer::challenge(std::uint64_t connection, Instant now, bool stale) {
  std::array<std::uint8_t, k_nonce_body> body;
  Writer writer(body);
  writer.u64(static_cast<std::uint64_t>(now.time_since_epoch().count()));
  writer.u64(++last_number_);
  return "Digest realm=\"" + realm_ + "\", nonce=\"" + sign(body, connection) + "\", algorithm=SHA-256, qop=\"auth\"" +
         (stale ? ", stale=true" : "");
}

std::optional<DigestServer::Nonce> DigestServer::open(const std::string& nonce, std::uint64_t connection) const {
  auto octets = nonce.size() > 64 ? std::nullopt : parse_base64url(nonce);
  if (!octets || octets->size() != k_nonce_body + k_nonce_mac) return std::nullopt;
  auto expected = sign(ByteView(*octets).first(k_nonce_body), connection);
  if (!equal_constant_time(view_of(expected), view_of(nonce))) return std::nullopt;
  Reader reader(*octets);
  const Instant issued{Duration(static_cast<std::int64_t>(reader.u64()))};
  return Nonce{issued, reader.u64()};
}

DigestVerdict DigestServer::check(const DigestCredentials& credentials, const std::string& method,
                                  const std::optional<std::string>& ha1, std::uint64_t connection, Instant now) {
  auto nc = parse_nc(credentials.nc);
  if (credentials.realm != realm_ || credentials.qop != "auth" || !nc || credentials.cnonce.empty())
    return DigestVerdict::wrong;
  if (parse_digest_algorithm(credentials.algorithm) != DigestAlgorithm::sha256) return DigestVerdict::wrong;
  auto nonce = open(credentials.nonce, connection);
  if (!nonce || now - nonce->issued > k_nonce_life) return DigestVerdict::stale;
  // Computed for unknown users too: the time of an answer says nothing about who exists.
  auto expected = digest_response(
      DigestAlgorithm::sha256,
      {ha1.value_or(nobody_ha1_), credentials.nonce, credentials.nc, credentials.cnonce, method, credentials.uri});
  const bool same = equal_constant_time(view_of(expected), view_of(credentials.response));
  if (!same || !ha1) return DigestVerdict::wrong;
  auto& uses = used_[connection];
  if (nonce->number <= uses.floor) return DigestVerdict::stale;
  auto known = std::find_if(uses.recent.begin(), uses.recent.end(),
                            [&](const auto& each) { return each.number == nonce->number; });
  if (known != uses.recent.end()) {
    if (*nc <= known->last_nc) return DigestVerdict::stale;  // RFC 7616 section 3.4.5: a replay
    known->last_nc = *nc;
    return DigestVerdict::good;
  }
  uses.recent.push_back({nonce->number, *nc});
  if (uses.recent.size() > k_most_uses) {
    auto oldest = std::min_element(uses.recent.begin(), uses.recent.end(),
                                   [](const auto& a, const auto& b) { return a.number < b.number; });
    uses.floor = std::max(uses.floor, oldest->number);
    uses.recent.erase(oldest);
  }
  return DigestVerdict::good;
}

}  // namespace sealcast::sip
