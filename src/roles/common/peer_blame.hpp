#pragma once
// Who was found lying, by pseudonym and by media address, and how long it is not called: longer each time. Bounded; a
// peer that leaves the list or comes back under its name is remembered all the same.
#include <string>

#include "base/bounded_table.hpp"

namespace sealcast::roles {

class PeerBlame {
 public:
  PeerBlame() : known_({k_most, 0, {}}) {}
  void blame(Instant now, const std::string& who) {
    forget(now);
    if (!known_.contains(who) && known_.add(who, {}, now + k_memory, {})) return;  // full: it keeps what it has
    auto& entry = *known_.find(who);
    entry.until = now + k_first_pause * (1 << std::min(2 * entry.times++, 14));
    entry.until = std::min(entry.until, now + k_longest_pause);
    known_.prolong(who, entry.until + k_memory);
  }
  // When it may be called again; the epoch when it may at once.
  Instant free_at(Instant now, const std::string& who) {
    forget(now);
    auto* entry = known_.find(who);
    return entry && entry->until > now ? entry->until : Instant{};
  }
  std::size_t size() const { return known_.size(); }

  static constexpr Duration k_first_pause = 30s, k_longest_pause = 3600s, k_memory = 3600s;
  static constexpr std::size_t k_most = 512;

 private:
  struct Entry {
    int times = 0;
    Instant until{};
  };
  void forget(Instant now) {
    while (known_.take_expired(now)) {
    }
  }
  BoundedTable<std::string, Entry> known_;
};

}  // namespace sealcast::roles
