#include "sip/core_digest.hpp"

#include <charconv>

#include "base/encoding.hpp"
#include "base/wire.hpp"
#include "crypto/hash.hpp"
#include "sip/digest.hpp"

namespace sealcast::sip {
namespace {

constexpr std::int64_t k_nonce_life = 300;  // seconds
constexpr std::size_t k_nonce_body = 16, k_nonce_mac = 16;
constexpr std::size_t k_most_used_nonces = 200'000;
constexpr std::int64_t k_brake_window = 60;  // seconds
constexpr int k_brake_failures = 10;         // within the window
constexpr std::size_t k_most_braked = 20'000;

std::optional<std::uint32_t> parse_nc(const std::string& text) {
  std::uint32_t out = 0;
  if (text.size() != 8) return std::nullopt;
  auto [end, error] = std::from_chars(text.data(), text.data() + 8, out, 16);
  if (error != std::errc() || end != text.data() + 8) return std::nullopt;
  return out;
}

}  // namespace

DigestServer::DigestServer(std::string realm, RandomSource& random) : realm_(std::move(realm)), random_(random) {
  random_.fill(key_.fill());
  std::array<std::uint8_t, 32> nobody;
  random_.fill(nobody);
  nobody_ha1_ = hex(nobody);
}

std::string DigestServer::sign(ByteView body) const {
  auto mac = crypto::hmac_sha256(key_.expose(), body);
  Bytes whole(body.begin(), body.end());
  whole.insert(whole.end(), mac.begin(), mac.begin() + k_nonce_mac);
  return base64url(whole);
}

std::string DigestServer::challenge(std::int64_t now, bool stale) {
  std::array<std::uint8_t, k_nonce_body> body;
  Writer writer(body);
  writer.u64(static_cast<std::uint64_t>(now));
  random_.fill(writer.reserve(8));
  return "Digest realm=\"" + realm_ + "\", nonce=\"" + sign(body) + "\", algorithm=SHA-256, qop=\"auth\"" +
         (stale ? ", stale=true" : "");
}

std::optional<std::int64_t> DigestServer::issued_at(const std::string& nonce) const {
  auto octets = nonce.size() > 64 ? std::nullopt : parse_base64url(nonce);
  if (!octets || octets->size() != k_nonce_body + k_nonce_mac) return std::nullopt;
  auto expected = sign(ByteView(*octets).first(k_nonce_body));
  if (!equal_constant_time(view_of(expected), view_of(nonce))) return std::nullopt;
  return static_cast<std::int64_t>(Reader(*octets).u64());
}

DigestVerdict DigestServer::check(const DigestCredentials& credentials, const std::string& method,
                                  const std::optional<std::string>& ha1, std::int64_t now) {
  auto nc = parse_nc(credentials.nc);
  if (credentials.realm != realm_ || credentials.qop != "auth" || !nc || credentials.cnonce.empty())
    return DigestVerdict::wrong;
  if (parse_digest_algorithm(credentials.algorithm) != DigestAlgorithm::sha256) return DigestVerdict::wrong;
  auto issued = issued_at(credentials.nonce);
  if (!issued || now - *issued > k_nonce_life) return DigestVerdict::stale;
  // Computed for unknown users too: the time of an answer says nothing about who exists.
  auto expected = digest_response(
      DigestAlgorithm::sha256,
      {ha1.value_or(nobody_ha1_), credentials.nonce, credentials.nc, credentials.cnonce, method, credentials.uri});
  const bool same = equal_constant_time(view_of(expected), view_of(credentials.response));
  if (!same || !ha1) return DigestVerdict::wrong;
  auto known = used_.find(credentials.nonce);
  if (known == used_.end()) {
    if (used_.size() >= k_most_used_nonces) forget_old(now);
    if (used_.size() >= k_most_used_nonces) return DigestVerdict::stale;
    used_.emplace(credentials.nonce, Used{*issued, *nc});
    return DigestVerdict::good;
  }
  if (*nc <= known->second.last_nc) return DigestVerdict::stale;  // RFC 7616 section 3.4.5: a replay
  known->second.last_nc = *nc;
  return DigestVerdict::good;
}

void DigestServer::forget_old(std::int64_t now) {
  std::erase_if(used_, [now](const auto& each) { return now - each.second.issued > k_nonce_life; });
}

bool GuessingBrake::blocks(const std::string& key, std::int64_t now) const {
  auto found = failures_.find(key);
  return found != failures_.end() && found->second.count >= k_brake_failures &&
         now - found->second.since < k_brake_window;
}

void GuessingBrake::failed(const std::string& key, std::int64_t now) {
  if (failures_.size() >= k_most_braked)
    std::erase_if(failures_, [now](const auto& each) { return now - each.second.since >= k_brake_window; });
  if (failures_.size() >= k_most_braked) failures_.clear();  // memory is worth more than the brake
  auto& entry = failures_.try_emplace(key, Failures{now, 0}).first->second;
  if (now - entry.since >= k_brake_window) entry = {now, 0};
  ++entry.count;
}

}  // namespace sealcast::sip
