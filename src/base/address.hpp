#pragma once
// IPv4 and IPv6 transport addresses without sockets.
#include <array>
#include <compare>
#include <optional>

#include "base/bytes.hpp"

namespace sealcast {

struct IpAddress {
  enum class Family : std::uint8_t { v4, v6 };
  Family family = Family::v4;
  std::array<std::uint8_t, 16> octets{};  // the first 4 count for IPv4; the rest is zero

  static IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return {Family::v4, {a, b, c, d}};
  }
  bool is_v6() const { return family == Family::v6; }
  bool is_loopback() const;
  std::string text() const;  // "192.0.2.1", "2001:db8::7"
  auto operator<=>(const IpAddress&) const = default;
};

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  std::string text() const;  // "192.0.2.1:5061", "[2001:db8::7]:5061"
  auto operator<=>(const Endpoint&) const = default;
};

struct EndpointHash {
  std::size_t operator()(const Endpoint& e) const noexcept {
    std::uint64_t h = e.port;
    for (auto octet : e.address.octets) h = (h ^ octet) * 1099511628211ULL;
    return static_cast<std::size_t>(h ^ (h >> 32));
  }
};

std::optional<IpAddress> parse_ip_address(std::string_view text);
// "host:port" or "[v6]:port", numeric only.
std::optional<Endpoint> parse_endpoint(std::string_view text);

}  // namespace sealcast
