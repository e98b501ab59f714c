#include "tracking/token.hpp"

#include "base/encoding.hpp"
#include "content/uri.hpp"

namespace sealcast::tracking {
namespace {

constexpr std::string_view k_type = "sealcast-token+jwt";
constexpr UnixSeconds k_leeway = 30;     // of a tracker whose clock is ahead; the end of a token is its end
constexpr std::size_t k_longest = 2048;  // two URIs of 255 octets, base64url twice, and the signature

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(ErrorCode::not_entitled, "membership token: " + why);
}

Result<Token> checked(const json::Value& p, const std::string& subject, UnixSeconds now) {
  auto root = content::parse_root(p.string_or("root"));
  Token out{root.value_or(crypto::Digest{}), p.string_or("sub"), p.string_or("aud"), p.int_or("iat"), p.int_or("exp")};
  if (p.int_or("v") != 1 || !root) return refuse("it is malformed");
  if (out.subject != subject) return refuse("it is for another inviter");
  // No subtraction from what a stranger wrote: it may be the least integer there is.
  if (out.expires_at <= now || out.issued_at > now + k_leeway)
    return refuse("it has expired or is not valid yet (are the clocks right?)");
  return out;
}

}  // namespace

std::string inviter_hash(const std::string& subscriber) {
  std::string input = "sealcast-inviter";
  input += '\0';
  return base64url(crypto::sha256(view_of(input + subscriber)));
}

std::string make_token(const Token& t, const crypto::PrivateKey& tracker) {
  return crypto::jws_sign(json::Object{{"v", 1},
                                       {"root", content::root_text(t.root)},
                                       {"sub", t.subject},
                                       {"aud", t.audience},
                                       {"iat", t.issued_at},
                                       {"exp", t.expires_at}},
                          k_type, tracker);
}

Result<Token> claims_of(std::string_view jws, const std::string& tracker_thumbprint, const std::string& subject,
                        UnixSeconds now) {
  if (jws.size() > k_longest) return refuse("it is too long");
  auto peeked = crypto::jws_peek(jws);
  if (!peeked) return refuse(std::string(crypto::text(peeked.error())));
  if (peeked->header.typ != k_type || peeked->header.kid != tracker_thumbprint)
    return refuse("it is of another tracker");
  return checked(peeked->payload, subject, now);
}

Result<Token> verify_token(std::string_view jws, const crypto::PublicKey& tracker, const std::string& subject,
                           const std::string& audience, UnixSeconds now) {
  if (jws.size() > k_longest) return refuse("it is too long");
  auto verified = crypto::jws_verify(jws, k_type, tracker);
  if (!verified) return refuse(std::string(crypto::text(verified.error())));
  SEALCAST_TRY_ASSIGN(auto out, checked(verified->payload, subject, now));
  if (out.audience != audience) return refuse("it is for another party");
  return out;
}

}  // namespace sealcast::tracking
