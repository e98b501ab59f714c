#include "sip/agent/writer.hpp"

#include <algorithm>

#include "sip/frame_check.hpp"
#include "sip/header_lines.hpp"
#include "sip/sofia.hpp"

namespace sealcast::sip {
namespace {

constexpr const char* k_max_forwards = "70";  // RFC 3261 section 8.1.1.6

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_content(std::string& out, const std::string& content_type, const std::string& body) {
  if (!content_type.empty() && !body.empty()) append_line(out, "Content-Type", content_type);
  append_line(out, "Content-Length", std::to_string(body.size()));
  out.append("\r\n").append(body);
}

bool is_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == '\x7f'; });
}

}  // namespace

std::string print(const Draft& draft, const std::string& via, const std::string& contact) {
  std::string out = draft.method + " " + draft.uri + " SIP/2.0\r\n";
  append_line(out, "Via", via);
  for (const auto& route : draft.routes) append_line(out, "Route", route);
  append_line(out, "Max-Forwards", k_max_forwards);
  append_line(out, "From", draft.from);
  append_line(out, "To", draft.to);
  append_line(out, "Call-ID", draft.call_id);
  append_line(out, "CSeq", std::to_string(draft.number) + " " + draft.method);
  if (draft.contact) append_line(out, "Contact", contact + draft.contact_parameters);
  out += draft.headers;
  append_content(out, draft.content_type, draft.body);
  return out;
}

Draft follower_of(const Draft& draft, const std::string& method, const std::string& to) {
  Draft out;
  out.method = method;
  out.uri = draft.uri;
  out.routes = draft.routes;
  out.from = draft.from;
  out.to = to.empty() ? draft.to : to;
  out.call_id = draft.call_id;
  out.number = draft.number;
  return out;
}

bool is_sendable(const Draft& draft) {
  if (!is_line(draft.content_type)) return false;
  Frame frame;
  frame.octets = print(draft, "SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bKx", "<sip:192.0.2.1:5061>");
  frame.body_at = frame.octets.size() - draft.body.size();
  return !check_frame(frame);
}

std::string print_answer(const AnswerHead& head, int status, const std::string& reason, const std::string& headers,
                         const std::string& content_type, const std::string& body) {
  const char* standard = ::sip_status_phrase(status);
  const auto phrase = !reason.empty() ? phrase_text(reason) : std::string(standard == nullptr ? "" : standard);
  std::string out = "SIP/2.0 " + std::to_string(status) + " " + phrase + "\r\n" + head.lines;
  if (status < 300) out += head.record_route;
  out += headers;
  append_content(out, content_type, body);
  return out;
}

bool append_headers(std::string& lines, const std::vector<Header>& headers) {
  for (const auto& header : headers) {
    const bool name_ok = !header.name.empty() && std::all_of(header.name.begin(), header.name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    });
    if (!name_ok || !is_line(header.value)) return false;
    append_line(lines, header.name, trimmed(header.value));
  }
  return true;
}

bool plain_address(std::string_view text) {
  if (!text.starts_with("sip:") && !text.starts_with("sips:")) return false;
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '<' || c == '>' || c == '"' || c == '?' || c == ',' ||
           c == '\x7f';
  });
}

std::string phrase_text(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (auto& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return out;
}

std::string quotable(const std::string& text) {
  auto out = phrase_text(text);
  std::replace(out.begin(), out.end(), '"', '\'');
  std::replace(out.begin(), out.end(), '\\', '/');
  return out;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace sealcast::sip
