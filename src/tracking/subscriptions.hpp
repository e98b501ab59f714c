#pragma once
// Who wants to be told about which swarm, and when: one subscription for each swarm and binding, shares for each
// subscriber, and changes that are gathered. Pure.
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/bounded_table.hpp"
#include "crypto/hash.hpp"

namespace sealcast::tracking {

using SubscriptionKey = std::uint64_t;

struct PeerSubscription {
  crypto::Digest root{};
  std::string subscriber;
  std::string binding;  // user part of Contact
};

struct SubscriptionLimits {
  std::size_t total = 60000, reserved = 10000;  // the agent takes 65,536
  std::size_t of_one = 1024;
  std::size_t of_one_to_one = 16;  // as many as a subscriber has bindings
};

class Subscriptions {
 public:
  explicit Subscriptions(SubscriptionLimits limits = {})
      : table_({limits.total, limits.reserved, {{"subscriber", limits.of_one}, {"swarm", limits.of_one_to_one}}}) {}

  struct Added {
    std::optional<TableRefusal> refusal;
    SubscriptionKey replaced = 0;  // the earlier one of the same binding to the same swarm: it is over
  };
  Added add(SubscriptionKey key, PeerSubscription subscription, bool service, Instant until);
  void prolong(SubscriptionKey key, Instant until) { table_.prolong(key, until); }
  const PeerSubscription* find(SubscriptionKey key) const { return table_.find(key); }
  bool erase(SubscriptionKey key);
  bool has(const std::string& subscriber, const crypto::Digest& root) const;
  std::vector<SubscriptionKey> of(const crypto::Digest& root) const;
  std::size_t size() const { return table_.size(); }
  // Those whose end nobody told us about.
  std::vector<SubscriptionKey> expire(Instant now);
  json::Object status() const { return table_.status(); }

 private:
  void forget(SubscriptionKey key, const PeerSubscription& subscription);
  BoundedTable<SubscriptionKey, PeerSubscription> table_;
  std::map<std::pair<crypto::Digest, std::string>, std::map<SubscriptionKey, std::string>> by_root_;  // -> binding
};

// Changes of a swarm are told together, and the rarer the more there are: whoever joins and leaves without end makes
// no NOTIFY for each step. What is to be told goes out in small portions.
class ChangePace {
 public:
  static constexpr Duration k_first = 250ms, k_longest = 8s;
  void changed(Instant now, const crypto::Digest& root);
  std::vector<crypto::Digest> take_due(Instant now);
  Instant next() const { return due_.empty() ? k_never : due_.begin()->first; }
  std::size_t size() const { return swarms_.size(); }

 private:
  struct Swarm {
    Instant told{};
    Duration pause{};  // before the next time
    bool waiting = false;
  };
  std::map<crypto::Digest, Swarm> swarms_;
  std::set<std::pair<Instant, crypto::Digest>> due_, quiet_;  // quiet_: when a swarm may be forgotten
};

}  // namespace sealcast::tracking
