#pragma once
// The calls that the tracker relays: whose they are, how many each may have, and when they are over although nobody
// hung up. Pure: it names legs by number.
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/bounded_table.hpp"
#include "crypto/hash.hpp"

namespace sealcast::tracking {

using Leg = std::uint64_t;

struct RelayedCall {
  Leg inviter_leg = 0, callee_leg = 0;
  std::string inviter, callee;  // subscribers
  crypto::Digest root{};
  bool answered = false;
  Instant probe_at{};
  int failures[2] = {0, 0};  // of the probes in a row: inviter's leg, callee's
  Instant absent_since = k_never;
};

struct RelayLimits {
  std::size_t total = 1900;  // below what the agent's 4096 dialogs allow: two for each
  std::size_t of_inviter = 128, of_callee = 256;
  std::size_t of_pair = 16;  // what a UE takes of one caller
  Duration probe_interval = 30s, probe_again = 5s;
  int failures = 2;         // probes without an answer, one after the other, before a leg is believed gone
  Duration absence = 30s;   // neither announced nor subscribed
  Duration life = 12h;      // nobody is forbidden to call again
  Duration patience = 60s;  // until it is answered: the agents give up before
};

class RelayedCalls {
 public:
  explicit RelayedCalls(RelayLimits limits = {})
      : limits_(limits),
        calls_({limits.total,
                0,
                {{"inviter", limits.of_inviter}, {"callee", limits.of_callee}, {"pair", limits.of_pair}}}) {}

  std::optional<TableRefusal> would_refuse(const std::string& inviter, const std::string& callee) {
    return calls_.would_refuse(owners(inviter, callee));
  }
  std::optional<TableRefusal> begin(Instant now, RelayedCall call);
  void answered(Instant now, Leg leg);
  const RelayedCall* of(Leg leg) const;
  std::optional<RelayedCall> end(Leg leg);
  std::size_t size() const { return calls_.size(); }
  json::Object status() const { return calls_.status(); }

  struct Ended {
    RelayedCall call;
    std::string reason;
  };
  struct Work {
    std::vector<Leg> probe;
    std::vector<Ended> ended;  // out of the table already
  };
  // present: does this subscriber take part (announced or subscribed)? allowed: may he?
  using Ask = std::function<bool(const std::string& subscriber, const crypto::Digest& root)>;
  Work tick(Instant now, const Ask& present, const Ask& allowed);
  // The answer to a probe (0: none). A call that is over for it is given back.
  std::optional<Ended> probed(Instant now, Leg leg, int status);

 private:
  static decltype(BoundedTable<Leg, RelayedCall>::Owners{})
      owners(const std::string& inviter, const std::string& callee) {
    return {{inviter, callee, inviter + " " + callee}, false};
  }
  std::string fault(Instant now, RelayedCall& call, const Ask& present, const Ask& allowed) const;

  RelayLimits limits_;
  BoundedTable<Leg, RelayedCall> calls_;  // by the inviter's leg
  std::map<Leg, Leg> inviter_of_;         // callee's leg -> inviter's
};

}  // namespace sealcast::tracking
