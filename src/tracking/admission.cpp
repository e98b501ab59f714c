#include "tracking/admission.hpp"

#include <algorithm>

namespace sealcast::tracking {

Admission TokenGate::admit(Instant now, UnixSeconds wall, const Inviter& inviter,
                           const std::vector<std::string>& tokens, const crypto::PublicKey& tracker,
                           const Expect& expect) {
  Admission out;
  if (tokens.size() > k_most_tokens) {
    out.why = "More than 8 membership tokens";
    return out;
  }
  const auto signer = tracker.thumbprint();
  for (auto& jws : tokens) {
    auto claims = claims_of(jws, signer, inviter.subject, wall);
    if (!claims) {
      out.why = claims.error().message;
      continue;
    }
    if (std::find(out.swarms.begin(), out.swarms.end(), claims->root) != out.swarms.end()) continue;
    auto audience = expect(*claims);
    if (!audience || audience->empty() || *audience != claims->audience) {
      out.why = audience ? "membership token: it is for another party" : audience.error();
      continue;
    }
    out.addressed = true;
    if (!budget_.take(now, inviter.caller)) {
      if (out.swarms.empty()) out.status = 503, out.retry_after = budget_.wait(now, inviter.caller);
      out.why = "Too many membership tokens: come back later";
      return out;
    }
    auto token = verify_token(jws, tracker, inviter.subject, *audience, wall);
    if (token && token->root == claims->root) {
      out.expires_at = out.swarms.empty() ? token->expires_at : std::min(out.expires_at, token->expires_at);
      out.swarms.push_back(token->root);
    } else {
      out.why = token ? "membership token: it is malformed" : token.error().message;
    }
  }
  return out;
}

}  // namespace sealcast::tracking
