#pragma once
#include <optional>
#include <string>

#include "base/result.hpp"
#include "crypto/hash.hpp"

namespace sealcast::content {

// sealcast:<base64url of the root>@<tracker domain>
struct ContentUri {
  crypto::Digest root{};
  std::string domain;
  std::string text() const;
};
bool is_domain(std::string_view text);                        // 1 to 253 letters, digits, "." and "-"
Result<ContentUri> parse_content_uri(std::string_view text);  // ErrorCode::usage, says what is wrong

std::string root_text(const crypto::Digest& root);  // base64url, 43 characters
std::optional<crypto::Digest> parse_root(std::string_view text);

}  // namespace sealcast::content
