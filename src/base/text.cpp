#include "base/text.hpp"

#include <cstdio>

namespace sealcast {
namespace {

// Length of the UTF-8 sequence at the front (0: none) and its code point.
std::size_t next_code_point(std::string_view text, std::uint32_t& code_point) {
  auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  if (byte(0) < 0x80) {
    code_point = byte(0);
    return 1;
  }
  std::size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : byte(0) >= 0xc2 ? 2 : 0;
  if (length == 0 || byte(0) > 0xf4 || text.size() < length) return 0;
  code_point = byte(0) & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return 0;
    code_point = code_point << 6 | (byte(i) & 0x3fU);
  }
  static constexpr std::uint32_t k_smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  return code_point < k_smallest[length] || surrogate || code_point > 0x10ffff ? 0 : length;
}

// Characters that change how a terminal or a reader sees the others.
bool is_hidden(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
         (c >= 0xe0000 && c <= 0xe0fff);
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    std::uint32_t c;
    auto length = next_code_point(text, c);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    std::uint32_t c = 0;
    auto length = next_code_point(text, c);
    char escaped[16];
    std::string_view shown = text.substr(0, length);
    if (length == 0) {
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<std::uint8_t>(text[0])));
      shown = escaped;
      length = 1;
    } else if (is_hidden(c)) {
      std::snprintf(escaped, sizeof escaped, "\\u{%x}", c);
      shown = escaped;
    }
    if (out.size() + shown.size() > limit) return out + "...";
    out += shown;
    text.remove_prefix(length);
  }
  return out;
}

std::string safe_file_name(std::string_view name, std::string_view fallback) {
  std::string out;
  while (!name.empty() && out.size() < 196) {
    std::uint32_t c = 0;
    auto length = next_code_point(name, c);
    bool keep = length != 0 && !is_hidden(c) && c != '/' && c != '\\' && c != ':' && !(out.empty() && c == '.');
    if (keep) {
      out.append(name.substr(0, length));
    } else {
      out += '_';
    }
    name.remove_prefix(length == 0 ? 1 : length);
  }
  return out.empty() ? std::string(fallback) : out;
}

std::string human_size(double octets) {
  static constexpr const char* k_units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (octets >= 1024 && unit < 4) octets /= 1024, ++unit;
  char out[32];
  std::snprintf(out, sizeof out, unit == 0 ? "%.0f %s" : "%.1f %s", octets, k_units[unit]);
  return out;
}

std::string human_duration(std::chrono::seconds seconds) {
  auto s = static_cast<long long>(seconds.count());
  char out[40];
  if (s >= 3600) {
    std::snprintf(out, sizeof out, "%lldh%02lldm", s / 3600, s / 60 % 60);
  } else if (s >= 60) {
    std::snprintf(out, sizeof out, "%lldm%02llds", s / 60, s % 60);
  } else {
    std::snprintf(out, sizeof out, "%llds", s);
  }
  return out;
}

}  // namespace sealcast
