#include "sip/agent/message.hpp"

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

std::string_view name_of(const msg_header_t* header) {
  const auto* common = reinterpret_cast<const sip_header_t*>(header);
  const auto* kind = common->sh_class;
  if (kind == nullptr) return {};
  if (kind == sip_unknown_class)
    return common->sh_unknown->un_name == nullptr ? std::string_view() : common->sh_unknown->un_name;
  return kind->hc_name == nullptr ? std::string_view() : kind->hc_name;
}

}  // namespace

std::string field_text(const void* of) {
  if (of == nullptr) return {};
  const auto* header = static_cast<const msg_header_t*>(of);
  const auto* common = static_cast<const sip_header_t*>(of);
  // Of an unknown header the library would print the name too.
  if (common->sh_class == sip_unknown_class)
    return common->sh_unknown->un_value == nullptr ? std::string() : std::string(common->sh_unknown->un_value);
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

Response response_of(const Message& message) {
  Response out;
  const auto* sip = message.sip();
  if (sip == nullptr || sip->sip_status == nullptr) return out;
  out.status = sip->sip_status->st_status;
  if (sip->sip_status->st_phrase != nullptr) out.reason = sip->sip_status->st_phrase;
  if (sip->sip_content_type != nullptr && sip->sip_content_type->c_type != nullptr)
    out.content_type = sip->sip_content_type->c_type;
  if (sip->sip_payload != nullptr) out.body.assign(sip->sip_payload->pl_data, sip->sip_payload->pl_len);
  out.headers = interesting_headers(message.get());
  if (sip->sip_expires != nullptr) out.headers.push_back({"Expires", std::to_string(sip->sip_expires->ex_delta)});
  return out;
}

Request request_of(const Message& message) {
  Request out;
  const auto* sip = message.sip();
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
  out.headers = interesting_headers(message.get());
  return out;
}

}  // namespace sealcast::sip
