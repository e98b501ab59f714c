#include "keys/request.hpp"

#include "base/encoding.hpp"
#include "content/uri.hpp"

namespace sealcast::keys {
namespace {

constexpr std::string_view k_enrolment = "sealcast-enrol+jwt", k_request = "sealcast-kreq+jwt",
                           k_answer = "sealcast-krsp+jwt";
constexpr std::size_t k_longest_body = 8192;
constexpr UnixSeconds k_enrolment_age = 300;

auto broken(const std::string& why) {
  return fail(ErrorCode::integrity, "key answer: " + why);
}

// A time from outside may be any 64-bit number: nothing is computed with it.
bool is_near(UnixSeconds time, UnixSeconds now, UnixSeconds leeway) {
  return time >= now - leeway && time <= now + leeway;
}

// The key of the one content that was asked for, out of the decrypted document.
Result<content::ContentKey> key_of(const SecretBytes& plaintext, const content::Description& d) {
  auto document = json::parse(string_of(plaintext.expose()));
  auto* keys = document ? document->find("keys") : nullptr;
  if (!keys || !keys->as_array() || keys->as_array()->size() > 3) return broken("it holds no keys");
  for (auto& each : *keys->as_array()) {
    if (each.string_or("kid") != content::key_id(*d.header)) continue;
    auto octets = parse_base64url(each.string_or("k"));
    if (!octets || octets->size() != 16) break;
    content::ContentKey key(std::span<const std::uint8_t, 16>(octets->data(), 16));
    wipe(*octets);
    if (!content::commits_to(*d.header, key)) return broken("the key does not fit the content's commitment");
    return key;
  }
  return broken("it holds no key for this content");
}

}  // namespace

std::optional<std::string> jws_of_body(std::string_view body) {
  if (body.size() > k_longest_body) return std::nullopt;
  auto document = json::parse(body);
  auto* jws = document ? document->find("jws") : nullptr;
  if (!jws || !jws->as_string()) return std::nullopt;
  return *jws->as_string();
}

std::string make_enrolment(const std::string& subscriber, UnixSeconds now, const crypto::PrivateKey& device) {
  return crypto::jws_sign(json::Object{{"v", 1}, {"sub", subscriber}, {"iat", now}}, k_enrolment, device, true);
}

Result<std::string> verify_enrolment(std::string_view jws, const std::string& subscriber, UnixSeconds now) {
  auto verified = crypto::jws_verify_embedded(jws, k_enrolment);
  if (!verified) return fail(ErrorCode::authentication, "device key: " + std::string(crypto::text(verified.error())));
  if (verified->payload.int_or("v") != 1 || verified->payload.string_or("sub") != subscriber)
    return fail(ErrorCode::authentication, "device key: it is for another subscriber");
  if (!is_near(verified->payload.int_or("iat"), now, k_enrolment_age))
    return fail(ErrorCode::authentication, "device key: the proof is not fresh (are the clocks right?)");
  return verified->header.kid;
}

PendingRequest make_request(const content::Description& d, const std::string& subscriber, const KeyHolder& holder,
                            UnixSeconds now, const crypto::PrivateKey& device, RandomSource& random) {
  std::array<std::uint8_t, 16> id;
  random.fill(id);
  auto ephemeral = crypto::PrivateKey::generate(random);
  auto rid = base64url(id);
  json::Array whole{json::Array{0, std::int64_t{d.geometry().chunks()} - 1}};
  json::Object payload{{"v", 1},
                       {"rid", rid},
                       {"cid", d.content_id},
                       {"root", content::root_text(d.root)},
                       {"kid", json::Array{content::key_id(*d.header)}},
                       {"rng", std::move(whole)},
                       {"sub", subscriber},
                       {"aud", holder.uri},
                       {"iat", now},
                       {"epk", ephemeral.public_key().jwk()}};
  auto jws = crypto::jws_sign(std::move(payload), k_request, device, true);
  auto body = json::Value(json::Object{{"jws", jws}}).text();
  return {std::move(body), rid, std::move(jws), std::move(ephemeral), holder};
}

Bytes apu_of(const crypto::PublicKey& holder) {
  return parse_base64url(holder.thumbprint()).value();
}

std::string rid_of_answer(std::string_view body) {
  auto jws = jws_of_body(body);
  auto peeked = jws ? crypto::jws_peek(*jws) : unexpected(crypto::JoseError::malformed);
  return peeked && peeked->header.typ == k_answer ? peeked->payload.string_or("rid") : std::string();
}

Result<KeyAnswer> check_answer(std::string_view body, const PendingRequest& pending, const content::Description& d,
                               const std::string& subscriber, UnixSeconds now) {
  auto jws = jws_of_body(body);
  if (!jws) return broken("it is malformed");
  auto verified = crypto::jws_verify(*jws, k_answer, pending.holder.key);
  if (!verified) return broken(std::string(crypto::text(verified.error())));
  auto& p = verified->payload;
  auto apv = crypto::sha256(view_of(pending.jws));
  if (p.int_or("v") != 1 || p.string_or("rid") != pending.rid || p.string_or("apv") != base64url(apv))
    return broken("it belongs to another request");
  if (p.string_or("iss") != pending.holder.uri || p.string_or("sub") != subscriber)
    return broken("it is from or for somebody else");
  if (p.string_or("cid") != d.content_id || p.string_or("root") != content::root_text(d.root))
    return broken("it is about another content");
  if (!is_near(p.int_or("iat"), now, content::k_clock_leeway)) return broken("it is not fresh (are the clocks right?)");
  KeyAnswer out;
  out.status = static_cast<int>(p.int_or("st"));
  out.retry_after = static_cast<int>(p.int_or("ra"));
  if (out.status != 200) return out;
  auto plaintext = crypto::jwe_decrypt(p.string_or("jwe"), pending.ephemeral, apu_of(pending.holder.key), apv);
  if (!plaintext) return broken(std::string(crypto::text(plaintext.error())));
  SEALCAST_TRY_ASSIGN(out.key, key_of(*plaintext, d));
  return out;
}

}  // namespace sealcast::keys
