#pragma once
// A sealed content of the tests, and the parties that speak about it.
#include "base/encoding.hpp"
#include "content/uri.hpp"
#include "keys/service.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace sealcast::fuzz {

inline const std::string k_alice = "sip:alice@sealcast.test", k_cache = "sip:cache@sealcast.test";

struct Parties {
  crypto::PrivateKey provider = key(1), key_service = key(2), holder = key(3), device = key(4);
  content::ContentKey content_key{std::span<const std::uint8_t, 16>(std::array<std::uint8_t, 16>{7})};
  content::Description description = make();

  content::Description make() const {
    content::Description d;
    d.content_id = "urn:sealcast:" + base64url(Bytes(16, 1));
    d.root[0] = 9;
    d.plain_length = 5000000;
    d.length = content::sealed_length(5000000);
    d.header = content::make_sealed_header({}, content_key);
    d.metadata = content::seal_metadata({"film.mp4", "video/mp4"}, *d.header, content_key, d.root, {});
    d.key_service = key_service.public_key();
    d.issued_at = k_now - 100;
    d.expires_at = k_now + 1000;
    return d;
  }
};

// The payload of a good document, to be spoilt and signed again.
inline json::Object payload_of(std::string_view jws) {
  return *crypto::jws_peek(jws)->payload.as_object();
}

}  // namespace sealcast::fuzz
