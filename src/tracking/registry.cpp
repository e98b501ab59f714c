#include "tracking/registry.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/encoding.hpp"

namespace sealcast::tracking {
namespace {

constexpr UnixSeconds k_pseudonym_life = 3600;
constexpr std::size_t k_most_pseudonyms = 1000000;

// Keys of announcers_ are "<publisher> <instance>".
std::string publisher_of(const std::string& key) {
  return key.substr(0, key.find(' '));
}

}  // namespace

Registry::Registry(RegistryOptions options, RandomSource& random) : options_(std::move(options)), random_(random) {}

std::string Registry::random_text() {
  std::array<std::uint8_t, 16> octets;
  random_.fill(octets);
  return base64url(octets);
}

void Registry::link(const std::string& key, const Announcer& announcer) {
  for (auto& swarm : announcer.announcement.swarms) {
    auto [at, added] = members_[swarm.root].try_emplace(key, swarm.state);
    if (added || at->second != swarm.state) changed_.insert(swarm.root);
    at->second = swarm.state;
  }
}

void Registry::unlink(const std::string& key, const Announcer& announcer) {
  for (auto& swarm : announcer.announcement.swarms) {
    auto members = members_.find(swarm.root);
    if (members == members_.end()) continue;
    if (members->second.erase(key) > 0) changed_.insert(swarm.root);
    if (members->second.empty()) members_.erase(members);
  }
}

Registry::Published Registry::publish(UnixSeconds now, const std::string& publisher, bool is_cache,
                                      const std::string& etag, int expires, std::optional<Announcement> announcement) {
  auto key = publisher + " " + random_text();
  if (!etag.empty()) {
    auto known = by_etag_.find(etag);
    if (known == by_etag_.end() || publisher_of(known->second) != publisher) return {412, {}};
    key = known->second;
  } else if (!announcement) {
    return {412, {}};
  }
  if (announcement && !is_cache && announcement->swarms.size() > options_.max_swarms_per_ue) return {413, {}};
  if (!announcers_.contains(key)) {
    std::size_t own = 0;
    for (auto at = announcers_.lower_bound(publisher + " ");
         at != announcers_.end() && publisher_of(at->first) == publisher; ++at)
      ++own;
    if (announcers_.size() >= options_.max_announcers || (!is_cache && own >= options_.max_announcements_per_ue))
      return {413, {}};
  }
  by_etag_.erase(etag);
  auto& announcer = announcers_[key];
  if (expires == 0) {
    unlink(key, announcer);
    announcers_.erase(key);
    return {200, etag};
  }
  if (announcement) {
    // What is announced no longer leaves; what stays must not be taken for a change.
    Announcer gone;
    for (auto& old : announcer.announcement.swarms)
      if (std::none_of(announcement->swarms.begin(), announcement->swarms.end(),
                       [&](auto& s) { return s.root == old.root; }))
        gone.announcement.swarms.push_back(old);
    unlink(key, gone);
    announcer.announcement = std::move(*announcement);
  }
  announcer.is_cache = is_cache;
  announcer.expires_at = now + expires;
  announcer.etag = random_text();
  by_etag_[announcer.etag] = key;
  link(key, announcer);
  return {200, announcer.etag};
}

PeerList Registry::list(UnixSeconds now, const crypto::Digest& root, const std::string& subscriber, bool is_cache,
                        const crypto::PrivateKey& tracker) {
  PeerList out;
  out.root = root;
  out.own_pseudonym = pseudonym(now, subscriber, root);
  auto members = members_.find(root);
  if (members == members_.end()) return out;
  std::map<std::string, ListedPeer> caches, others;  // by URI: one entry for each, however many times it announces
  for (auto& [key, state] : members->second) {
    auto publisher = publisher_of(key);
    auto& announcer = announcers_.at(key);
    if (publisher == subscriber || announcer.expires_at <= now) continue;
    if (is_cache)
      for (auto& swarm : announcer.announcement.swarms)
        if (swarm.root == root && !swarm.keyinfo.empty() && out.keyinfo.size() < 8)
          out.keyinfo.push_back(swarm.keyinfo);
    if (state == PeerState::keys) continue;
    auto uri = announcer.is_cache ? publisher : pseudonym(now, publisher, root);
    auto& peer = (announcer.is_cache ? caches : others)[uri];
    if (peer.uri.empty() || state == PeerState::seed) peer = {uri, announcer.is_cache, state, {}};
  }
  std::vector<ListedPeer> shuffled;
  for (auto& [uri, peer] : others) shuffled.push_back(peer);
  for (std::size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[random_.u32() % i]);
  for (auto& [uri, peer] : caches) out.peers.push_back(peer);
  out.peers.insert(out.peers.end(), shuffled.begin(), shuffled.end());
  if (out.peers.size() > options_.list_length) out.peers.resize(options_.list_length);
  for (auto& peer : out.peers)
    peer.token = make_token({root, inviter_hash(subscriber), peer.uri, now, now + k_token_life}, tracker);
  return out;
}

std::optional<Registry::Behind> Registry::behind(const std::string& pseudonym) const {
  auto at = behind_.find(pseudonym);
  return at == behind_.end() ? std::nullopt : std::optional(at->second);
}

std::string Registry::pseudonym(UnixSeconds now, const std::string& subscriber, const crypto::Digest& root) {
  auto known = pseudonyms_.find({subscriber, root});
  if (known == pseudonyms_.end()) {
    if (pseudonyms_.size() >= k_most_pseudonyms) {
      behind_.erase(pseudonyms_.begin()->second.uri);
      pseudonyms_.erase(pseudonyms_.begin());
    }
    Pseudonym fresh{"sip:" + random_text() + "@" + options_.pseudonym_domain, now};
    behind_[fresh.uri] = {subscriber, root};
    known = pseudonyms_.emplace(std::pair{subscriber, root}, std::move(fresh)).first;
  }
  known->second.used_at = now;
  return known->second.uri;
}

std::set<crypto::Digest> Registry::take_changed() {
  return std::exchange(changed_, {});
}

UnixSeconds Registry::expire(UnixSeconds now) {
  auto next = now + 60;
  for (auto at = announcers_.begin(); at != announcers_.end();) {
    if (at->second.expires_at > now) {
      next = std::min(next, at->second.expires_at);
      ++at;
      continue;
    }
    unlink(at->first, at->second);
    by_etag_.erase(at->second.etag);
    at = announcers_.erase(at);
  }
  std::erase_if(pseudonyms_, [&](auto& each) {
    if (each.second.used_at + k_pseudonym_life > now) return false;
    behind_.erase(each.second.uri);
    return true;
  });
  return next;
}

std::size_t Registry::peers_of(const crypto::Digest& root) const {
  auto members = members_.find(root);
  return members == members_.end() ? 0 : members->second.size();
}

}  // namespace sealcast::tracking
