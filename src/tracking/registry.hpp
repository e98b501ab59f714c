#pragma once
// The tracker's soft state: who takes part in which swarm, under which pseudonym, and whom to tell about whom. Pure.
// Every table has shares: what one subscriber announces, and what is made for him, takes nothing from others.
#include <functional>
#include <map>
#include <set>

#include "base/bounded_table.hpp"
#include "base/random.hpp"
#include "tracking/messages.hpp"
#include "tracking/token.hpp"

namespace sealcast::tracking {

struct RegistryOptions {
  std::string pseudonym_domain;  // "peers.sealcast.test"
  // Announcements by what they cost: 1, and 1 for each swarm. However many processes a subscriber runs one after the
  // other, and however many contents he keeps, what counts is what he announces now.
  std::size_t announced = 1000000, announced_by_one = 16384, announced_reserved = 250000;
  std::size_t pseudonyms = 1000000, pseudonyms_of_one = 32768;
  std::size_t tokens = 100000, tokens_of_one = 1024, tokens_reserved = 10000;
  std::size_t list_length = 20;
  UnixSeconds token_life = k_token_life;
};

class Registry {
 public:
  Registry(RegistryOptions options, RandomSource& random);

  // Soft state of PUBLISH (RFC 3903): a new ETag for a new or refreshed announcement; 412 for an unknown one.
  struct Published {
    int status = 200;  // 200, 412, 413 (the subscriber announces too much), 503 (the tracker is full)
    std::string etag;
  };
  Published publish(Instant now, const std::string& publisher, bool is_cache, const std::string& etag, int expires,
                    std::optional<Announcement> announcement);

  // Peers of a swarm for `subscriber`: caches first, then others at random; with tokens. Oneself is left out. A token
  // is signed once and handed out for a fifth of its life.
  PeerList list(Instant now, UnixSeconds wall, const crypto::Digest& root, const std::string& subscriber, bool is_cache,
                const crypto::PrivateKey& key);

  // The subscriber and swarm behind a pseudonym URI.
  struct Behind {
    std::string subscriber;
    crypto::Digest root;
  };
  std::optional<Behind> behind(const std::string& pseudonym) const;
  // Pseudonym of a subscriber in a swarm; made when missing. It lives as long as the subscriber announces or asks.
  // Empty: he has too many.
  std::string pseudonym(Instant now, const std::string& subscriber, const crypto::Digest& root);

  bool announces(const std::string& subscriber, const crypto::Digest& root) const;
  // Who may no longer take part in a swarm leaves it, his pseudonym goes.
  void withdraw(const crypto::Digest& root, const std::function<bool(const std::string& subscriber)>& allowed);

  // What is known about a swarm has changed otherwise.
  void touch(const crypto::Digest& root) { changed_.insert(root); }
  // Swarms whose lists have changed since the last call.
  std::set<crypto::Digest> take_changed();
  // Drops what has expired; when to call again.
  Instant expire(Instant now);
  std::size_t peers_of(const crypto::Digest& root) const;
  json::Object status() const;

 private:
  using Id = std::uint64_t;
  struct Announcer {
    std::string publisher, etag, instance;
    bool is_cache = false;
    Instant until{};
    std::vector<crypto::Digest> roots;
  };
  struct Member {
    PeerState state;
    std::string publisher;
    std::string keyinfo;  // caches
  };
  struct Swarm {
    std::map<Id, Member> caches, others;
    std::map<std::string, int> publishers;  // of `others`: how often each announces it
  };
  struct Signed {
    std::string jws;
    UnixSeconds issued_at = 0;
  };
  using TokenKey = std::pair<std::pair<crypto::Digest, std::string>, std::string>;  // swarm, inviter, callee

  std::optional<Id> known(const std::string& publisher, const std::string& etag,
                          const std::optional<Announcement>& announcement) const;
  void drop(Id id);
  void forget(Id id, const Announcer& announcer);
  void enter(Id id, const Announcer& announcer, const AnnouncedSwarm& swarm);
  void leave(Id id, const Announcer& announcer, const crypto::Digest& root);
  std::vector<std::pair<Id, const Member*>> sample(const Swarm& swarm);
  std::string token(Instant now, UnixSeconds wall, const crypto::Digest& root, const std::string& subscriber,
                    bool is_cache, const std::string& peer, const crypto::PrivateKey& key);
  std::string random_text();

  RegistryOptions options_;
  RandomSource& random_;
  Id next_id_ = 1;
  BoundedTable<Id, Announcer> announcers_;
  std::map<std::string, Id> by_etag_;
  std::map<std::pair<std::string, std::string>, Id> by_instance_;  // publisher, instance
  std::map<crypto::Digest, Swarm> swarms_;
  BoundedTable<std::string, Behind> pseudonyms_;  // by URI
  std::map<std::pair<crypto::Digest, std::string>, std::string> pseudonym_of_;
  BoundedTable<TokenKey, Signed> tokens_;
  std::set<crypto::Digest> changed_;
};

}  // namespace sealcast::tracking
