#pragma once
// The tracker's soft state: who takes part in which swarm, under which pseudonym, and whom to tell about whom. Pure.
#include <map>
#include <set>

#include "base/random.hpp"
#include "base/time.hpp"
#include "tracking/messages.hpp"
#include "tracking/token.hpp"

namespace sealcast::tracking {

struct RegistryOptions {
  std::string pseudonym_domain;  // "peers.sealcast.test"
  std::size_t max_announcers = 100000;
  std::size_t max_swarms_per_ue = 256;
  std::size_t max_announcements_per_ue = 64;  // 16 processes, or one with thousands of contents
  std::size_t list_length = 20;
};

class Registry {
 public:
  Registry(RegistryOptions options, RandomSource& random);

  // Soft state of PUBLISH (RFC 3903): a new ETag for a new or refreshed announcement; 412 for an unknown one.
  struct Published {
    int status = 200;  // 200, 412, 413 (too much)
    std::string etag;
  };
  Published publish(UnixSeconds now, const std::string& publisher, bool is_cache, const std::string& etag, int expires,
                    std::optional<Announcement> announcement);

  // Peers of a swarm for `subscriber`: caches first, then others at random; with tokens. Oneself is left out.
  PeerList list(UnixSeconds now, const crypto::Digest& root, const std::string& subscriber, bool is_cache,
                const crypto::PrivateKey& key);

  // The subscriber and swarm behind a pseudonym URI.
  struct Behind {
    std::string subscriber;
    crypto::Digest root;
  };
  std::optional<Behind> behind(const std::string& pseudonym) const;
  // Pseudonym of a subscriber in a swarm; made when missing. It lives as long as the subscriber announces or asks.
  std::string pseudonym(UnixSeconds now, const std::string& subscriber, const crypto::Digest& root);

  // What is known about a swarm has changed otherwise.
  void touch(const crypto::Digest& root) { changed_.insert(root); }
  // Swarms whose lists have changed since the last call.
  std::set<crypto::Digest> take_changed();
  // Drops what has expired; when to call again.
  UnixSeconds expire(UnixSeconds now);
  std::size_t peers_of(const crypto::Digest& root) const;

 private:
  struct Announcer {
    std::string etag;
    bool is_cache = false;
    UnixSeconds expires_at = 0;
    Announcement announcement;
  };
  struct Pseudonym {
    std::string uri;
    UnixSeconds used_at = 0;
  };
  void link(const std::string& publisher, const Announcer& announcer);
  void unlink(const std::string& publisher, const Announcer& announcer);
  std::string random_text();

  RegistryOptions options_;
  RandomSource& random_;
  std::map<std::string, Announcer> announcers_;  // by publisher and ETag chain: "<publisher> <instance>"
  std::map<std::string, std::string> by_etag_;   // ETag -> key in announcers_
  std::map<crypto::Digest, std::map<std::string, PeerState>> members_;  // root -> key -> state
  std::map<std::pair<std::string, crypto::Digest>, Pseudonym> pseudonyms_;
  std::map<std::string, Behind> behind_;
  std::set<crypto::Digest> changed_;
};

}  // namespace sealcast::tracking
