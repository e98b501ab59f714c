#include "sip/agent/admission.hpp"

#include "sip/header_lines.hpp"

namespace sealcast::sip {
namespace {

constexpr std::size_t k_largest_body = 64 << 10;

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

std::optional<Refusal> check_size(const Frame& frame) {
  const auto header = std::string_view(frame.octets).substr(0, frame.body_at);
  if (frame.octets.size() - frame.body_at <= k_largest_body) return std::nullopt;
  const auto first = start_line(header);
  if (first.starts_with("NOTIFY ") || first.starts_with("SIP/2.0 ")) return std::nullopt;
  constexpr const char* k_reason = "Request Entity Too Large";
  return Refusal{413, k_reason, answer_to(header, 413, k_reason)};
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

Admission check_require(const sip_t* sip) {
  const auto unknown = unsupported(sip->sip_require);
  if (unknown.empty()) return {};
  return {420, "Bad Extension", {{"Unsupported", unknown.substr(unknown.find(' ') + 1)}}};
}

Admission check_content(const sip_t* sip) {
  if (sip->sip_payload == nullptr || sip->sip_payload->pl_len == 0) return {};
  if (is_encoded(sip)) return {415, "Unsupported Media Type", {{"Accept-Encoding", "identity"}}};
  if (sip->sip_request->rq_method != sip_method_invite || is_sdp(sip->sip_content_type)) return {};
  return {415, "Unsupported Media Type", {{"Accept", "application/sdp"}}};
}

}  // namespace sealcast::sip
