#pragma once
// Server side of digest authentication: signed nonces, replay protection, and a brake on guessing. No library types, no
// clock.
#include <optional>
#include <string>
#include <unordered_map>

#include "base/random.hpp"
#include "base/secret.hpp"

namespace sealcast::sip {

// What an Authorization header says, unquoted.
struct DigestCredentials {
  std::string user, realm, nonce, uri, response, cnonce, nc, qop, algorithm;
};

enum class DigestVerdict {
  good,
  stale,  // right in form, but the nonce is old, foreign or used: challenge again
  wrong,  // wrong password, unknown user, or not what was asked for
};

// Nonces carry their own time and a MAC, so that challenges cost no memory; only nonces that were used with the right
// password are remembered, to hold nc against replay. Bounded: when the table is full of fresh nonces, users are
// challenged once more.
class DigestServer {
 public:
  DigestServer(std::string realm, RandomSource& random);
  // Value of WWW-Authenticate (RFC 8760: SHA-256).
  std::string challenge(std::int64_t now, bool stale);
  // ha1: of the user; nullopt for an unknown one, who costs the same time. now: seconds of a monotonic clock.
  DigestVerdict check(const DigestCredentials& credentials, const std::string& method,
                      const std::optional<std::string>& ha1, std::int64_t now);
  void forget_old(std::int64_t now);

 private:
  std::string sign(ByteView body) const;
  // Time of issue, if the nonce is one of ours.
  std::optional<std::int64_t> issued_at(const std::string& nonce) const;

  struct Used {
    std::int64_t issued;
    std::uint32_t last_nc;
  };
  std::string realm_;
  RandomSource& random_;
  Secret<32> key_;
  std::string nobody_ha1_;
  std::unordered_map<std::string, Used> used_;
};

// Failures per user and source address. Keyed by both, so that nobody can lock another one out from elsewhere.
class GuessingBrake {
 public:
  bool blocks(const std::string& key, std::int64_t now) const;
  void failed(const std::string& key, std::int64_t now);
  void succeeded(const std::string& key) { failures_.erase(key); }

 private:
  struct Failures {
    std::int64_t since;
    int count;
  };
  std::unordered_map<std::string, Failures> failures_;
};

}  // namespace sealcast::sip
