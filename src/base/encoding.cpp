#include "base/encoding.hpp"

namespace sealcast {
namespace {

constexpr char k_standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char k_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(ByteView octets, const char* alphabet) {
  std::string out;
  out.reserve((octets.size() * 4 + 2) / 3);
  unsigned buffer = 0;
  int bits = 0;
  for (auto octet : octets) {
    buffer = (buffer << 8 | octet) & 0xffffU;
    for (bits += 8; bits >= 6; bits -= 6) out.push_back(alphabet[buffer >> (bits - 6) & 63U]);
  }
  if (bits > 0) out.push_back(alphabet[buffer << (6 - bits) & 63U]);
  return out;
}

int value_of(char c, const char* alphabet) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == alphabet[62]) return 62;
  if (c == alphabet[63]) return 63;
  return -1;
}

std::optional<Bytes> decode(std::string_view text, const char* alphabet) {
  std::size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  if (text.size() % 4 == 1 || (padding != 0 && (text.size() + padding) % 4 != 0)) return std::nullopt;
  Bytes out;
  out.reserve(text.size() * 3 / 4);
  unsigned buffer = 0;
  int bits = 0;
  for (char c : text) {
    int value = value_of(c, alphabet);
    if (value < 0) return std::nullopt;
    buffer = (buffer << 6 | static_cast<unsigned>(value)) & 0xffffU;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<std::uint8_t>(buffer >> bits & 0xffU));
    }
  }
  if ((buffer & ((1U << bits) - 1U)) != 0) return std::nullopt;
  return out;
}

}  // namespace

std::string base64url(ByteView octets) {
  return encode(octets, k_url);
}

std::string base64(ByteView octets) {
  auto out = encode(octets, k_standard);
  while (out.size() % 4 != 0) out.push_back('=');
  return out;
}

std::string hex(ByteView octets) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(octets.size() * 2);
  for (auto octet : octets) {
    out.push_back(digits[octet >> 4]);
    out.push_back(digits[octet & 15]);
  }
  return out;
}

std::optional<Bytes> parse_base64url(std::string_view text) {
  return decode(text, k_url);
}
std::optional<Bytes> parse_base64(std::string_view text) {
  return decode(text, k_standard);
}

std::optional<Bytes> parse_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  auto nibble = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  Bytes out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int high = nibble(text[i]), low = nibble(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

}  // namespace sealcast
