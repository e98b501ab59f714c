#include "sip/agent_message.hpp"

#include <strings.h>

#include <algorithm>

namespace sealcast::sip {
namespace {

constexpr const char* k_machinery[] = {"Via",
                                       "Route",
                                       "Record-Route",
                                       "From",
                                       "To",
                                       "Call-ID",
                                       "CSeq",
                                       "Max-Forwards",
                                       "Content-Length",
                                       "Content-Type",
                                       "Event",
                                       "Expires",
                                       "Authorization",
                                       "Proxy-Authorization",
                                       "P-Asserted-Identity",
                                       "P2PCDS-Device"};
constexpr std::size_t k_most_headers = 200;

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool is_machinery(std::string_view name) {
  return std::any_of(std::begin(k_machinery), std::end(k_machinery),
                     [&](const char* known) { return same_name(name, known); });
}

// The value without the name. Of headers that the library knows, as it prints them; of others, as they came.
std::string field_text(const msg_header_t* header) {
  const auto* common = reinterpret_cast<const sip_header_t*>(header);
  if (common->sh_class == sip_unknown_class)
    return common->sh_unknown->un_value == nullptr ? "" : common->sh_unknown->un_value;
  const auto* any = reinterpret_cast<const sip_header_t*>(header);
  // Of an unknown header the library would print the name too.
  if (any->sh_class == sip_unknown_class)
    return any->sh_unknown->un_value == nullptr ? std::string() : std::string(any->sh_unknown->un_value);
  std::string out(256, '\0');
  for (int round = 0; round < 2; ++round) {
    const auto size = ::msg_header_field_e(out.data(), static_cast<isize_t>(out.size()), header, 0);
    if (size < 0) return {};
    const bool fits = static_cast<std::size_t>(size) < out.size();
    out.resize(fits ? static_cast<std::size_t>(size) : static_cast<std::size_t>(size) + 2);
    if (fits) break;
  }
  return out;
}

std::string_view name_of(const msg_header_t* header) {
  const auto* common = reinterpret_cast<const sip_header_t*>(header);
  const auto* kind = common->sh_class;
  if (kind == nullptr) return {};
  if (kind == sip_unknown_class)
    return common->sh_unknown->un_name == nullptr ? std::string_view() : common->sh_unknown->un_name;
  return kind->hc_name == nullptr ? std::string_view() : kind->hc_name;
}

}  // namespace

std::string address_text(const url_t& url) {
  url_t bare = url;
  bare.url_params = nullptr;
  bare.url_headers = nullptr;
  bare.url_password = nullptr;
  su_home_t home[1] = {};
  home->suh_size = sizeof home;
  ::su_home_init(home);
  const char* text = ::url_as_string(home, &bare);
  std::string out = text == nullptr ? "" : text;
  ::su_home_deinit(home);
  return out;
}

std::vector<Header> interesting_headers(msg_t* message) {
  std::vector<Header> out;
  if (message == nullptr) return out;
  for (const msg_header_t* header = *::msg_chain_head(message); header != nullptr && out.size() < k_most_headers;) {
    const auto name = name_of(header);
    if (!name.empty() && !is_machinery(name)) out.push_back({std::string(name), field_text(header)});
    header = reinterpret_cast<const sip_header_t*>(header)->sh_succ == nullptr
                 ? nullptr
                 : reinterpret_cast<const msg_header_t*>(reinterpret_cast<const sip_header_t*>(header)->sh_succ);
  }
  return out;
}

std::string unknown_header(const sip_t* sip, std::string_view name) {
  for (const auto* header = sip->sip_unknown; header != nullptr; header = header->un_next) {
    if (header->un_name != nullptr && header->un_value != nullptr && same_name(header->un_name, name))
      return header->un_value;
  }
  return {};
}

Response response_of(msg_t* message, const sip_t* sip) {
  Response out;
  if (sip == nullptr || sip->sip_status == nullptr) return out;
  out.status = sip->sip_status->st_status;
  if (sip->sip_status->st_phrase != nullptr) out.reason = sip->sip_status->st_phrase;
  if (sip->sip_content_type != nullptr && sip->sip_content_type->c_type != nullptr)
    out.content_type = sip->sip_content_type->c_type;
  if (sip->sip_payload != nullptr) out.body.assign(sip->sip_payload->pl_data, sip->sip_payload->pl_len);
  out.headers = interesting_headers(message);
  if (sip->sip_expires != nullptr) out.headers.push_back({"Expires", std::to_string(sip->sip_expires->ex_delta)});
  return out;
}

Request request_of(msg_t* message, const sip_t* sip) {
  Request out;
  out.method = sip->sip_request->rq_method_name;
  out.uri = address_text(*sip->sip_request->rq_url);
  out.from = address_text(*sip->sip_from->a_url);
  out.to = address_text(*sip->sip_to->a_url);
  if (sip->sip_event != nullptr && sip->sip_event->o_type != nullptr) out.event = sip->sip_event->o_type;
  if (sip->sip_expires != nullptr)
    out.expires = static_cast<int>(std::min<unsigned long>(sip->sip_expires->ex_delta, 0x7fffffff));
  if (sip->sip_content_type != nullptr && sip->sip_content_type->c_type != nullptr)
    out.content_type = sip->sip_content_type->c_type;
  if (sip->sip_payload != nullptr) out.body.assign(sip->sip_payload->pl_data, sip->sip_payload->pl_len);
  out.headers = interesting_headers(message);
  return out;
}

bool plain_address(std::string_view text) {
  if (!text.starts_with("sip:") && !text.starts_with("sips:")) return false;
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '<' || c == '>' || c == '"' || c == '?' || c == ',' ||
           c == '\x7f';
  });
}

bool add_headers(msg_t* message, const std::vector<Header>& headers) {
  for (const auto& header : headers) {
    const bool name_ok = !header.name.empty() && std::all_of(header.name.begin(), header.name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    });
    const bool value_ok = std::none_of(header.value.begin(), header.value.end(),
                                       [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == '\x7f'; });
    if (!name_ok || !value_ok) return false;
    const std::string line = header.name + ": " + header.value;
    if (::msg_header_add_str(message, ::msg_object(message), line.c_str()) < 0) return false;
  }
  return true;
}

void add_content(msg_t* message, const std::string& content_type, const std::string& body) {
  auto* sip = ::sip_object(message);
  if (!content_type.empty() && !body.empty())
    ::sip_add_tl(message, sip, SIPTAG_CONTENT_TYPE_STR(content_type.c_str()), TAG_END());
  if (!body.empty()) {
    auto* payload = ::sip_payload_create(msg_home(message), body.data(), static_cast<isize_t>(body.size()));
    ::msg_header_insert(message, ::msg_object(message), reinterpret_cast<msg_header_t*>(payload));
  }
}

std::string phrase_text(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (auto& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return out;
}

}  // namespace sealcast::sip
