#include "base/address.hpp"

#include <charconv>
#include <vector>

namespace sealcast {
namespace {

std::optional<unsigned> number(std::string_view text, unsigned limit, int base = 10) {
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value > limit) return std::nullopt;
  return value;
}

std::optional<std::array<std::uint8_t, 4>> quad(std::string_view text) {
  std::array<std::uint8_t, 4> out{};
  for (std::size_t i = 0; i < 4; ++i) {
    auto dot = text.find('.');
    if ((dot == std::string_view::npos) != (i == 3)) return std::nullopt;
    auto part = text.substr(0, dot);
    auto value = part.size() <= 3 ? number(part, 255) : std::nullopt;
    if (!value || (part.size() > 1 && part[0] == '0')) return std::nullopt;
    out[i] = static_cast<std::uint8_t>(*value);
    text = i == 3 ? std::string_view{} : text.substr(dot + 1);
  }
  return out;
}

// The groups of one side of "::"; false when a group is wrong.
bool groups(std::string_view text, std::vector<std::uint8_t>& out) {
  while (!text.empty()) {
    auto colon = text.find(':');
    auto part = text.substr(0, colon);
    if (colon == std::string_view::npos && part.find('.') != std::string_view::npos) {
      auto v4 = quad(part);
      if (!v4) return false;
      out.insert(out.end(), v4->begin(), v4->end());
      return out.size() <= 16;
    }
    auto value = part.size() <= 4 ? number(part, 0xffff, 16) : std::nullopt;
    if (!value || out.size() >= 16) return false;
    out.push_back(static_cast<std::uint8_t>(*value >> 8));
    out.push_back(static_cast<std::uint8_t>(*value & 0xff));
    if (colon == std::string_view::npos) return true;
    text = text.substr(colon + 1);
    if (text.empty()) return false;
  }
  return true;
}

}  // namespace

std::optional<IpAddress> parse_ip_address(std::string_view text) {
  IpAddress out;
  if (auto v4 = quad(text)) {
    std::copy(v4->begin(), v4->end(), out.octets.begin());
    return out;
  }
  out.family = IpAddress::Family::v6;
  std::vector<std::uint8_t> head, tail;
  auto gap = text.find("::");
  if (!groups(text.substr(0, gap), head)) return std::nullopt;
  if (gap == std::string_view::npos) {
    if (head.size() != 16) return std::nullopt;
  } else if (!groups(text.substr(gap + 2), tail) || head.size() + tail.size() > 14) {
    return std::nullopt;
  }
  std::copy(head.begin(), head.end(), out.octets.begin());
  std::copy(tail.rbegin(), tail.rend(), out.octets.rbegin());
  return out;
}

bool IpAddress::is_loopback() const {
  if (family == Family::v4) return octets[0] == 127;
  for (std::size_t i = 0; i < 15; ++i)
    if (octets[i] != 0) return false;
  return octets[15] == 1;
}

std::string IpAddress::text() const {
  std::string out;
  if (family == Family::v4) {
    for (std::size_t i = 0; i < 4; ++i) out += (i ? "." : "") + std::to_string(octets[i]);
    return out;
  }
  auto group = [this](std::size_t i) { return static_cast<unsigned>(octets[2 * i] << 8 | octets[2 * i + 1]); };
  std::size_t best = 8, best_length = 1;  // RFC 5952: the longest run of two or more zero groups becomes "::"
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t length = 0;
    while (i + length < 8 && group(i + length) == 0) ++length;
    if (length > best_length) best = i, best_length = length;
  }
  for (std::size_t i = 0; i < 8;) {
    if (i == best) {
      out += "::";
      i += best_length;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    char digits[5];
    auto end = std::to_chars(digits, digits + 5, group(i), 16).ptr;
    out.append(digits, end);
    ++i;
  }
  return out;
}

std::string Endpoint::text() const {
  return (address.is_v6() ? "[" + address.text() + "]" : address.text()) + ":" + std::to_string(port);
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  auto address = parse_ip_address(host);
  auto port = number(text.substr(colon + 1), 65535);
  if (!address || !port) return std::nullopt;
  return Endpoint{*address, static_cast<std::uint16_t>(*port)};
}

}  // namespace sealcast
