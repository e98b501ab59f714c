#pragma once
// A provider's sealed content, its key holder and a device of alice's: for tests of key requests and answers.
#include "base/encoding.hpp"
#include "keys/service.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::test {

struct KeyParties : keys::KeyLookup {
  static constexpr UnixSeconds k_now = 1800000000;
  inline static const std::string k_alice = "sip:alice@sealcast.test", k_cache = "sip:cache@sealcast.test";

  explicit KeyParties(std::uint64_t seed) : random(seed) {
    random.fill(key.fill());
    d.content_id = "urn:sealcast:" + base64url(Bytes(16, 1));
    d.root[0] = 9;
    d.plain_length = 5000000;
    d.length = content::sealed_length(5000000);
    d.header = content::make_sealed_header({}, key);
    d.key_service = key_service.public_key();
    d.expires_at = k_now + 1000;
  }
  Result<std::optional<keys::KeyRecord>> find(const crypto::Digest& root, const std::string& subscriber) override {
    if (unavailable) return fail(ErrorCode::unavailable, "locked");
    if (root != d.root) return std::nullopt;
    keys::KeyRecord out;
    out.description = d;
    if (has_key) out.key = key.duplicate();
    out.not_before = not_before;
    out.entitled = subscriber == k_alice && entitled;
    return out;
  }

  SeededRandom random;
  crypto::PrivateKey key_service = crypto::PrivateKey::generate(random), holder = crypto::PrivateKey::generate(random),
                     device = crypto::PrivateKey::generate(random);
  content::ContentKey key;
  content::Description d;
  keys::KeyService service{k_cache, holder.duplicate(), random};
  bool has_key = true, entitled = true, unavailable = false;
  UnixSeconds not_before = 0;
};

}  // namespace sealcast::test
