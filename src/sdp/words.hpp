#pragma once
// Cutting lines of text.
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace sealcast::sdp {

// Parts between separators, empty ones included; at least one.
inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    auto at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == text.npos) return out;
    text.remove_prefix(at + 1);
  }
}

// Parts between blanks, without empty ones.
inline std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (auto part : split(text, ' '))
    if (!part.empty()) out.push_back(part);
  return out;
}

// Decimal digits only, at most `most`.
inline std::optional<std::uint64_t> number(std::string_view text, std::uint64_t most) {
  std::uint64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || out > most) return std::nullopt;
  return out;
}

}  // namespace sealcast::sdp
