#pragma once
// KEYINFO: who holds the content key, signed along a chain to the key-service key that the description pins
// (docs/protocol.md section 4).
#include "content/description.hpp"

namespace sealcast::keys {

// The key service says that `uri` with `holder` may hold keys.
std::string make_holder_certificate(const std::string& uri, const crypto::PublicKey& holder, UnixSeconds now,
                                    UnixSeconds life, const crypto::PrivateKey& key_service);

// The holder says that it has the key of this content: "<certificate>~<information>", at most 1190 octets.
std::string make_keyinfo(std::string_view holder_certificate, const content::Description& description,
                         const std::string& uri, UnixSeconds now, UnixSeconds life, const crypto::PrivateKey& holder);

struct KeyHolder {
  std::string uri;        // "sip:cache@…"
  crypto::PublicKey key;  // signs key answers
};
// The whole chain against the description; an error says which link broke.
Result<KeyHolder> verify_keyinfo(std::string_view keyinfo, const content::Description& description, UnixSeconds now);

}  // namespace sealcast::keys
