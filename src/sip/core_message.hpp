#pragma once
// Reading and changing the library's messages, as the core needs it. All of it on the core's thread.
#include <string>
#include <string_view>

#include "sip/sofia.hpp"

namespace sealcast::sip {

// A counted reference to a message; the message goes with the last one.
class Message {
 public:
  explicit Message(msg_t* owned) : message_(owned) {}
  Message(Message&& other) noexcept : message_(other.release()) {}
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
// An SDP body (alone or in a multipart) with keys in it (RFC 4568).
bool carries_inline_key(const sip_t* sip);

}  // namespace sealcast::sip
