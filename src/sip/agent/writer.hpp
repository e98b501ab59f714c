#pragma once
// Messages of ours as text. What is written here is made of parts that were checked: by the reader when they came from
// outside, by is_sendable() when they come from our owner.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sip/message.hpp"

namespace sealcast::sip {

inline constexpr const char* k_allowed_methods =
    "INVITE, ACK, CANCEL, BYE, MESSAGE, PUBLISH, SUBSCRIBE, NOTIFY, OPTIONS";

// A request but for what only the connection tells: Via, and our address in Contact.
struct Draft {
  std::string method, uri;
  std::vector<std::string> routes;  // values of Route
  std::string from, to, call_id;    // header values, with tags
  std::uint32_t number = 0;         // CSeq
  bool contact = false;
  std::string contact_parameters;  // ";+sip.instance=..."
  std::string headers;             // further lines, each with its CRLF
  std::string content_type, body;
};

// `via`: "SIP/2.0/TLS 192.0.2.1:5061;branch=..."; `contact`: "<sip:...>".
std::string print(const Draft& draft, const std::string& via, const std::string& contact);
// CANCEL or ACK for a request of ours (RFC 3261 sections 9.1 and 17.1.1.3); `to`: of the answer, for ACK.
Draft follower_of(const Draft& draft, const std::string& method, const std::string& to);
// By the grammar that our own reader asks of others.
bool is_sendable(const Draft& draft);

// What an answer takes over from its request (section 8.2.6.2): lines, each with its CRLF.
struct AnswerHead {
  std::string lines;         // Via, From, To with its tag, Call-ID, CSeq
  std::string record_route;  // of a request that may begin a dialog (section 12.1.1)
};
// `headers`: further lines. An empty reason becomes the one that the standard gives.
std::string print_answer(const AnswerHead& head, int status, const std::string& reason, const std::string& headers,
                         const std::string& content_type = {}, const std::string& body = {});

// False: a header that is no header; nothing more is added then.
bool append_headers(std::string& lines, const std::vector<Header>& headers);
// True for "sip:..." without anything that could begin a parameter, another header or another line.
bool plain_address(std::string_view text);
// Control characters would end the status line.
std::string phrase_text(std::string_view text);
// For a quoted string that others read: quotes and backslashes become harmless.
std::string quotable(const std::string& text);
std::string quoted(const std::string& text);  // section 25.1, with escapes

}  // namespace sealcast::sip
