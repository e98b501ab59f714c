#include "sip/library_message.hpp"

#include <strings.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "crypto/hash.hpp"

namespace sealcast::sip {
namespace {

void remove(const Message& message, void* header) {
  ::msg_header_remove(message.get(), reinterpret_cast<msg_pub_t*>(message.sip()), static_cast<msg_header_t*>(header));
}

void insert(const Message& message, void* header) {
  if (header)
    ::msg_header_insert(message.get(), reinterpret_cast<msg_pub_t*>(message.sip()), static_cast<msg_header_t*>(header));
}

// One after the other from the last one on: each goes before those that are there.
bool copy_vias(const Message& message, const sip_t* request) {
  std::vector<const sip_via_t*> all;
  for (const auto* each = request->sip_via; each; each = each->v_next) all.push_back(each);
  for (auto each = all.rbegin(); each != all.rend(); ++each) {
    auto single = **each;
    single.v_next = nullptr;
    insert(message, ::sip_via_dup(message.home(), &single));
  }
  return !all.empty();
}

std::string_view trimmed(const char* text) {
  std::string_view out = text ? text : "";
  while (!out.empty() && std::isspace(static_cast<unsigned char>(out.back()))) out.remove_suffix(1);
  while (!out.empty() && std::isspace(static_cast<unsigned char>(out.front()))) out.remove_prefix(1);
  return out;
}

}  // namespace

std::string text_or_empty(const char* text) {
  return text ? text : "";
}

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string url_text(const url_t* url) {
  if (!url) return {};
  std::string out(static_cast<std::size_t>(::url_len(url)) + 1, '\0');
  out.resize(static_cast<std::size_t>(::url_e(out.data(), static_cast<isize_t>(out.size()), url)));
  return out;
}

std::string identity_of(const url_t* url) {
  if (!url || url->url_type != url_sip || !url->url_user || !url->url_host || url->url_password) return {};
  std::string host = url->url_host;
  std::transform(host.begin(), host.end(), host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return "sip:" + std::string(url->url_user) + "@" + host;
}

bool wants_udp(const url_t* url) {
  char value[16];
  return url && url->url_params && ::url_param(url->url_params, "transport", value, sizeof value) > 0 &&
         same_word(value, "udp");
}

const char* unknown_header(const sip_t* sip, std::string_view name) {
  for (auto* each = sip->sip_unknown; each; each = each->un_next) {
    if (same_word(trimmed(each->un_name), name)) return each->un_value ? each->un_value : "";
  }
  return nullptr;
}

void remove_unknown_headers(const Message& message, std::string_view name) {
  std::vector<sip_unknown_t*> found;
  for (auto* each = message.sip()->sip_unknown; each; each = each->un_next) {
    if (same_word(trimmed(each->un_name), name)) found.push_back(each);
  }
  for (auto* each : found) remove(message, each);
}

void remove_asserted_identity(const Message& message) {
  while (auto* header = sip_p_asserted_identity(message.sip())) remove(message, header);
  remove_unknown_headers(message, "P-Asserted-Identity");
}

void remove_assertions(const Message& message) {
  auto* sip = message.sip();
  remove_asserted_identity(message);
  while (auto* header = sip_p_preferred_identity(sip)) remove(message, header);
  for (std::string_view name : {"P-Preferred-Identity", "P-Asserted-Service", "P2PCDS-Device"})
    remove_unknown_headers(message, name);
  while (sip->sip_authorization) remove(message, sip->sip_authorization);
  while (sip->sip_proxy_authorization) remove(message, sip->sip_proxy_authorization);
  while (sip->sip_error) remove(message, sip->sip_error);
}

void set_asserted_identity(const Message& message, const std::string& identity) {
  remove_asserted_identity(message);
  ::sip_add_make(message.get(), message.sip(), sip_p_asserted_identity_class, ("<" + identity + ">").c_str());
}

bool wants_privacy(const sip_t* sip) {
  const auto* values = sip->sip_privacy ? sip->sip_privacy->priv_values : nullptr;
  for (; values && *values; ++values) {
    if (same_word(*values, "id")) return true;
  }
  return false;
}

bool carries_inline_key(const sip_t* sip) {
  if (!sip->sip_payload || !sip->sip_content_type || !sip->sip_content_type->c_type) return false;
  std::string type = sip->sip_content_type->c_type;
  if (!same_word(type, "application/sdp") && !same_word(type.substr(0, 10), "multipart/")) return false;
  std::string_view body(sip->sip_payload->pl_data, sip->sip_payload->pl_len);
  static constexpr std::string_view k_attribute = "a=crypto";
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return std::search(body.begin(), body.end(), k_attribute.begin(), k_attribute.end(), same) != body.end();
}

std::string print(const Message& message) {
  std::size_t size = 0;
  auto* text = ::msg_as_string(message.home(), message.get(), nullptr, 0, &size);
  if (!text) return {};
  std::string out(text, size);
  ::su_free(message.home(), text);
  return out;
}

Message copy_of(const Message& message) {
  return Message(::msg_dup(message.get()));
}

void add_via(const Message& message, bool tls, const std::string& own, const std::string& branch) {
  const auto text = std::string("SIP/2.0/") + (tls ? "TLS " : "TCP ") + own + ";branch=" + branch;
  insert(message, ::sip_via_make(message.home(), text.c_str()));
}

std::string branch_of(const sip_via_t* via) {
  return via ? text_or_empty(via->v_branch) : std::string();
}

void note_source(const Message& message, const std::string& remote) {
  auto* via = message.sip()->sip_via;
  if (!via) return;
  const auto colon = remote.rfind(':');
  auto host = remote.substr(0, colon);
  const bool wants_port = via->v_rport != nullptr;
  for (const char* name : {"received", "rport"}) ::msg_header_remove_param(via->v_common, name);
  if (colon != std::string::npos && (wants_port || host != text_or_empty(via->v_host))) {
    if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
    const auto received = "received=" + host, port = "rport=" + remote.substr(colon + 1);
    ::msg_header_add_param(message.home(), via->v_common, ::su_strdup(message.home(), received.c_str()));
    if (wants_port) ::msg_header_add_param(message.home(), via->v_common, ::su_strdup(message.home(), port.c_str()));
  }
  for (auto* each = via; each; each = each->v_next) msg_fragment_clear(each->v_common);
}

bool restore_vias(const Message& response, const sip_t* request) {
  while (response.sip()->sip_via) remove(response, response.sip()->sip_via);
  return copy_vias(response, request);
}

Message make_answer(const sip_t* request, int status, const std::string& reason, const std::string& headers,
                    const std::string& tag) {
  Message out(::msg_create(::sip_default_mclass(), 0));
  if (!out || !out.sip()) return Message(nullptr);
  auto* home = out.home();
  insert(out, ::sip_status_create(home, static_cast<unsigned>(status), ::su_strdup(home, reason.c_str()), nullptr));
  copy_vias(out, request);
  insert(out, ::sip_from_dup(home, request->sip_from));
  auto* to = ::sip_to_dup(home, request->sip_to);
  if (to && !to->a_tag && status > 100 && !tag.empty()) ::sip_to_tag(home, to, tag.c_str());
  insert(out, to);
  insert(out, ::sip_call_id_dup(home, request->sip_call_id));
  insert(out, ::sip_cseq_dup(home, request->sip_cseq));
  if (!headers.empty()) ::sip_add_tl(out.get(), out.sip(), SIPTAG_HEADER_STR(headers.c_str()), TAG_END());
  insert(out, ::sip_content_length_create(home, 0));
  insert(out, ::sip_separator_create(home));
  return out;
}

Message stub_of(const sip_t* request) {
  Message out(::msg_create(::sip_default_mclass(), 0));
  if (!out || !out.sip()) return Message(nullptr);
  auto* home = out.home();
  insert(out, ::sip_request_dup(home, request->sip_request));
  copy_vias(out, request);
  insert(out, ::sip_route_dup(home, request->sip_route));
  insert(out, ::sip_from_dup(home, request->sip_from));
  insert(out, ::sip_to_dup(home, request->sip_to));
  insert(out, ::sip_call_id_dup(home, request->sip_call_id));
  insert(out, ::sip_cseq_dup(home, request->sip_cseq));
  insert(out, ::sip_separator_create(home));
  return out;
}

bool set_request_uri(const Message& message, const std::string& uri) {
  const auto* old = message.sip()->sip_request;
  auto* line = ::sip_request_create(message.home(), old->rq_method, old->rq_method_name,
                                    reinterpret_cast<const url_string_t*>(uri.c_str()), nullptr);
  if (line == nullptr) return false;
  // RFC 3261 section 19.1.1: what a contact may have, and a Request-URI may not.
  line->rq_url->url_headers = nullptr;
  if (line->rq_url->url_params != nullptr)
    line->rq_url->url_params = ::url_strip_param_string(const_cast<char*>(line->rq_url->url_params), "method");
  insert(message, line);
  return true;
}

std::string unsupported(const msg_list_t* required) {
  std::string out;
  for (; required; required = required->k_next) {
    for (const auto* each = required->k_items; each && *each; ++each)
      out += (out.empty() ? "Unsupported: " : ", ") + std::string(*each);
  }
  return out;
}

Message make_follower(const sip_t* sent, sip_method_t method, const char* name, const sip_to_t* to) {
  Message out(::msg_create(::sip_default_mclass(), 0));
  if (!out || !out.sip() || !sent || !sent->sip_via || !sent->sip_cseq) return Message(nullptr);
  auto* home = out.home();
  insert(out, ::sip_request_create(home, method, name, reinterpret_cast<const url_string_t*>(sent->sip_request->rq_url),
                                   nullptr));
  auto via = *sent->sip_via;
  via.v_next = nullptr;
  insert(out, ::sip_via_dup(home, &via));
  insert(out, ::sip_route_dup(home, sent->sip_route));
  insert(out, ::sip_max_forwards_make(home, "70"));
  insert(out, ::sip_from_dup(home, sent->sip_from));
  insert(out, ::sip_to_dup(home, to ? to : sent->sip_to));
  insert(out, ::sip_call_id_dup(home, sent->sip_call_id));
  insert(out, ::sip_cseq_create(home, sent->sip_cseq->cs_seq, method, name));
  insert(out, ::sip_content_length_create(home, 0));
  insert(out, ::sip_separator_create(home));
  return out;
}

std::string upstream_key(std::uint64_t connection, const sip_t* request) {
  const auto* cseq = request->sip_cseq;
  const auto method = cseq->cs_method;
  // ACK and CANCEL are named like their INVITE, a CANCEL of something else cannot be.
  const bool invite = method == sip_method_invite || method == sip_method_ack || method == sip_method_cancel;
  const auto text = std::to_string(connection) + "\n" + branch_of(request->sip_via) + "\n" +
                    text_or_empty(request->sip_call_id->i_id) + "\n" + text_or_empty(request->sip_from->a_tag) + "\n" +
                    std::to_string(cseq->cs_seq) + "\n" + (invite ? "INVITE" : text_or_empty(cseq->cs_method_name));
  return string_of(crypto::sha256(view_of(text)));
}

}  // namespace sealcast::sip
