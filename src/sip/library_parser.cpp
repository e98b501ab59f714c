#include "sip/library_parser.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "sip/header_lines.hpp"
#include "sip/sofia.hpp"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#include <sofia-sip/msg_mclass.h>
#include <sofia-sip/sip_parser.h>
#pragma GCC diagnostic pop

namespace sealcast::sip {
namespace {

using Parse = issize_t (*)(su_home_t*, msg_header_t*, char*, isize_t);
Parse g_parse_request = nullptr, g_parse_cseq = nullptr;

// Its reading of others depends on what they begin with.
bool library_knows(std::string_view method) {
  for (const char* known : {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "INFO", "PRACK", "UPDATE",
                            "MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH"})
    if (method == known) return true;
  return false;
}

// Parses with a method of the same length that it reads as unknown; it keeps the name where it stood.
issize_t parse_with_any_method(Parse parse, char* method, std::size_t size, su_home_t* home, msg_header_t* header,
                               char* text, isize_t length) {
  const std::string_view name(method, size);
  if (!is_token(name) || library_knows(name)) return parse(home, header, text, length);
  const std::string kept(name);
  std::fill_n(method, size, 'X');
  const auto result = parse(home, header, text, length);
  std::copy(kept.begin(), kept.end(), method);
  return result;
}

// A request line that cannot be read is replaced by one that nobody serves: the library would not answer at all.
issize_t parse_request(su_home_t* home, msg_header_t* header, char* text, isize_t length) {
  const auto size = std::strcspn(text, " \t");
  const bool request = is_token(std::string_view(text, size));
  const auto result = parse_with_any_method(g_parse_request, text, size, home, header, text, length);
  if (result >= 0 || !request) return result;
  char* unserved = ::su_strdup(home, "XX invalid:request SIP/2.0");
  return g_parse_request(home, header, unserved, static_cast<isize_t>(std::strlen(unserved)));
}

issize_t parse_cseq(su_home_t* home, msg_header_t* header, char* text, isize_t length) {
  char* method = text + std::strspn(text, "0123456789");
  method += std::strspn(method, " \t\r\n");
  return parse_with_any_method(g_parse_cseq, method, std::strcspn(method, " \t\r\n"), home, header, text, length);
}

// In the table of header classes, by name (for parsing) `ours` is found first; by address (for adding) `theirs` still
// is, one of the next free places on.
void put_before(msg_mclass_t& messages, msg_hclass_t* theirs, msg_hclass_t* ours) {
  const int size = messages.mc_hash_size;
  int at = 0;
  while (at < size && messages.mc_hash[at].hr_class != theirs) ++at;
  SEALCAST_ASSERT(at < size && messages.mc_hash_used < size - 1);
  int free = at;
  while (messages.mc_hash[free].hr_class != nullptr) free = (free + 1) % size;
  messages.mc_hash[free] = messages.mc_hash[at];
  messages.mc_hash[at].hr_class = ours;
  ++messages.mc_hash_used;
}

}  // namespace

void prepare_library_parser() {
  static const bool once = [] {
    static msg_hclass_s request = *sip_request_class, cseq = *sip_cseq_class;
    g_parse_request = std::exchange(request.hc_parse, &parse_request);
    g_parse_cseq = std::exchange(cseq.hc_parse, &parse_cseq);
    auto* messages = ::sip_extend_mclass(nullptr);  // typed P-Asserted-Identity, Service-Route
    SEALCAST_ASSERT(messages != nullptr);
    messages->mc_request[0].hr_class = &request;
    put_before(*messages, sip_cseq_class, &cseq);
    ::sip_update_default_mclass(messages);
    return true;
  }();
  (void)once;
}

}  // namespace sealcast::sip
