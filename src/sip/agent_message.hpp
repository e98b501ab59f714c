#pragma once
// Between the library's messages and ours.
#include <string_view>

#include "sip/message.hpp"
#include "sip/sofia.hpp"

namespace sealcast::sip {

// addr-spec without parameters and headers: "sip:alice@sealcast.test".
std::string address_text(const url_t& url);
// Every header that is not part of the protocol's machinery (Via, Route, ...), of the body, or asserted by the core.
std::vector<Header> interesting_headers(msg_t* message);
// First value of a header that the library does not know.
std::string unknown_header(const sip_t* sip, std::string_view name);
Response response_of(msg_t* message, const sip_t* sip);
Request request_of(msg_t* message, const sip_t* sip);

// True for "sip:..." without anything that could begin a parameter, another header or another line.
bool plain_address(std::string_view text);
// Adds headers, content and body; false (and nothing more added) on a header that is no header.
bool add_headers(msg_t* message, const std::vector<Header>& headers);
void add_content(msg_t* message, const std::string& content_type, const std::string& body);
// Control characters would end the status line.
std::string phrase_text(std::string_view text);

}  // namespace sealcast::sip
