#include "keys/keyinfo.hpp"

#include "content/uri.hpp"

namespace sealcast::keys {
namespace {

constexpr std::size_t k_max_keyinfo = 1190;
constexpr std::string_view k_certificate = "sealcast-holder+jwt", k_information = "sealcast-keyinfo+jwt";

auto broken(const std::string& why) {
  return fail(ErrorCode::integrity, "KEYINFO: " + why);
}

bool valid_at(const json::Value& payload, UnixSeconds now) {
  return payload.int_or("iat") <= now + content::k_clock_leeway &&
         payload.int_or("exp") > now - content::k_clock_leeway;
}

}  // namespace

std::string make_holder_certificate(const std::string& uri, const crypto::PublicKey& holder, UnixSeconds now,
                                    UnixSeconds life, const crypto::PrivateKey& key_service) {
  return crypto::jws_sign(
      json::Object{{"v", 1}, {"uri", uri}, {"jwk", holder.jwk()}, {"iat", now}, {"exp", now + life}}, k_certificate,
      key_service);
}

std::string make_keyinfo(std::string_view holder_certificate, const content::Description& d, const std::string& uri,
                         UnixSeconds now, UnixSeconds life, const crypto::PrivateKey& holder) {
  json::Array whole{json::Array{0, std::int64_t{d.geometry().chunks()} - 1}};
  json::Object information{{"v", 1},
                           {"root", content::root_text(d.root)},
                           {"kid", content::key_id(*d.header)},
                           {"rng", std::move(whole)},
                           {"uri", uri},
                           {"iat", now},
                           {"exp", now + life}};
  return std::string(holder_certificate) + "~" + crypto::jws_sign(std::move(information), k_information, holder);
}

Result<KeyHolder> verify_keyinfo(std::string_view keyinfo, const content::Description& d, UnixSeconds now) {
  if (!d.header || !d.key_service) return broken("the content is not sealed");
  auto tilde = keyinfo.find('~');
  if (keyinfo.size() > k_max_keyinfo || tilde == keyinfo.npos) return broken("it is malformed");
  auto certificate = crypto::jws_verify(keyinfo.substr(0, tilde), k_certificate, *d.key_service);
  if (!certificate) return broken("holder certificate: " + std::string(crypto::text(certificate.error())));
  auto* jwk = certificate->payload.find("jwk");
  auto key = jwk ? crypto::PublicKey::from_jwk(*jwk) : std::nullopt;
  auto uri = certificate->payload.string_or("uri");
  if (certificate->payload.int_or("v") != 1 || !key || uri.empty() || uri.size() > 255)
    return broken("the holder certificate lacks what it must have");
  if (!valid_at(certificate->payload, now))
    return broken("the holder certificate is not valid now (are the clocks right?)");
  auto information = crypto::jws_verify(keyinfo.substr(tilde + 1), k_information, *key);
  if (!information) return broken("key information: " + std::string(crypto::text(information.error())));
  auto& p = information->payload;
  if (p.int_or("v") != 1 || p.string_or("root") != content::root_text(d.root) ||
      p.string_or("kid") != content::key_id(*d.header) || p.string_or("uri") != uri)
    return broken("the key information is about another content, key or holder");
  if (!valid_at(p, now)) return broken("the key information is not valid now (are the clocks right?)");
  return KeyHolder{uri, *key};
}

}  // namespace sealcast::keys
