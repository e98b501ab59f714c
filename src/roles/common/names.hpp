#pragma once
// Identities and constants of the protocol (docs/protocol.md sections 1, 7, 8), as every role writes them.
#include <string>

namespace sealcast::roles {

inline constexpr const char* k_peer_body = "application/vnd.p2pcds.peer+json";
inline constexpr const char* k_key_body = "application/vnd.p2pcds.key+json";
inline constexpr const char* k_peer_event = "p2pcds-peer";        // PUBLISH
inline constexpr const char* k_peers_event = "p2pcds-peers";      // SUBSCRIBE: who is in a swarm
inline constexpr const char* k_content_event = "p2pcds-content";  // SUBSCRIBE: descriptions
inline constexpr const char* k_token_header = "P2PCDS-Token";
inline constexpr const char* k_not_fresh_rule = "not-fresh";  // in the Warning of a 403: it is the clocks
inline constexpr const char* k_enrolment_header = "P2PCDS-Device-Key";

inline std::string service_uri(const std::string& user, const std::string& domain) {
  return "sip:" + user + "@" + domain;
}
inline std::string tracker_uri(const std::string& domain) {
  return service_uri("tracker", domain);
}

// Names of service identities, which no subscriber may have: an asserted identity must say which of the two it is.
inline bool is_service_name(const std::string& name) {
  return name == "tracker" || name == "core" || name == "cache" || name.starts_with("cache-");
}
// Is this asserted identity a cache's?
inline bool is_cache_uri(const std::string& uri, const std::string& domain) {
  if (!uri.starts_with("sip:") || !uri.ends_with("@" + domain)) return false;
  auto user = uri.substr(4, uri.size() - 4 - domain.size() - 1);
  return user == "cache" || user.starts_with("cache-");
}

}  // namespace sealcast::roles
