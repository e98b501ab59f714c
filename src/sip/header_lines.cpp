#include "sip/header_lines.hpp"

#include <algorithm>
#include <cctype>

namespace sealcast::sip {
namespace {

bool is_token_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         (c != '\0' && std::string_view("-.!%*_+`'~").find(c) != std::string_view::npos);
}

bool same(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

// Calls `found` with the place of each separator that separates. False: a quote or < was not closed.
template <class Found>
bool scan(std::string_view value, char separator, Found found) {
  bool quoted = false, bracketed = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"' && !bracketed) {
      quoted = true;
    } else if (c == '<') {
      bracketed = true;
    } else if (c == '>') {
      bracketed = false;
    } else if (c == separator && !bracketed) {
      found(i);
    }
  }
  return !quoted && !bracketed;
}

}  // namespace

HeaderLines::HeaderLines(std::string_view message) {
  const auto end = message.find("\r\n");
  rest_ = end == message.npos ? std::string_view() : message.substr(end + 2);
}

std::optional<HeaderLine> HeaderLines::next() {
  const auto end = std::min(rest_.find("\r\n"), rest_.size());
  const auto line = rest_.substr(0, end);
  rest_ = rest_.substr(std::min(end + 2, rest_.size()));
  if (line.empty()) {
    rest_ = {};
    return std::nullopt;
  }
  const auto colon = line.find(':');
  if (colon == line.npos) return HeaderLine{{}, trimmed(line)};
  auto name = line.substr(0, colon);
  while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
  if (!is_token(name)) name = {};
  return HeaderLine{name, trimmed(line.substr(colon + 1))};
}

std::string_view start_line(std::string_view message) {
  return message.substr(0, std::min(message.find("\r\n"), message.size()));
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

bool is_header(std::string_view name, std::string_view full, char compact) {
  return same(name, full) || (compact != 0 && same(name, std::string_view(&compact, 1)));
}

std::size_t separators(std::string_view value, char separator) {
  std::size_t count = 0;
  if (scan(value, separator, [&](std::size_t) { ++count; })) return count;
  return static_cast<std::size_t>(std::count(value.begin(), value.end(), separator));
}

std::vector<std::string_view> split_outside(std::string_view value, char separator) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  scan(value, separator, [&](std::size_t at) {
    parts.push_back(trimmed(value.substr(begin, at - begin)));
    begin = at + 1;
  });
  parts.push_back(trimmed(value.substr(begin)));
  return parts;
}

std::string answer_to(std::string_view header, int status, std::string_view reason,
                      const std::vector<std::string>& more) {
  const auto first = start_line(header);
  const auto method = first.substr(0, std::min(first.find(' '), first.size()));
  if (first.size() == method.size() || !is_token(method) || method == "ACK") return {};
  std::string vias, others;
  unsigned have = 0;
  HeaderLines lines(header);
  while (auto line = lines.next()) {
    if (is_header(line->name, "Via", 'v')) {
      vias.append("Via: ").append(line->value).append("\r\n");
      continue;
    }
    struct Wanted {
      const char* full;
      char compact;
    };
    static constexpr Wanted k_wanted[] = {{"From", 'f'}, {"To", 't'}, {"Call-ID", 'i'}, {"CSeq", 0}};
    for (unsigned i = 0; i < std::size(k_wanted); ++i) {
      if (!is_header(line->name, k_wanted[i].full, k_wanted[i].compact) || (have & 1U << i) != 0) continue;
      have |= 1U << i;
      others.append(k_wanted[i].full).append(": ").append(line->value);
      if (i == 1 && line->value.find("tag") == std::string_view::npos) others.append(";tag=refused");
      others.append("\r\n");
    }
  }
  if (vias.empty() || (have & 0b1000) == 0) return {};
  std::string out = "SIP/2.0 " + std::to_string(status) + " ";
  out.append(reason).append("\r\n").append(vias).append(others);
  for (const auto& each : more) out.append(each).append("\r\n");
  return out.append("Content-Length: 0\r\n\r\n");
}

}  // namespace sealcast::sip
