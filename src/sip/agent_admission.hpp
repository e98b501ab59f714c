#pragma once
// What an agent asks of every request before it looks at it (RFC 3261 section 8.2).
#include <string>

#include "sip/agent_message.hpp"

namespace sealcast::sip {

struct Admission {
  int status = 0;  // 0: go on
  std::string reason = {};
  std::vector<Header> headers = {};
};

// The message as it came, read once more by our own reader: the library has more readings than the grammar.
Admission check_octets(msg_t* message, std::size_t body_limit);
// Via against the transport that it came by.
Admission check_via(const sip_t* sip, bool tls);
Admission check_scheme(const sip_t* sip);
// Content-Encoding, and for INVITE Content-Type.
Admission check_content(const sip_t* sip);

}  // namespace sealcast::sip
