#include "tracking/subscriptions.hpp"

#include "base/encoding.hpp"

namespace sealcast::tracking {

Subscriptions::Added Subscriptions::add(SubscriptionKey key, PeerSubscription subscription, bool service,
                                        Instant until) {
  Added out;
  const std::pair swarm(subscription.root, subscription.subscriber);
  // A service watches one swarm for more than one reason.
  if (auto own = by_root_.find(swarm); !service && own != by_root_.end())
    for (auto& [other, binding] : own->second)
      if (binding == subscription.binding) out.replaced = other;
  if (out.replaced != 0) erase(out.replaced);
  const auto text = subscription.subscriber + " " + base64url(subscription.root);
  auto binding = subscription.binding;
  out.refusal = table_.add(key, {{subscription.subscriber, text}, service}, until, std::move(subscription));
  if (!out.refusal) by_root_[swarm].emplace(key, std::move(binding));
  return out;
}

void Subscriptions::forget(SubscriptionKey key, const PeerSubscription& subscription) {
  auto at = by_root_.find({subscription.root, subscription.subscriber});
  if (at == by_root_.end()) return;
  at->second.erase(key);
  if (at->second.empty()) by_root_.erase(at);
}

bool Subscriptions::erase(SubscriptionKey key) {
  auto gone = table_.take(key);
  if (gone) forget(key, *gone);
  return gone.has_value();
}

bool Subscriptions::has(const std::string& subscriber, const crypto::Digest& root) const {
  return by_root_.contains({root, subscriber});
}

std::vector<SubscriptionKey> Subscriptions::of(const crypto::Digest& root) const {
  std::vector<SubscriptionKey> out;
  for (auto at = by_root_.lower_bound({root, {}}); at != by_root_.end() && at->first.first == root; ++at)
    for (auto& [key, binding] : at->second) out.push_back(key);
  return out;
}

std::vector<SubscriptionKey> Subscriptions::expire(Instant now) {
  std::vector<SubscriptionKey> out;
  while (auto gone = table_.take_expired(now)) {
    forget(gone->first, gone->second);
    out.push_back(gone->first);
  }
  return out;
}

void ChangePace::changed(Instant now, const crypto::Digest& root) {
  auto& swarm = swarms_[root];
  if (swarm.waiting) return;
  swarm.waiting = true;
  const auto calm = swarm.told + 2 * swarm.pause;
  if (swarm.pause != Duration{}) quiet_.erase({calm, root});
  // Twice as long as the last time, if that was not long ago.
  const bool hasty = swarm.pause != Duration{} && now < calm;
  const auto earliest = hasty ? swarm.told + swarm.pause : now;
  swarm.pause = hasty ? std::min(swarm.pause * 2, Duration(k_longest)) : Duration(k_first);
  due_.emplace(std::max(now + k_first, earliest), root);
}

std::vector<crypto::Digest> ChangePace::take_due(Instant now) {
  std::vector<crypto::Digest> out;
  while (!due_.empty() && due_.begin()->first <= now) {
    auto root = due_.begin()->second;
    due_.erase(due_.begin());
    auto& swarm = swarms_.at(root);
    swarm.waiting = false;
    swarm.told = now;
    quiet_.emplace(now + 2 * swarm.pause, root);
    out.push_back(root);
  }
  while (!quiet_.empty() && quiet_.begin()->first <= now) {
    swarms_.erase(quiet_.begin()->second);
    quiet_.erase(quiet_.begin());
  }
  return out;
}

}  // namespace sealcast::tracking
