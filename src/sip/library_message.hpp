#pragma once
// Reading and changing the library's messages, as core and agents need it. All of it on the thread of its stack.
#include <string>
#include <string_view>
#include <utility>

#include "sip/sofia.hpp"

namespace sealcast::sip {

// A counted reference to a message; the message goes with the last one.
class Message {
 public:
  explicit Message(msg_t* owned) : message_(owned) {}
  Message(Message&& other) noexcept : message_(other.release()) {}
  Message& operator=(Message&& other) noexcept {
    std::swap(message_, other.message_);
    return *this;
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message() {
    if (message_) ::msg_destroy(message_);
  }
  msg_t* get() const { return message_; }
  sip_t* sip() const { return ::sip_object(message_); }
  su_home_t* home() const { return msg_home(message_); }
  // Gives the reference to a call that takes it over.
  msg_t* release() {
    auto* out = message_;
    message_ = nullptr;
    return out;
  }
  explicit operator bool() const { return message_ != nullptr; }

 private:
  msg_t* message_;
};

std::string text_or_empty(const char* text);
std::string url_text(const url_t* url);
// "sip:user@host" in lower-case host, without port and parameters: how identities are compared. Empty for what is no
// such URI.
std::string identity_of(const url_t* url);
bool same_word(std::string_view a, std::string_view b);  // ASCII, case-insensitive
bool wants_udp(const url_t* url);                        // ";transport=udp"

// Value of the first header of this name that the library has no type for; nullptr: none.
const char* unknown_header(const sip_t* sip, std::string_view name);
void remove_unknown_headers(const Message& message, std::string_view name);
// Whatever only the core may assert, credentials, and headers that the library could not read (they would be sent on as
// they are).
void remove_assertions(const Message& message);
void remove_asserted_identity(const Message& message);
void set_asserted_identity(const Message& message, const std::string& identity);
bool wants_privacy(const sip_t* sip);  // Privacy: id

// The message as it goes over the wire.
std::string print(const Message& message);
Message copy_of(const Message& message);
// Our own Via on top: "SIP/2.0/TLS 127.0.0.1:5061;branch=…".
void add_via(const Message& message, bool tls, const std::string& own, const std::string& branch);
std::string branch_of(const sip_via_t* via);
// In the topmost Via, RFC 3261 section 18.2.1 and RFC 3581: where the request really came from, for its sender to read.
// What it said of that itself goes.
void note_source(const Message& message, const std::string& remote);
// An answer to a request; `headers`: "Name: value", more of them on lines of their own. `tag`: for a To without one.
Message make_answer(const sip_t* request, int status, const std::string& reason, const std::string& headers,
                    const std::string& tag);
// CANCEL or ACK for a request of ours (RFC 3261 sections 9.1 and 17.1.1.3), to which `to` answered.
Message make_follower(const sip_t* sent, sip_method_t method, const char* name, const sip_to_t* to);
// What make_answer and make_follower need of a request, and no more.
Message stub_of(const sip_t* request);
bool set_request_uri(const Message& message, const std::string& uri);
// "Unsupported: a, b", or nothing: of an element that supports no extension.
std::string unsupported(const msg_list_t* required);
// The Vias of an answer become those of the request that it answers.
bool restore_vias(const Message& response, const sip_t* request);
// How a request is named by its sender, in his ACK and CANCEL too. `connection`: what it came over.
std::string upstream_key(std::uint64_t connection, const sip_t* request);
// An SDP body (alone or in a multipart) with keys in it (RFC 4568).
bool carries_inline_key(const sip_t* sip);

}  // namespace sealcast::sip
