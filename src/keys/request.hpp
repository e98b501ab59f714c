#pragma once
// The UE's side of key request and answer, and of enrolment (docs/protocol.md section 7).
#include "keys/keyinfo.hpp"

namespace sealcast::keys {

// Body of an enrolment header: proof that the device holds its key.
std::string make_enrolment(const std::string& subscriber, UnixSeconds now, const crypto::PrivateKey& device);
// Thumbprint of the key that signed itself in for `subscriber`.
Result<std::string> verify_enrolment(std::string_view jws, const std::string& subscriber, UnixSeconds now);

// A request that is out. Move-only: it holds the ephemeral key.
struct PendingRequest {
  std::string body;  // {"jws":"…"}: what the MESSAGE carries
  std::string rid;   // base64url
  std::string jws;
  crypto::PrivateKey ephemeral;
  KeyHolder holder;
};
PendingRequest make_request(const content::Description& description, const std::string& subscriber,
                            const KeyHolder& holder, UnixSeconds now, const crypto::PrivateKey& device,
                            RandomSource& random);

// "apu" of the JWE in an answer: the SHA-256 thumbprint of the holder's key, 32 octets.
Bytes apu_of(const crypto::PublicKey& holder);
// rid of an answer, unverified: to find the request that it belongs to. Empty: not an answer.
std::string rid_of_answer(std::string_view body);

struct KeyAnswer {
  int status = 0;           // 200, or why not
  int retry_after = 0;      // seconds, with 429
  content::ContentKey key;  // with 200: fits the description's header
};
// Every check of docs/protocol.md section 7; integrity errors say which failed.
Result<KeyAnswer> check_answer(std::string_view body, const PendingRequest& pending,
                               const content::Description& description, const std::string& subscriber, UnixSeconds now);

// The jws member of a body {"jws":"…"}; bounded.
std::optional<std::string> jws_of_body(std::string_view body);

}  // namespace sealcast::keys
