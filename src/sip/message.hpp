#pragma once
// SIP requests and responses as the roles see them: addr-specs as text, bodies as octets, no library types.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"

namespace sealcast::sip {

struct Header {
  std::string name;
  std::string value;
};

struct Request {
  std::string method;
  std::string uri;                // Request-URI: "sip:tracker@sealcast.test"
  std::string from;               // addr-spec; outgoing: empty = the agent's own identity
  std::string to;                 // addr-spec; outgoing: empty = uri
  std::string asserted_identity;  // incoming: P-Asserted-Identity, only if the trusted core put it in; else empty
  std::string device;             // incoming: P2PCDS-Device under the same condition
  std::string event;              // Event
  std::optional<int> expires;     // Expires, seconds
  std::string content_type;
  std::string body;
  std::vector<Header> headers;  // every other header that is of interest: P2PCDS-*, SIP-If-Match, Warning, Contact
  bool secure = false;          // incoming: came over TLS; outgoing: goes out over TLS only
  std::vector<std::string> values(std::string_view name) const;  // of `headers`, case-insensitive
};

// status 0: no answer at all (`reason` says why: connection refused, TLS verification, timeout).
struct Response {
  int status = 0;
  std::string reason;
  std::string content_type;
  std::string body;
  std::vector<Header> headers;
  std::vector<std::string> values(std::string_view name) const;
  bool ok() const { return status >= 200 && status < 300; }
};

}  // namespace sealcast::sip
