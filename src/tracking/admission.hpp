#pragma once
// Which swarms the membership tokens of one INVITE admit: the one gate of tracker, caches and UEs. What costs nothing
// is looked at first, and signatures only within the caller's budget: tokens are cheap to invent.
#include <functional>

#include "base/rate_budget.hpp"
#include "tracking/token.hpp"

namespace sealcast::tracking {

inline constexpr std::size_t k_most_tokens = 8;  // in one INVITE

struct Admission {
  std::vector<crypto::Digest> swarms;  // each once
  UnixSeconds expires_at = 0;          // the first of their tokens to end: a call that they admit lives no longer
  // Where there is none:
  int status = 403;        // 503: the caller's budget is spent, come back after retry_after
  int retry_after = 0;     // seconds
  bool addressed = false;  // some token was meant for us; else another device of the subscriber may be
  std::string why = "A membership token is needed";
};

class TokenGate {
 public:
  // Signatures of one caller: ordinary callers bring one for each call.
  explicit TokenGate(RateBudget::Limits limits = {120, 10}) : budget_(limits) {}

  struct Inviter {
    std::string caller;   // whose budget: the asserted identity
    std::string subject;  // what the tokens must say of him: inviter_hash(IMPU), or his pseudonym
  };
  // For what a token claims: the audience that it must have (ourselves), or why it is refused even if it is genuine
  // (unknown, not entitled). Asked before any signature is looked at.
  using Expect = std::function<Expected<std::string, std::string>(const Token& claims)>;

  Admission admit(Instant now, UnixSeconds wall, const Inviter& inviter, const std::vector<std::string>& tokens,
                  const crypto::PublicKey& tracker, const Expect& expect);
  json::Object status() const { return budget_.status(); }

 private:
  RateBudget budget_;
};

}  // namespace sealcast::tracking
