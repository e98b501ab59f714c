#pragma once
// What an agent asks of every request before it looks at it (RFC 3261 section 8.2).
#include <optional>
#include <string>

#include "sip/agent/message.hpp"
#include "sip/stream_reader.hpp"

namespace sealcast::sip {

struct Admission {
  int status = 0;  // 0: go on
  std::string reason = {};
  std::vector<Header> headers = {};
};

// Of all requests only a NOTIFY may be larger than 64 KiB; the library sees none that is refused.
std::optional<Refusal> check_size(const Frame& frame);
// Via against the transport that it came by.
Admission check_via(const sip_t* sip, bool tls);
Admission check_scheme(const sip_t* sip);
Admission check_require(const sip_t* sip);
// Content-Encoding, and for INVITE Content-Type.
Admission check_content(const sip_t* sip);

}  // namespace sealcast::sip
