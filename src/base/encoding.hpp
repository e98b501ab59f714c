#pragma once
// Text forms of octets: base64 and base64url (RFC 4648 sections 4 and 5), hex.
#include <optional>

#include "base/bytes.hpp"

namespace sealcast {

std::string base64url(ByteView octets);  // without padding
std::string base64(ByteView octets);     // with padding
std::string hex(ByteView octets);

// Strict about the alphabet and about unused bits; padding may be present or missing. nullopt when wrong.
std::optional<Bytes> parse_base64url(std::string_view text);
std::optional<Bytes> parse_base64(std::string_view text);
std::optional<Bytes> parse_hex(std::string_view text);

}  // namespace sealcast
