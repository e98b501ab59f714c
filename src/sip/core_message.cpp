#include "sip/core_message.hpp"

#include <strings.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

namespace sealcast::sip {
namespace {

void remove(const Message& message, void* header) {
  ::msg_header_remove(message.get(), reinterpret_cast<msg_pub_t*>(message.sip()), static_cast<msg_header_t*>(header));
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

}  // namespace sealcast::sip
