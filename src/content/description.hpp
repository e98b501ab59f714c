#pragma once
// The signed description of one version of a content (docs/protocol.md section 2).
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "content/geometry.hpp"
#include "content/protection.hpp"
#include "content/sealing.hpp"
#include "crypto/jose.hpp"

namespace sealcast::content {

struct Description {
  std::string content_id;  // "urn:sealcast:<22 characters>"
  std::int64_t version = 1;
  crypto::Digest root{};
  std::uint64_t length = 0;             // octets of the object
  std::optional<std::uint64_t> filled;  // of these, that are in no long stretch of zeros; none: all
  std::uint32_t chunk_size = k_default_chunk_size;
  Protection protection = Protection::sealed_session;
  std::uint64_t plain_length = 0;                // octets of the file
  std::optional<SealedHeader> header;            // sealed only
  Bytes metadata;                                // sealed only
  std::optional<crypto::PublicKey> key_service;  // sealed only
  std::string name, type;                        // not sealed; raw: make them printable before showing
  std::string title;                             // may be empty; raw too
  UnixSeconds issued_at = 0, expires_at = 0;
  std::string provider;  // thumbprint of the signer; filled by verify

  std::uint64_t room() const { return filled.value_or(length); }  // octets that it takes on a disk, if it is true
  Geometry geometry() const { return *Geometry::make(length, chunk_size); }
};

inline constexpr UnixSeconds k_clock_leeway = 120;

std::string sign_description(const Description& description, const crypto::PrivateKey& provider);
// Signature by one of `providers`, schema, every rule on its own members, validity at `now`. Integrity errors say
// which.
Result<Description> verify_description(std::string_view jws, const std::vector<crypto::PublicKey>& providers,
                                       UnixSeconds now);
// The same for one that was accepted before and kept: it may have expired since.
Result<Description> verify_kept_description(std::string_view jws, const std::vector<crypto::PublicKey>& providers);
// Two descriptions for one root: same geometry, header, key service. Two for one (provider, content id): no lower
// version after a higher one. Protection for one root is never lowered.
Status check_against(const Description& known, const Description& incoming);

}  // namespace sealcast::content
