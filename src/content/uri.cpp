#include "content/uri.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "base/text.hpp"

namespace sealcast::content {

std::string root_text(const crypto::Digest& root) {
  return base64url(root);
}

std::optional<crypto::Digest> parse_root(std::string_view text) {
  auto octets = text.size() == 43 ? parse_base64url(text) : std::nullopt;
  if (!octets || octets->size() != 32) return std::nullopt;
  crypto::Digest out;
  std::copy(octets->begin(), octets->end(), out.begin());
  return out;
}

std::string ContentUri::text() const {
  return "sealcast:" + root_text(root) + "@" + domain;
}

bool is_domain(std::string_view domain) {
  return !domain.empty() && domain.size() <= 253 && std::all_of(domain.begin(), domain.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
}

Result<ContentUri> parse_content_uri(std::string_view text) {
  auto wrong = [&](const char* why) {
    return fail(ErrorCode::usage, "\"" + printable(text, 120) + "\" is no content URI: " + why);
  };
  constexpr std::string_view scheme = "sealcast:";
  if (!text.starts_with(scheme)) return wrong("it does not begin with \"sealcast:\"");
  auto rest = text.substr(scheme.size());
  auto at = rest.find('@');
  if (at == rest.npos) return wrong("the \"@\" and the tracker's domain are missing");
  auto root = parse_root(rest.substr(0, at));
  if (!root) return wrong("the part before \"@\" is not a root of 43 characters");
  auto domain = rest.substr(at + 1);
  if (!is_domain(domain)) return wrong("the part after \"@\" is no domain");
  return ContentUri{*root, std::string(domain)};
}

}  // namespace sealcast::content
