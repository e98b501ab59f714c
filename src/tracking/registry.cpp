#include "tracking/registry.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/encoding.hpp"
#include "content/uri.hpp"

namespace sealcast::tracking {
namespace {

constexpr Duration k_pseudonym_life = 1h;  // after the last use
// Subscriptions are refreshed after 120 s, tokens live 300 s: one that is a fifth of that old when it is handed out
// still lasts.
constexpr UnixSeconds k_kept_part = 5;
constexpr std::size_t k_shuffled = 64;  // of a larger swarm, a sample

}  // namespace

Registry::Registry(RegistryOptions options, RandomSource& random)
    : options_(std::move(options)),
      random_(random),
      announcers_({options_.announced, options_.announced_reserved, {{"subscriber", options_.announced_by_one}}}),
      pseudonyms_({options_.pseudonyms, 0, {{"subscriber", options_.pseudonyms_of_one}}}),
      tokens_({options_.tokens, options_.tokens_reserved, {{"subscriber", options_.tokens_of_one}}}) {}

std::string Registry::random_text() {
  std::array<std::uint8_t, 16> octets;
  random_.fill(octets);
  return base64url(octets);
}

// ---- announcements

void Registry::enter(Id id, const Announcer& announcer, const AnnouncedSwarm& announced) {
  auto& swarm = swarms_[announced.root];
  auto& members = announcer.is_cache ? swarm.caches : swarm.others;
  auto [at, added] = members.try_emplace(id, Member{announced.state, announcer.publisher, announced.keyinfo});
  if (added && !announcer.is_cache) ++swarm.publishers[announcer.publisher];
  if (added || at->second.state != announced.state || at->second.keyinfo != announced.keyinfo)
    changed_.insert(announced.root);
  at->second.state = announced.state;
  at->second.keyinfo = announced.keyinfo;
}

void Registry::leave(Id id, const Announcer& announcer, const crypto::Digest& root) {
  auto swarm = swarms_.find(root);
  if (swarm == swarms_.end()) return;
  auto& members = announcer.is_cache ? swarm->second.caches : swarm->second.others;
  if (members.erase(id) == 0) return;
  changed_.insert(root);
  if (!announcer.is_cache && --swarm->second.publishers[announcer.publisher] == 0)
    swarm->second.publishers.erase(announcer.publisher);
  if (swarm->second.caches.empty() && swarm->second.others.empty()) swarms_.erase(swarm);
}

void Registry::drop(Id id) {
  if (auto announcer = announcers_.take(id)) forget(id, *announcer);
}

// It is out of the table already.
void Registry::forget(Id id, const Announcer& announcer) {
  for (auto& root : announcer.roots) leave(id, announcer, root);
  by_etag_.erase(announcer.etag);
  if (!announcer.instance.empty()) by_instance_.erase({announcer.publisher, announcer.instance});
}

// By its ETag; one that comes without, by its name.
std::optional<Registry::Id> Registry::known(const std::string& publisher, const std::string& etag,
                                            const std::optional<Announcement>& announcement) const {
  if (!etag.empty()) {
    auto at = by_etag_.find(etag);
    if (at != by_etag_.end() && announcers_.find(at->second)->publisher == publisher) return at->second;
    return std::nullopt;
  }
  if (!announcement || announcement->instance.empty()) return std::nullopt;
  auto at = by_instance_.find({publisher, announcement->instance});
  return at == by_instance_.end() ? std::nullopt : std::optional(at->second);
}

Registry::Published Registry::publish(Instant now, const std::string& publisher, bool is_cache, const std::string& etag,
                                      int expires, std::optional<Announcement> announcement) {
  // What a cache says of one content replaces what it said before, also if it has forgotten that it did.
  if (announcement && is_cache && announcement->instance.empty() && announcement->swarms.size() == 1)
    announcement->instance = content::root_text(announcement->swarms.front().root);
  auto id = known(publisher, etag, announcement);
  if (!id && (!etag.empty() || !announcement)) return {412, {}};
  if (expires == 0) {
    if (id) drop(*id);
    return {200, etag};
  }
  const auto until = now + std::chrono::seconds(expires);
  const decltype(announcers_)::Owners owners{{publisher}, is_cache};
  if (!announcement) {
    auto& announcer = *announcers_.find(*id);
    by_etag_.erase(std::exchange(announcer.etag, random_text()));
    by_etag_[announcer.etag] = *id;
    announcer.until = until;
    announcers_.prolong(*id, until);
    return {200, announcer.etag};
  }
  // Another announcement may have had this name.
  if (auto named = by_instance_.find({publisher, announcement->instance});
      !announcement->instance.empty() && named != by_instance_.end() && named->second != id.value_or(0))
    drop(named->second);
  Announcer fresh{publisher, random_text(), announcement->instance, is_cache, until, {}};
  std::set<crypto::Digest> roots;
  for (auto& swarm : announcement->swarms)
    if (roots.insert(swarm.root).second) fresh.roots.push_back(swarm.root);
  auto old = id ? announcers_.take(*id) : std::nullopt;
  if (!id) id = next_id_++;
  if (auto refusal = announcers_.add(*id, owners, until, fresh, 1 + fresh.roots.size())) {
    if (old) (void)announcers_.add(*id, owners, old->until, *old, 1 + old->roots.size());
    return {refusal->why == TableRefusal::Why::total ? 503 : 413, {}};
  }
  if (old) {
    // What is announced no longer leaves; what stays must not be taken for a change.
    for (auto& root : old->roots)
      if (!roots.contains(root)) leave(*id, *old, root);
    by_etag_.erase(old->etag);
    if (!old->instance.empty()) by_instance_.erase({publisher, old->instance});
  }
  by_etag_[fresh.etag] = *id;
  if (!fresh.instance.empty()) by_instance_[{publisher, fresh.instance}] = *id;
  for (auto& swarm : announcement->swarms) enter(*id, fresh, swarm);
  return {200, fresh.etag};
}

bool Registry::announces(const std::string& subscriber, const crypto::Digest& root) const {
  auto swarm = swarms_.find(root);
  return swarm != swarms_.end() && swarm->second.publishers.contains(subscriber);
}

void Registry::withdraw(const crypto::Digest& root, const std::function<bool(const std::string&)>& allowed) {
  if (auto swarm = swarms_.find(root); swarm != swarms_.end()) {
    std::vector<Id> gone;
    for (auto& [id, member] : swarm->second.others)
      if (!allowed(member.publisher)) gone.push_back(id);
    for (auto id : gone) leave(id, *announcers_.find(id), root);
  }
  for (auto at = pseudonym_of_.lower_bound({root, {}}); at != pseudonym_of_.end() && at->first.first == root;) {
    if (allowed(at->first.second)) {
      ++at;
      continue;
    }
    pseudonyms_.erase(at->second);
    at = pseudonym_of_.erase(at);
  }
  touch(root);
}

// ---- lists

// All of a small swarm; of a large one some, from random places.
std::vector<std::pair<Registry::Id, const Registry::Member*>> Registry::sample(const Swarm& swarm) {
  std::vector<std::pair<Id, const Member*>> out;
  auto& others = swarm.others;
  if (others.size() <= k_shuffled) {
    for (auto& [id, member] : others) out.emplace_back(id, &member);
    for (std::size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[random_.u32() % i]);
    return out;
  }
  std::set<Id> taken;
  const auto first = others.begin()->first, span = others.rbegin()->first - first + 1;
  for (std::size_t i = 0; i < 2 * k_shuffled; ++i) {
    auto at = others.lower_bound(first + ((std::uint64_t{random_.u32()} << 32) | random_.u32()) % span);
    if (taken.insert(at->first).second) out.emplace_back(at->first, &at->second);
  }
  return out;
}

PeerList Registry::list(Instant now, UnixSeconds wall, const crypto::Digest& root, const std::string& subscriber,
                        bool is_cache, const crypto::PrivateKey& key) {
  PeerList out;
  out.root = root;
  out.own_pseudonym = pseudonym(now, subscriber, root);
  auto found = swarms_.find(root);
  if (found == swarms_.end()) return out;
  std::map<std::string, std::size_t> listed;  // by URI: one entry for each, however many times it announces
  auto take = [&](Id id, const Member& member, bool cache) {
    if (member.publisher == subscriber || announcers_.find(id)->until <= now) return;
    if (cache && is_cache && !member.keyinfo.empty() && out.keyinfo.size() < 8) out.keyinfo.push_back(member.keyinfo);
    if (member.state == PeerState::keys) return;
    auto uri = cache ? member.publisher : pseudonym(now, member.publisher, root);
    if (uri.empty()) return;
    auto [at, fresh] = listed.try_emplace(uri, out.peers.size());
    if (fresh && out.peers.size() < options_.list_length)
      out.peers.push_back({uri, cache, member.state, {}});
    else if (!fresh && member.state == PeerState::seed)
      out.peers[at->second].state = PeerState::seed;
    else if (fresh)
      listed.erase(at);
  };
  for (auto& [id, member] : found->second.caches) take(id, member, true);
  for (auto& [id, member] : sample(found->second)) {
    if (out.peers.size() >= options_.list_length) break;
    take(id, *member, false);
  }
  for (auto& peer : out.peers) peer.token = token(now, wall, root, subscriber, is_cache, peer.uri, key);
  return out;
}

std::string Registry::token(Instant now, UnixSeconds wall, const crypto::Digest& root, const std::string& subscriber,
                            bool is_cache, const std::string& peer, const crypto::PrivateKey& key) {
  while (tokens_.take_expired(now)) {
  }
  TokenKey which{{root, subscriber}, peer};
  if (auto* kept = tokens_.find(which)) {
    // The wall clock may have been set meanwhile.
    if (wall >= kept->issued_at && wall - kept->issued_at <= options_.token_life / k_kept_part) return kept->jws;
    tokens_.erase(which);
  }
  Signed fresh{make_token({root, inviter_hash(subscriber), peer, wall, wall + options_.token_life}, key), wall};
  auto jws = fresh.jws;
  // No room: it is signed anew the next time.
  (void)tokens_.add(std::move(which), {{subscriber}, is_cache},
                    now + std::chrono::seconds(options_.token_life / k_kept_part), std::move(fresh));
  return jws;
}

// ---- pseudonyms

std::optional<Registry::Behind> Registry::behind(const std::string& pseudonym) const {
  auto* found = pseudonyms_.find(pseudonym);
  return found ? std::optional(*found) : std::nullopt;
}

std::string Registry::pseudonym(Instant now, const std::string& subscriber, const crypto::Digest& root) {
  const auto until = now + k_pseudonym_life;
  if (auto known = pseudonym_of_.find({root, subscriber}); known != pseudonym_of_.end()) {
    pseudonyms_.prolong(known->second, until);
    return known->second;
  }
  auto uri = "sip:" + random_text() + "@" + options_.pseudonym_domain;
  if (pseudonyms_.add(uri, {{subscriber}, false}, until, {subscriber, root})) return {};
  pseudonym_of_[{root, subscriber}] = uri;
  return uri;
}

std::set<crypto::Digest> Registry::take_changed() {
  return std::exchange(changed_, {});
}

Instant Registry::expire(Instant now) {
  while (auto gone = announcers_.take_expired(now)) forget(gone->first, gone->second);
  while (auto gone = pseudonyms_.take_expired(now)) {
    auto& [uri, behind] = *gone;
    // Who goes on announcing is still called by it.
    if (announces(behind.subscriber, behind.root) &&
        !pseudonyms_.add(uri, {{behind.subscriber}, false}, now + k_pseudonym_life, behind))
      continue;
    pseudonym_of_.erase({behind.root, behind.subscriber});
  }
  while (tokens_.take_expired(now)) {
  }
  return std::min(now + 60s, announcers_.next_expiry().value_or(k_never));
}

std::size_t Registry::peers_of(const crypto::Digest& root) const {
  auto swarm = swarms_.find(root);
  return swarm == swarms_.end() ? 0 : swarm->second.caches.size() + swarm->second.others.size();
}

json::Object Registry::status() const {
  auto announced = announcers_.status();
  announced["weight"] = static_cast<std::int64_t>(announcers_.weight());
  return {{"announcements", std::move(announced)},
          {"pseudonyms", pseudonyms_.status()},
          {"tokens", tokens_.status()},
          {"swarms", static_cast<std::int64_t>(swarms_.size())}};
}

}  // namespace sealcast::tracking
