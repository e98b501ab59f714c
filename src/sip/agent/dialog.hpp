#pragma once
// What both sides of a dialog know of it (RFC 3261 section 12), and what a request outside of one begins with.
#include <optional>

#include "base/random.hpp"
#include "sip/agent/writer.hpp"
#include "sip/library_message.hpp"

namespace sealcast::sip {

struct Dialog {
  std::string call_id;
  std::string local, remote;  // values of From and To in requests of ours: with their tags
  std::string local_tag, remote_tag;
  std::uint32_t number = 0;  // CSeq of our last request
  std::optional<std::uint32_t> remote_number;
  std::string target;               // Request-URI of what we send
  std::vector<std::string> routes;  // in the order of Route
  bool established = false;
};

std::string fresh_token(RandomSource& random);  // for tags, Call-IDs, nonces of ours

// Ours to begin; addresses as "sip:alice@sealcast.test".
Dialog begin_dialog(RandomSource& random, const std::string& from, const std::string& to, const std::string& target);
// Somebody begins it with this request; `tag`: ours.
Dialog accept_dialog(const sip_t* request, const std::string& tag);
// A 2xx to our first request (section 12.1.2).
void establish(Dialog& dialog, const sip_t* response);
// A request of the other side that was faster than the 2xx: a NOTIFY (RFC 6665 section 4.4.1).
void establish_by_request(Dialog& dialog, const sip_t* request);
// Contact of a request or answer in the dialog (section 12.2).
void refresh_target(Dialog& dialog, const sip_t* message);
// False: it comes too late (section 12.2.2).
bool in_order(Dialog& dialog, const sip_t* request);
// A Contact that we could send to.
bool has_contact(const sip_t* message);

// How requests of the other side name it.
std::string dialog_key(const std::string& call_id, const std::string& local_tag);

}  // namespace sealcast::sip
