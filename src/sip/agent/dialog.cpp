#include "sip/agent/dialog.hpp"

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "sip/agent/message.hpp"

namespace sealcast::sip {
namespace {

std::vector<std::string> record_routes(const sip_t* message) {
  std::vector<std::string> out;
  for (const auto* each = message->sip_record_route; each != nullptr; each = each->r_next)
    out.push_back(field_text(each));
  return out;
}

}  // namespace

std::string fresh_token(RandomSource& random) {
  std::array<std::uint8_t, 15> octets;
  random.fill(octets);
  return base64url(octets);
}

std::string dialog_key(const std::string& call_id, const std::string& local_tag) {
  return call_id + "\n" + local_tag;
}

Dialog begin_dialog(RandomSource& random, const std::string& from, const std::string& to, const std::string& target) {
  Dialog out;
  out.call_id = fresh_token(random);
  out.local_tag = fresh_token(random);
  out.local = "<" + from + ">;tag=" + out.local_tag;
  out.remote = "<" + to + ">";
  out.target = target;
  return out;
}

Dialog accept_dialog(const sip_t* request, const std::string& tag) {
  Dialog out;
  out.call_id = text_or_empty(request->sip_call_id->i_id);
  out.local_tag = tag;
  out.local = field_text(request->sip_to) + ";tag=" + tag;
  out.remote = field_text(request->sip_from);
  out.remote_tag = text_or_empty(request->sip_from->a_tag);
  out.remote_number = request->sip_cseq->cs_seq;
  out.routes = record_routes(request);
  out.established = true;
  refresh_target(out, request);
  return out;
}

void establish(Dialog& dialog, const sip_t* response) {
  dialog.remote = field_text(response->sip_to);
  dialog.remote_tag = text_or_empty(response->sip_to->a_tag);
  dialog.routes = record_routes(response);
  std::reverse(dialog.routes.begin(), dialog.routes.end());
  dialog.established = true;
  refresh_target(dialog, response);
}

void establish_by_request(Dialog& dialog, const sip_t* request) {
  dialog.remote = field_text(request->sip_from);
  dialog.remote_tag = text_or_empty(request->sip_from->a_tag);
  dialog.routes = record_routes(request);
  dialog.established = true;
  refresh_target(dialog, request);
}

bool has_contact(const sip_t* message) {
  const auto* contact = message->sip_contact;
  return contact != nullptr && (contact->m_url->url_type == url_sip || contact->m_url->url_type == url_sips);
}

void refresh_target(Dialog& dialog, const sip_t* message) {
  if (!has_contact(message)) return;
  url_t target = *message->sip_contact->m_url;
  target.url_headers = nullptr;
  dialog.target = url_text(&target);
}

bool in_order(Dialog& dialog, const sip_t* request) {
  const auto number = request->sip_cseq->cs_seq;
  if (dialog.remote_number && number <= *dialog.remote_number) return false;
  dialog.remote_number = number;
  return true;
}

}  // namespace sealcast::sip
