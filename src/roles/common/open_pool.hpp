#pragma once
// Which objects are open. Who keeps thousands uses some of them at a time: an object is opened when it is first asked
// for, and closed when nobody has used it for a while or another one needs its place, the longest unused first. Knows
// names only; who opens and closes is the owner.
#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "base/time.hpp"
#include "crypto/hash.hpp"

namespace sealcast::roles {

class OpenPool {
 public:
  static constexpr Duration k_unused = std::chrono::seconds(60);
  // An object takes up to two descriptors (its data, its lock), and so it gets an eighth of those that there are twice.
  static std::size_t most_for(std::size_t descriptors) { return std::clamp<std::size_t>(descriptors / 8, 8, 512); }

  explicit OpenPool(std::size_t most) : most_(most) {}

  bool contains(const crypto::Digest& root) const { return places_.contains(root); }
  std::size_t size() const { return places_.size(); }
  std::size_t most() const { return most_; }

  // Before one more is opened: nothing to do, close this one first, or all are in use.
  enum class Room { free, after_closing, none };
  struct Decision {
    Room room;
    crypto::Digest close{};
  };
  Decision room() const {
    if (places_.size() < most_) return {Room::free, {}};
    if (unused_.empty()) return {Room::none, {}};
    return {Room::after_closing, unused_.front().root};
  }

  // Open now, or open and used again: in use until unused().
  void use(const crypto::Digest& root) {
    auto [at, fresh] = places_.try_emplace(root, std::nullopt);
    if (!at->second) return;
    unused_.erase(*at->second);
    at->second.reset();
  }
  void leave(const crypto::Digest& root, Instant now) {
    auto at = places_.find(root);
    if (at == places_.end() || at->second) return;
    unused_.push_back({root, now});
    at->second = std::prev(unused_.end());
  }
  void closed(const crypto::Digest& root) {
    auto at = places_.find(root);
    if (at == places_.end()) return;
    if (at->second) unused_.erase(*at->second);
    places_.erase(at);
  }

  // Unused for long: to be closed.
  std::vector<crypto::Digest> overdue(Instant now) const {
    std::vector<crypto::Digest> out;
    for (auto& each : unused_)
      if (now - each.since >= k_unused) out.push_back(each.root);
    return out;
  }

  template <class Visit>
  void each(Visit visit) const {
    for (auto& [root, place] : places_) visit(root);
  }

 private:
  struct Unused {
    crypto::Digest root;
    Instant since;
  };
  std::size_t most_;
  std::list<Unused> unused_;  // the longest unused first
  std::map<crypto::Digest, std::optional<std::list<Unused>::iterator>> places_;
};

}  // namespace sealcast::roles
