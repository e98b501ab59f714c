#include "keys/service.hpp"

#include <algorithm>
#include <utility>

#include "base/encoding.hpp"
#include "content/uri.hpp"

namespace sealcast::keys {
namespace {

constexpr std::size_t k_most_seen = 100000;
constexpr std::size_t k_most_cid = 64;  // octets that a refusal gives back of what nobody signed
constexpr Duration k_seen_life = 600s, k_answer_life = 60s;
constexpr UnixSeconds k_answer_validity = 86400;
constexpr RateBudget::Limits k_rate{20, 5.0 / 60};
constexpr std::string_view k_not_fresh = "the request is not fresh (are the clocks right?)";

KeyDecision silent(AuditRecord audit, int status, std::string reason) {
  audit.status = status;
  audit.reason = std::move(reason);
  return {{}, std::move(audit)};
}

// The key ids that the request names; the content's must be among them.
bool names_key(const json::Value& payload, const std::string& id) {
  auto* kid = payload.find("kid");
  if (!kid || !kid->as_array() || kid->as_array()->size() > 8) return false;
  return std::any_of(kid->as_array()->begin(), kid->as_array()->end(),
                     [&](auto& each) { return each.as_string() && *each.as_string() == id; });
}

std::pair<int, std::string> verdict(const std::optional<KeyRecord>& record, const json::Value& payload,
                                    UnixSeconds now) {
  if (!record || payload.string_or("cid") != record->description.content_id || !record->description.header ||
      !names_key(payload, content::key_id(*record->description.header)))
    return {404, "unknown content or key"};
  if (!record->entitled) return {403, "not entitled"};
  if (record->description.expires_at <= now) return {410, "the description has expired"};
  if (!record->key) return {425, "the key has not reached this holder"};
  if (record->not_before > now) return {425, "the release window has not begun"};
  return {200, "released"};
}

}  // namespace

KeyService::KeyService(std::string uri, crypto::PrivateKey holder, RandomSource& random)
    : uri_(std::move(uri)), holder_(std::move(holder)), random_(random), budget_(k_rate) {}

std::string KeyService::sign(json::Object payload) {
  auto jws = crypto::jws_sign(std::move(payload), "sealcast-krsp+jwt", holder_);
  return json::Value(json::Object{{"jws", jws}}).text();
}

std::string KeyService::check_before_signature(UnixSeconds wall, const std::string& asserted,
                                               const json::Value& payload) const {
  if (asserted.empty()) return "no identity was asserted by the core";
  if (payload.int_or("v") != 1 || payload.string_or("sub") != asserted)
    return "the request is not from the asserted identity";
  if (payload.string_or("aud") != uri_) return "the request is for another holder";
  auto iat = payload.int_or("iat");
  if (iat > wall + content::k_clock_leeway || iat < wall - content::k_clock_leeway) return std::string(k_not_fresh);
  auto rid = parse_base64url(payload.string_or("rid"));
  if (!rid || rid->size() != 16) return "the request has no id";
  return {};
}

// A request is a replay as long as it looks fresh: a wall clock that was set back must not make room for it.
void KeyService::forget(Instant now, UnixSeconds wall) {
  while (!seen_order_.empty()) {
    auto at = seen_.find(seen_order_.front());
    if (at != seen_.end() && seen_order_.size() <= k_most_seen &&
        (at->second.at + k_seen_life > now || at->second.issued_at + content::k_clock_leeway >= wall))
      return;
    if (at != seen_.end()) seen_.erase(at);
    seen_order_.pop_front();
  }
}

KeyDecision KeyService::decide(Instant now, UnixSeconds wall, const std::string& asserted, const std::string& device,
                               std::string_view body, KeyLookup& lookup) {
  bool limited = !budget_.take(now, asserted);
  auto out = decide_at_rate(now, wall, limited, asserted, device, body, lookup);
  out.for_the_log = out.for_the_log && (!limited || out.audit.status == 200);
  return out;
}

void KeyService::take_back(const KeyDecision& decision) {
  seen_.erase(decision.audit.subscriber + " " + decision.audit.request);
}

KeyDecision KeyService::decide_at_rate(Instant now, UnixSeconds wall, bool limited, const std::string& asserted,
                                       const std::string& device, std::string_view body, KeyLookup& lookup) {
  AuditRecord audit{wall, asserted, {}, {}, 0, {}};
  auto jws = jws_of_body(body);
  auto peeked = jws ? crypto::jws_peek(*jws) : unexpected(crypto::JoseError::malformed);
  if (!peeked || peeked->header.typ != "sealcast-kreq+jwt") return silent(std::move(audit), 400, "malformed request");
  audit.root = peeked->payload.string_or("root").substr(0, 43);
  audit.request = peeked->payload.string_or("rid").substr(0, 22);
  if (auto why = check_before_signature(wall, asserted, peeked->payload); !why.empty()) {
    auto out = silent(std::move(audit), 403, why);
    out.not_fresh = why == k_not_fresh;
    return out;
  }
  forget(now, wall);
  auto name = asserted + " " + audit.request;
  auto digest = crypto::sha256(view_of(*jws));
  if (auto known = seen_.find(name); known != seen_.end()) {
    if (known->second.request == digest && known->second.at + k_answer_life > now) {
      audit.status = known->second.status;
      audit.reason = "repeated, same answer: " + known->second.reason;
      return {known->second.answer, std::move(audit), !std::exchange(known->second.repeated, true)};
    }
    return silent(std::move(audit), 403, "replayed request id");
  }
  // Neither of these is remembered: asked again in a better way, or at a better time, it is decided.
  auto refuse = [&](int status, std::string reason, json::Object more) -> KeyDecision {
    json::Object payload{{"v", 1},
                         {"rid", audit.request},
                         {"cid", peeked->payload.string_or("cid").substr(0, k_most_cid)},
                         {"root", audit.root},
                         {"st", status},
                         {"iss", uri_},
                         {"sub", asserted},
                         {"iat", wall},
                         {"exp", wall},
                         {"apv", base64url(digest)}};
    payload.merge(more);
    audit.status = status;
    audit.reason = std::move(reason);
    return {sign(std::move(payload)), audit};
  };
  auto not_signed = [&](std::string reason) {
    // An answer costs a signature of ours: beyond the rate there is none.
    return limited ? silent(std::move(audit), 498, std::move(reason)) : refuse(498, std::move(reason), {});
  };
  if (device.empty() || peeked->header.kid != device)
    return not_signed("the signing key is not the one enrolled for this subscriber");
  auto verified = crypto::jws_verify_embedded(*jws, "sealcast-kreq+jwt");
  if (!verified) return not_signed(std::string(crypto::text(verified.error())));
  if (limited) return refuse(429, "too many requests", {{"ra", 12}});
  auto out = answer(wall, *verified, *jws, lookup);
  if (out.undecided) return out;
  seen_[name] = {now, peeked->payload.int_or("iat"), digest, out.answer, out.audit.status, out.audit.reason};
  seen_order_.push_back(name);
  return out;
}

KeyDecision KeyService::answer(UnixSeconds wall, const crypto::Jws& request, std::string_view jws, KeyLookup& lookup) {
  auto& p = request.payload;
  auto subscriber = p.string_or("sub");
  AuditRecord audit{wall, subscriber, p.string_or("root"), p.string_or("rid"), 0, {}};
  auto* epk = p.find("epk");
  auto recipient = epk ? crypto::PublicKey::from_jwk(*epk) : std::nullopt;
  if (!recipient) return silent(std::move(audit), 400, "the ephemeral key is not on the curve");
  auto root = content::parse_root(p.string_or("root"));
  std::optional<KeyRecord> record;
  if (root) {
    auto found = lookup.find(*root, subscriber);
    if (!found) {
      auto out = silent(std::move(audit), 503, "nobody can know at the moment");
      out.for_the_log = false;
      out.undecided = true;
      return out;
    }
    record = std::move(*found);
  }
  auto [status, reason] = verdict(record, p, wall);
  auto apv = crypto::sha256(view_of(jws));
  json::Object payload{{"v", 1},
                       {"rid", audit.request},
                       {"cid", p.string_or("cid")},
                       {"root", audit.root},
                       {"st", status},
                       {"iss", uri_},
                       {"sub", subscriber},
                       {"iat", wall},
                       {"exp", wall + k_answer_validity},
                       {"apv", base64url(apv)}};
  if (status == 200) {
    json::Object key{{"kid", content::key_id(*record->description.header)},
                     {"k", base64url(record->key->expose())},
                     {"from", 0},
                     {"to", 0}};
    auto plaintext = json::Value(json::Object{{"keys", json::Array{std::move(key)}}}).text();
    payload["jwe"] = crypto::jwe_encrypt(view_of(plaintext), *recipient, apu_of(holder_.public_key()), apv, random_);
    wipe({reinterpret_cast<std::uint8_t*>(plaintext.data()), plaintext.size()});
  }
  audit.status = status;
  audit.reason = reason;
  return {sign(std::move(payload)), std::move(audit)};
}

}  // namespace sealcast::keys
