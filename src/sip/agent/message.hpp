#pragma once
// Between the library's messages and ours: what came, as roles see it.
#include "sip/library_message.hpp"
#include "sip/message.hpp"

namespace sealcast::sip {

// A header field's value, without its name: of headers that the library knows as it prints them, of others as they
// came. One of several fields of a name, not all. Empty for nullptr.
std::string field_text(const void* header);
// addr-spec without parameters and headers: "sip:alice@sealcast.test".
std::string address_text(const url_t& url);
// Every header that is not part of the protocol's machinery (Via, Route, ...), of the body, or asserted by the core.
std::vector<Header> interesting_headers(msg_t* message);
Response response_of(const Message& message);
Request request_of(const Message& message);

}  // namespace sealcast::sip
