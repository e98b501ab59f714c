#include "sdp/crypto_attribute.hpp"

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "sdp/words.hpp"

namespace sealcast::sdp {
namespace {

tl::unexpected<Refusal> refuse(const char* rule, std::string sentence) {
  return unexpected(Refusal{rule, std::move(sentence)});
}

std::optional<std::uint64_t> parse_lifetime(std::string_view text) {
  if (text.starts_with("2^")) {
    auto exponent = number(text.substr(2), 48);
    return exponent ? std::optional(std::uint64_t{1} << *exponent) : std::nullopt;
  }
  return number(text, std::uint64_t{1} << 48);
}

// "inline:<key||salt>[|lifetime][|MKI:length]"
Expected<bool, Refusal> parse_key(std::string_view text, CryptoLine& into) {
  constexpr std::string_view method = "inline:";
  if (!text.starts_with(method))
    return refuse("unsupported-parameter",
                  "a=crypto:" + std::to_string(into.tag) + " has a key method other than inline");
  if (text.find(';') != text.npos)
    return refuse("unsupported-parameter", "a=crypto:" + std::to_string(into.tag) + " has several keys");
  auto parts = split(text.substr(method.size()), '|');
  auto octets = parse_base64(parts[0]);
  auto shape = rtp::sizes(into.key.suite);
  if (!octets || octets->size() != shape.key + shape.salt)
    return refuse("no-common-suite", "the key of a=crypto:" + std::to_string(into.tag) + " is not " +
                                         std::to_string(shape.key + shape.salt) + " octets in base64");
  into.key.key_and_salt = SecretBytes(*octets);
  wipe(*octets);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].find(':') != parts[i].npos)
      return refuse("unsupported-parameter", "a=crypto:" + std::to_string(into.tag) + " asks for an MKI");
    auto lifetime = parse_lifetime(parts[i]);
    if (!lifetime || *lifetime == 0)
      return refuse("unsupported-parameter",
                    "the lifetime of a=crypto:" + std::to_string(into.tag) + " cannot be read");
    into.lifetime = *lifetime;
  }
  return true;
}

// Session parameters: WSH is declarative; what begins with "-" may be ignored; everything else would change the
// transform.
Expected<bool, Refusal> parse_parameter(std::string_view text, CryptoLine& into) {
  if (text.starts_with("WSH=")) {
    auto window = number(text.substr(4), 1u << 20);
    if (!window || *window < 64)
      return refuse("unsupported-parameter",
                    "WSH of a=crypto:" + std::to_string(into.tag) + " is not a number of at least 64");
    into.window = static_cast<std::uint32_t>(*window);
    return true;
  }
  if (text == "KDR=0" || text.starts_with("-")) return true;
  return refuse("unsupported-parameter", "a=crypto:" + std::to_string(into.tag) + " asks for " + printable(text, 60));
}

}  // namespace

Expected<CryptoLine, Refusal> parse_crypto(std::string_view value) {
  auto parts = words(value);
  if (parts.size() < 3) return refuse("unsupported-parameter", "an a=crypto line has less than tag, suite and key");
  CryptoLine out;
  auto tag = number(parts[0], 999999999);
  if (!tag || (parts[0].size() > 1 && parts[0][0] == '0'))
    return refuse("unsupported-parameter", "the tag of an a=crypto line is no number");
  out.tag = static_cast<std::uint32_t>(*tag);
  auto suite = rtp::parse_crypto_suite(parts[1]);
  if (!suite)
    return refuse("no-common-suite", "a=crypto:" + std::to_string(out.tag) + " names the suite " +
                                         printable(parts[1], 60) + ", which is not spoken here");
  out.key.suite = *suite;
  if (auto key = parse_key(parts[2], out); !key) return unexpected(key.error());
  for (std::size_t i = 3; i < parts.size(); ++i)
    if (auto parameter = parse_parameter(parts[i], out); !parameter) return unexpected(parameter.error());
  return out;
}

std::string write_crypto(const CryptoLine& line) {
  std::string lifetime = std::to_string(line.lifetime);
  for (int exponent = 0; exponent <= 48; ++exponent)
    if (line.lifetime == std::uint64_t{1} << exponent) lifetime = "2^" + std::to_string(exponent);
  return "a=crypto:" + std::to_string(line.tag) + " " + std::string(rtp::name(line.key.suite)) +
         " inline:" + base64(line.key.key_and_salt.expose()) + "|" + lifetime + " WSH=" + std::to_string(line.window);
}

}  // namespace sealcast::sdp
