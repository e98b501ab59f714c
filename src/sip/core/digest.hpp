#pragma once
// Server side of digest authentication: signed nonces and replay protection. No library types, no clock.
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/random.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"

namespace sealcast::sip {

// What an Authorization header says, unquoted.
struct DigestCredentials {
  std::string user, realm, nonce, uri, response, cnonce, nc, qop, algorithm;
};

enum class DigestVerdict {
  good,
  stale,  // right in form, but the nonce is old, of another connection or used: challenge again
  wrong,  // wrong password, unknown user, or not what was asked for
};

// Nonces carry their own time and a MAC, so that challenges cost no memory. A nonce holds on the connection that it was
// given to and nowhere else: what must be remembered of used nonces is a few numbers for each connection, goes with it,
// and no number of registrations of others can push it out or use it up.
class DigestServer {
 public:
  DigestServer(std::string realm, RandomSource& random);
  // Value of WWW-Authenticate (RFC 8760: SHA-256).
  std::string challenge(std::uint64_t connection, Instant now, bool stale);
  // ha1: of the user; nullopt for an unknown one, who costs the same time.
  DigestVerdict check(const DigestCredentials& credentials, const std::string& method,
                      const std::optional<std::string>& ha1, std::uint64_t connection, Instant now);
  void forget(std::uint64_t connection) { used_.erase(connection); }
  std::size_t connections() const { return used_.size(); }

 private:
  struct Nonce {
    Instant issued;
    std::uint64_t number;
  };
  struct Use {
    std::uint64_t number;
    std::uint32_t last_nc;
  };
  struct Uses {
    std::uint64_t floor = 0;  // nonces up to this number are over
    std::deque<Use> recent;
  };
  std::string sign(ByteView body, std::uint64_t connection) const;
  std::optional<Nonce> open(const std::string& nonce, std::uint64_t connection) const;

  std::string realm_;
  Secret<32> key_;
  std::string nobody_ha1_;
  std::uint64_t last_number_ = 0;
  std::unordered_map<std::uint64_t, Uses> used_;  // by connection
};

}  // namespace sealcast::sip
