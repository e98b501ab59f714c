#include "sip/agent_admission.hpp"

#include "sip/frame_check.hpp"
#include "sip/header_lines.hpp"

namespace sealcast::sip {
namespace {

// "Application/SDP ; charset=utf-8" is application/sdp.
bool is_sdp(const sip_content_type_t* type) {
  if (type == nullptr || type->c_type == nullptr) return false;
  const std::string_view text = type->c_type;
  return is_header(trimmed(text.substr(0, text.find(';'))), "application/sdp");
}

bool is_encoded(const sip_t* sip) {
  for (const auto* each = sip->sip_content_encoding; each != nullptr; each = each->k_next) {
    for (auto* item = each->k_items; item != nullptr && *item != nullptr; ++item)
      if (!is_header(*item, "identity")) return true;
  }
  return false;
}

}  // namespace

Admission check_octets(msg_t* message, std::size_t body_limit) {
  su_home_t home[1] = {};
  home->suh_size = sizeof home;
  ::su_home_init(home);
  std::size_t size = 0;
  const char* text = ::msg_as_string(home, message, nullptr, 0, &size);
  ReaderLimits limits;
  limits.body_octets = body_limit;
  StreamReader reader(limits);
  if (text != nullptr) reader.feed(view_of(std::string_view(text, size)));
  ::su_home_deinit(home);
  const auto next = reader.next();
  if (!next || std::holds_alternative<KeepAlive>(*next)) return {400, "Bad Message"};
  if (const auto* refusal = std::get_if<Refusal>(&*next)) return {refusal->status, refusal->reason};
  if (const auto refusal = check_frame(std::get<Frame>(*next))) return {refusal->status, refusal->reason};
  return {};
}

Admission check_via(const sip_t* sip, bool tls) {
  const auto* protocol = sip->sip_via == nullptr ? nullptr : sip->sip_via->v_protocol;
  if (protocol != nullptr && is_header(protocol, tls ? "SIP/2.0/TLS" : "SIP/2.0/TCP")) return {};
  return {400, "Via Names Another Transport"};
}

Admission check_scheme(const sip_t* sip) {
  const auto type = sip->sip_request->rq_url->url_type;
  return type == url_sip || type == url_sips ? Admission{} : Admission{416, "Unsupported URI Scheme"};
}

Admission check_content(const sip_t* sip) {
  if (sip->sip_payload == nullptr || sip->sip_payload->pl_len == 0) return {};
  if (is_encoded(sip)) return {415, "Unsupported Media Type", {{"Accept-Encoding", "identity"}}};
  if (sip->sip_request->rq_method != sip_method_invite || is_sdp(sip->sip_content_type)) return {};
  return {415, "Unsupported Media Type", {{"Accept", "application/sdp"}}};
}

}  // namespace sealcast::sip
