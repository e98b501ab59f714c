#pragma once
// A table that nobody fills alone. Every entry belongs to its owners, one for each scope ("subscriber", "binding",
// "address"): each owner has a share of the table, and the total stands only behind the shares. Entries have a life.
//
// Rules, and what each is for:
// * A share is looked at before the total: who is greedy meets his own bound, not everybody's.
// * `reserved` entries of the total are for privileged owners (tracker, caches): strangers cannot shut out services.
// * What is full refuses the newcomer and keeps what it has: an attacker cannot push out the entries of others.
// * An entry lives until `until` at the latest: what nobody ends does not stay.
//
// Work for each call is O(log n); nothing is allocated for a refused entry. Single-threaded.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/json.hpp"
#include "base/time.hpp"

namespace sealcast {

struct TableScope {
  const char* name;                // for sentences and status: "subscriber"
  std::size_t most;                // entries of one owner
  bool exempts_privileged = true;  // services have no share, only the total
};

struct TableCounters {
  std::uint64_t added = 0, expired = 0, refused_share = 0, refused_total = 0;
  std::size_t peak = 0;
};

// Why an entry was not taken. `scope`: whose share is used up; nullptr: the table is full, or the key is taken.
struct TableRefusal {
  enum class Why { share, total, duplicate };
  Why why;
  const char* scope = nullptr;
};

template <class Key, class Value, class Time = Instant>
class BoundedTable {
 public:
  struct Limits {
    std::size_t total;
    std::size_t reserved = 0;  // of the total, for privileged owners
    std::vector<TableScope> scopes = {};
  };
  // Names in the order of the scopes; an empty one is not counted.
  struct Owners {
    std::vector<std::string> names;
    bool privileged = false;
  };

  explicit BoundedTable(Limits limits) : limits_(std::move(limits)), counts_(limits_.scopes.size()) {}

  // Nothing: taken. Looks at the shares before the total.
  // `weight`: what the entry takes of share and total, where entries differ in what they cost.
  std::optional<TableRefusal> add(Key key, const Owners& owners, Time until, Value value, std::size_t weight = 1) {
    if (auto refusal = would_refuse(owners, weight)) return refusal;
    const auto [at, fresh] = entries_.try_emplace(std::move(key), Entry{std::move(value), owners, until, weight});
    if (!fresh) return TableRefusal{TableRefusal::Why::duplicate};
    by_time_.emplace(until, at->first);
    count(owners, weight, true);
    ++counters_.added;
    counters_.peak = std::max(counters_.peak, entries_.size());
    return std::nullopt;
  }

  // What add() would say now, counted as refused. For callers that must know before they make the entry.
  std::optional<TableRefusal> would_refuse(const Owners& owners, std::size_t weight = 1) {
    SEALCAST_ASSERT(owners.names.size() <= counts_.size());
    for (std::size_t i = 0; i < owners.names.size(); ++i) {
      const auto& scope = limits_.scopes[i];
      if (owners.names[i].empty() || (owners.privileged && scope.exempts_privileged)) continue;
      if (count_of(i, owners.names[i]) + weight <= scope.most) continue;
      ++counters_.refused_share;
      return TableRefusal{TableRefusal::Why::share, scope.name};
    }
    const auto room = limits_.total - (owners.privileged ? 0 : std::min(limits_.reserved, limits_.total));
    if (weight_ + weight <= room) return std::nullopt;
    ++counters_.refused_total;
    return TableRefusal{TableRefusal::Why::total};
  }

  Value* find(const Key& key) {
    auto at = entries_.find(key);
    return at == entries_.end() ? nullptr : &at->second.value;
  }
  const Value* find(const Key& key) const {
    auto at = entries_.find(key);
    return at == entries_.end() ? nullptr : &at->second.value;
  }
  bool contains(const Key& key) const { return entries_.contains(key); }
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }

  // Gives a known entry another end of its life.
  void prolong(const Key& key, Time until) {
    auto at = entries_.find(key);
    if (at == entries_.end()) return;
    by_time_.erase({at->second.until, key});
    at->second.until = until;
    by_time_.emplace(until, key);
  }

  std::optional<Value> take(const Key& key) {
    auto at = entries_.find(key);
    if (at == entries_.end()) return std::nullopt;
    by_time_.erase({at->second.until, key});
    count(at->second.owners, at->second.weight, false);
    std::optional<Value> out(std::move(at->second.value));
    entries_.erase(at);
    return out;
  }
  bool erase(const Key& key) { return take(key).has_value(); }
  void clear() {
    entries_.clear();
    by_time_.clear();
    for (auto& each : counts_) each.clear();
    weight_ = 0;
  }

  // One entry whose life is over, taken out; call until there is none.
  std::optional<std::pair<Key, Value>> take_expired(Time now) {
    if (by_time_.empty() || by_time_.begin()->first > now) return std::nullopt;
    const Key key = by_time_.begin()->second;
    ++counters_.expired;
    auto value = take(key);
    return std::pair<Key, Value>(key, std::move(*value));
  }
  std::optional<Time> next_expiry() const {
    return by_time_.empty() ? std::nullopt : std::optional<Time>(by_time_.begin()->first);
  }

  std::size_t weight() const { return weight_; }
  // Entries of one owner. O(n): for what happens seldom (a subscriber was removed).
  std::vector<Key> keys_of(std::size_t scope, std::string_view owner) const {
    std::vector<Key> out;
    for (const auto& [key, entry] : entries_)
      if (scope < entry.owners.names.size() && entry.owners.names[scope] == owner) out.push_back(key);
    return out;
  }
  std::size_t count_of(std::size_t scope, const std::string& owner) const {
    auto at = counts_[scope].find(owner);
    return at == counts_[scope].end() ? 0 : at->second;
  }
  template <class Visit>
  void each(Visit visit) {
    for (auto& [key, entry] : entries_) visit(key, entry.value);
  }
  template <class Visit>
  void each(Visit visit) const {
    for (const auto& [key, entry] : entries_) visit(key, entry.value);
  }

  const TableCounters& counters() const { return counters_; }
  // For `status`: {"size":…,"most":…,"peak":…,"expired":…,"refused_share":…,"refused_total":…}.
  json::Object status() const {
    return {{"size", static_cast<std::int64_t>(entries_.size())},
            {"most", static_cast<std::int64_t>(limits_.total)},
            {"peak", static_cast<std::int64_t>(counters_.peak)},
            {"expired", static_cast<std::int64_t>(counters_.expired)},
            {"refused_share", static_cast<std::int64_t>(counters_.refused_share)},
            {"refused_total", static_cast<std::int64_t>(counters_.refused_total)}};
  }

 private:
  struct Entry {
    Value value;
    Owners owners;
    Time until;
    std::size_t weight;
  };
  void count(const Owners& owners, std::size_t weight, bool more) {
    weight_ += more ? weight : -weight;
    for (std::size_t i = 0; i < owners.names.size(); ++i) {
      if (owners.names[i].empty()) continue;
      auto& slot = counts_[i][owners.names[i]];
      slot += more ? weight : -weight;
      if (slot == 0) counts_[i].erase(owners.names[i]);
    }
  }

  Limits limits_;
  std::map<Key, Entry> entries_;
  std::set<std::pair<Time, Key>> by_time_;
  std::vector<std::map<std::string, std::size_t>> counts_;  // by scope, then owner
  std::size_t weight_ = 0;                                  // of all entries
  TableCounters counters_;
};

}  // namespace sealcast
