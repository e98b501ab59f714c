#include "sip/frame_check.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "sip/header_lines.hpp"

namespace sealcast::sip {
namespace {

struct Wrong {
  int status;
  std::string reason;
};
using Verdict = std::optional<Wrong>;

Wrong bad(std::string reason) {
  return {400, std::move(reason)};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view cut_left(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t"), text.size()));
}

// At most `most`, decimal digits only.
bool is_number(std::string_view text, std::uint64_t most) {
  if (text.empty() || text.size() > 10 || !std::all_of(text.begin(), text.end(), is_digit)) return false;
  std::uint64_t value = 0;
  for (char c : text) value = value * 10 + static_cast<std::uint64_t>(c - '0');
  return value <= most;
}

// The octets of a quoted string that `text` begins with, both quotes included; 0: it has no end.
std::size_t quoted_size(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return i + 1;
  }
  return 0;
}

// scheme ":" something without white space, quotes and brackets (RFC 3986 section 3.1).
bool is_uri(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos || colon == 0 || colon + 1 == text.size()) return false;
  if (std::isalpha(static_cast<unsigned char>(text[0])) == 0) return false;
  const auto scheme = text.substr(0, colon);
  if (!std::all_of(scheme.begin(), scheme.end(),
                   [](unsigned char c) { return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.'; }))
    return false;
  return std::none_of(text.begin(), text.end(), [](unsigned char c) {
    return c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' || c == '\\' || c == '^' || c == '`';
  });
}

// A SIP URI's "?headers" come after the host; a user part may hold a "?", too.
bool has_uri_headers(std::string_view uri) {
  const auto at = uri.rfind('@');
  return uri.find('?', at == uri.npos ? 0 : at) != uri.npos;
}

// *( ";" token [ "=" token, host or quoted string ] )
bool are_parameters(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return true;
  if (text.front() != ';') return false;
  for (auto each : split_outside(text.substr(1), ';')) {
    const auto equal = each.find('=');
    if (!is_token(trimmed(each.substr(0, std::min(equal, each.size()))))) return false;
    if (equal == each.npos) continue;
    const auto value = trimmed(each.substr(equal + 1));
    if (value.empty()) return false;
    if (value.front() == '"') {
      if (quoted_size(value) != value.size()) return false;
    } else if (value.find_first_of(" \t\"") != value.npos) {
      return false;
    }
  }
  return true;
}

// name-addr or addr-spec with parameters (section 20.10): one of them, not a list.
bool is_address(std::string_view text) {
  text = trimmed(text);
  auto rest = text;
  bool named = false;
  if (!text.empty() && text.front() == '"') {
    const auto size = quoted_size(text);
    if (size == 0) return false;
    rest = cut_left(text.substr(size));
    named = true;
  }
  const auto open = rest.find('<');
  if (open == rest.npos) {
    if (named) return false;
    const auto end = std::min(rest.find(';'), rest.size());
    const auto uri = trimmed(rest.substr(0, end));
    return is_uri(uri) && uri.find_first_of("?,") == uri.npos && are_parameters(rest.substr(end));
  }
  if (named && open != 0) return false;
  auto words = rest.substr(0, open);
  for (words = trimmed(words); !words.empty();) {
    const auto end = std::min(words.find_first_of(" \t"), words.size());
    if (!is_token(words.substr(0, end))) return false;
    words = cut_left(words.substr(end));
  }
  const auto close = rest.find('>', open);
  return close != rest.npos && is_uri(rest.substr(open + 1, close - open - 1)) &&
         are_parameters(rest.substr(close + 1));
}

// sent-protocol, sent-by and parameters (section 20.42).
bool is_via(std::string_view text) {
  const auto end = std::min(text.find(';'), text.size());
  if (!are_parameters(text.substr(end))) return false;
  std::vector<std::string_view> words;
  for (auto rest = trimmed(text.substr(0, end)); !rest.empty();) {
    const auto stop = rest.front() == '/' ? 1 : std::min(rest.find_first_of(" \t/"), rest.size());
    words.push_back(rest.substr(0, stop));
    rest = cut_left(rest.substr(stop));
  }
  if (words.size() < 6 || words[1] != "/" || words[3] != "/") return false;
  if (!is_token(words[0]) || !is_token(words[2]) || !is_token(words[4])) return false;
  std::string by;  // LWS may stand around the colon
  for (std::size_t i = 5; i < words.size(); ++i) {
    if (!by.empty() && by.back() != ':' && words[i].front() != ':') return false;
    by += words[i];
  }
  const auto bracket = by.front() == '[' ? by.find(']') : std::string::npos;
  if (by.front() == '[' && bracket == std::string::npos) return false;
  const auto colon = by.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos && !is_number(std::string_view(by).substr(colon + 1), 65535)) return false;
  const auto host = std::string_view(by).substr(0, std::min(colon, by.size()));
  return !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '[' || c == ']' || c == ':';
  });
}

struct Seen {
  int from = 0, to = 0, call_id = 0, cseq = 0, via = 0, max_forwards = 0;
};

Verdict check_list(std::string_view value, const char* name, bool (*each)(std::string_view)) {
  for (auto part : split_outside(value, ',')) {
    if (!each(part)) return bad(std::string("Bad ") + name + " Header");
  }
  return std::nullopt;
}

Verdict check_cseq(std::string_view value, std::string_view method) {
  const auto end = std::min(value.find_first_of(" \t"), value.size());
  if (!is_number(value.substr(0, end), 0x7fffffff)) return bad("Bad CSeq Header");
  const auto named = cut_left(value.substr(end));
  if (!is_token(named)) return bad("Bad CSeq Header");
  if (!method.empty() && named != method) return bad("CSeq Names Another Method");
  return std::nullopt;
}

bool is_call_id(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

struct ListRule {
  const char* name;
  char compact;
};
constexpr std::array<ListRule, 7> k_address_lists{{{"Contact", 'm'},
                                                   {"Route", 0},
                                                   {"Record-Route", 0},
                                                   {"Path", 0},
                                                   {"Service-Route", 0},
                                                   {"P-Asserted-Identity", 0},
                                                   {"P-Preferred-Identity", 0}}};

Verdict check_header(const HeaderLine& header, std::string_view method, Seen& seen) {
  const auto is = [&](const char* name, char compact = 0) { return is_header(header.name, name, compact); };
  if (is("Via", 'v')) {
    ++seen.via;
    return check_list(header.value, "Via", is_via);
  }
  if (is("From", 'f')) return ++seen.from, is_address(header.value) ? Verdict() : bad("Bad From Header");
  if (is("To", 't')) return ++seen.to, is_address(header.value) ? Verdict() : bad("Bad To Header");
  if (is("Call-ID", 'i')) return ++seen.call_id, is_call_id(header.value) ? Verdict() : bad("Bad Call-ID Header");
  if (is("CSeq")) return ++seen.cseq, check_cseq(header.value, method);
  if (is("Max-Forwards"))
    return ++seen.max_forwards, is_number(header.value, 255) ? Verdict() : bad("Bad Max-Forwards Header");
  if (is("Expires") || is("Min-Expires"))
    return is_number(header.value, 0xffffffff) ? Verdict() : bad("Bad Expires Header");
  if (is("Refer-To", 'r')) return is_address(header.value) ? Verdict() : bad("Bad Refer-To Header");
  if (is("Contact", 'm') && header.value == "*") return std::nullopt;
  for (const auto& rule : k_address_lists) {
    if (is(rule.name, rule.compact)) return check_list(header.value, rule.name, is_address);
  }
  return std::nullopt;
}

// method SP Request-URI SP SIP-Version (section 7.1): single spaces.
Verdict check_request_line(std::string_view line) {
  const auto first = line.find(' '), last = line.rfind(' ');
  if (first == line.npos || first == last) return bad("Bad Request Line");
  const auto uri = line.substr(first + 1, last - first - 1), version = line.substr(last + 1);
  if (!is_token(line.substr(0, first))) return bad("Bad Method");
  if (!is_uri(uri)) return bad("Bad Request URI");
  if (version != "SIP/2.0") {
    const auto slash = version.find('/'), dot = version.find('.');
    const bool other = slash != version.npos && dot != version.npos && is_header(version.substr(0, slash), "SIP") &&
                       is_number(version.substr(slash + 1, dot - slash - 1), 99999) &&
                       is_number(version.substr(dot + 1), 99999);
    if (other && version.substr(slash + 1) == "2.0") return std::nullopt;  // "sip/2.0": no case (section 7.1)
    return other ? Wrong{505, "Version Not Supported"} : bad("Bad Request Line");
  }
  const auto scheme = uri.substr(0, uri.find(':'));
  if ((is_header(scheme, "sip") || is_header(scheme, "sips")) && has_uri_headers(uri))
    return bad("Headers In Request URI");
  return std::nullopt;
}

Verdict check_status_line(std::string_view line) {
  const auto code = line.substr(std::min<std::size_t>(8, line.size()));
  const bool good =
      code.size() >= 4 && code[0] >= '1' && code[0] <= '6' && is_digit(code[1]) && is_digit(code[2]) && code[3] == ' ';
  return good ? Verdict() : bad("Bad Status Line");
}

Verdict check(std::string_view text) {
  const auto first = start_line(text);
  const bool response = is_header(first.substr(0, std::min<std::size_t>(8, first.size())), "SIP/2.0 ");
  if (auto wrong = response ? check_status_line(first) : check_request_line(first)) return wrong;
  const auto method = response ? std::string_view() : first.substr(0, first.find(' '));
  Seen seen;
  HeaderLines lines(text);
  while (auto header = lines.next()) {
    if (auto wrong = check_header(*header, method, seen)) return wrong;
  }
  if (seen.via == 0) return bad("Missing Via Header");
  if (seen.from != 1) return bad(seen.from == 0 ? "Missing From Header" : "More Than One From Header");
  if (seen.to != 1) return bad(seen.to == 0 ? "Missing To Header" : "More Than One To Header");
  if (seen.call_id != 1) return bad(seen.call_id == 0 ? "Missing Call-ID Header" : "More Than One Call-ID Header");
  if (seen.cseq != 1) return bad(seen.cseq == 0 ? "Missing CSeq Header" : "More Than One CSeq Header");
  if (seen.max_forwards > 1) return bad("More Than One Max-Forwards Header");
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> check_frame(const Frame& frame) {
  const auto header = std::string_view(frame.octets).substr(0, frame.body_at);
  auto wrong = check(header);
  if (!wrong) return std::nullopt;
  auto answer = answer_to(header, wrong->status, wrong->reason);
  return Refusal{wrong->status, std::move(wrong->reason), std::move(answer)};
}

}  // namespace sealcast::sip
