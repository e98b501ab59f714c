#pragma once
#include <optional>
#include <string_view>

namespace sealcast::content {

// What a description asks for (docs/protocol.md section 2). Two properties: sealed before import, and SRTP on the media
// plane.
enum class Protection { none, session, sealed, sealed_session };

constexpr bool is_sealed(Protection p) {
  return p == Protection::sealed || p == Protection::sealed_session;
}
constexpr bool is_secured(Protection p) {
  return p == Protection::session || p == Protection::sealed_session;
}
constexpr Protection strictest(Protection a, Protection b) {
  bool sealed = is_sealed(a) || is_sealed(b), secured = is_secured(a) || is_secured(b);
  return sealed ? (secured ? Protection::sealed_session : Protection::sealed)
                : (secured ? Protection::session : Protection::none);
}
constexpr std::string_view name(Protection p) {
  switch (p) {
    case Protection::none:
      return "none";
    case Protection::session:
      return "session";
    case Protection::sealed:
      return "sealed";
    case Protection::sealed_session:
      break;
  }
  return "sealed+session";
}
constexpr std::optional<Protection> parse_protection(std::string_view text) {
  for (auto p : {Protection::none, Protection::session, Protection::sealed, Protection::sealed_session})
    if (name(p) == text) return p;
  return std::nullopt;
}

}  // namespace sealcast::content
