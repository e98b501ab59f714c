#pragma once
// Membership token: the tracker says that `sub` may meet `aud` in a swarm, for 300 s (docs/protocol.md section 6).
#include "base/time.hpp"
#include "crypto/jose.hpp"

namespace sealcast::tracking {

inline constexpr UnixSeconds k_token_life = 300;

// What stands for an inviting subscriber where its IMPU must not appear.
std::string inviter_hash(const std::string& subscriber);

struct Token {
  crypto::Digest root{};
  std::string subject;   // inviter_hash(IMPU), or the inviter's pseudonym
  std::string audience;  // URI of the callee
  UnixSeconds issued_at = 0, expires_at = 0;
};
// What a token says, its signature not looked at: enough to refuse it, never enough to believe it. Length, type,
// the signer's name, subject and validity are checked.
Result<Token> claims_of(std::string_view jws, const std::string& tracker_thumbprint, const std::string& subject,
                        UnixSeconds now);
std::string make_token(const Token& token, const crypto::PrivateKey& tracker);
// Signature, validity, subject and audience; the error says which is wrong.
Result<Token> verify_token(std::string_view jws, const crypto::PublicKey& tracker, const std::string& subject,
                           const std::string& audience, UnixSeconds now);

}  // namespace sealcast::tracking
