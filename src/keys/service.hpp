#pragma once
// The key holder: decides about key requests. Pure: what is known about contents comes through KeyLookup, time is an
// argument.
#include <deque>
#include <optional>
#include <unordered_map>

#include "base/rate_budget.hpp"
#include "keys/request.hpp"

namespace sealcast::keys {

// What the holder knows about one content.
struct KeyRecord {
  content::Description description;
  std::optional<content::ContentKey> key;  // empty: it has not come yet
  UnixSeconds not_before = 0;              // released from then on
  bool entitled = false;                   // the subscriber that asks
};
class KeyLookup {
 public:
  virtual ~KeyLookup() = default;
  // nullopt: unknown content. An error says nothing about the request: nobody can know at the moment.
  virtual Result<std::optional<KeyRecord>> find(const crypto::Digest& root, const std::string& subscriber) = 0;
};

// One line of the audit log: who asked for what, and what was decided.
struct AuditRecord {
  UnixSeconds time = 0;
  std::string subscriber, root, request;  // request: rid
  int status = 0;
  std::string reason;
};

struct KeyDecision {
  std::string answer;  // body of the MESSAGE that goes back; empty: the request deserves none (reason in audit)
  AuditRecord audit;
  // false: a repetition that the log has already, or beyond the subscriber's rate with nothing released: the log must
  // not grow at an attacker's speed.
  bool for_the_log = true;
  bool not_fresh = false;  // it is the clocks: nothing was said of who may have the key
  bool undecided = false;  // status 503: the store is not there for the moment, the same request again is welcome
};

class KeyService {
 public:
  KeyService(std::string uri, crypto::PrivateKey holder, RandomSource& random);
  // asserted: P-Asserted-Identity from the trusted side; device: thumbprint asserted with it. Checks in the order of
  // docs/protocol.md section 7. now: what rates and memory are counted in, whatever becomes of the wall clock; wall:
  // what requests, descriptions and answers are dated by.
  KeyDecision decide(Instant now, UnixSeconds wall, const std::string& asserted, const std::string& device,
                     std::string_view body, KeyLookup& lookup);
  // This decision could not be logged: it was never made, and the same request is decided anew.
  void take_back(const KeyDecision& decision);

 private:
  struct Parsed;
  struct Remembered {
    Instant at;
    UnixSeconds issued_at;
    crypto::Digest request;
    std::string answer;
    int status;
    std::string reason;
    bool repeated = false;  // and the log has it
  };
  std::string check_before_signature(UnixSeconds wall, const std::string& asserted, const json::Value& payload) const;
  void forget(Instant now, UnixSeconds wall);
  KeyDecision decide_at_rate(Instant now, UnixSeconds wall, bool limited, const std::string& asserted,
                             const std::string& device, std::string_view body, KeyLookup& lookup);
  KeyDecision answer(UnixSeconds wall, const crypto::Jws& request, std::string_view jws, KeyLookup& lookup);
  std::string sign(json::Object payload);

  std::string uri_;
  crypto::PrivateKey holder_;
  RandomSource& random_;
  std::unordered_map<std::string, Remembered> seen_;  // by subscriber and rid, 600 s, bounded
  std::deque<std::string> seen_order_;
  RateBudget budget_;
};

}  // namespace sealcast::keys
