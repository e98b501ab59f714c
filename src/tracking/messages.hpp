#pragma once
// Bodies of PUBLISH, SUBSCRIBE and NOTIFY between nodes and tracker (docs/protocol.md section 8). Unknown members are
// ignored; sizes are bounded.
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "content/geometry.hpp"
#include "crypto/hash.hpp"

namespace sealcast::tracking {

enum class PeerState { leech, seed, keys };  // keys: holds the key only

// Who may have a content.
struct AccessList {
  bool everybody = false;
  std::vector<std::string> who;  // IMPUs
  bool allows(const std::string& subscriber) const;
};

struct AnnouncedSwarm {
  crypto::Digest root{};
  PeerState state = PeerState::leech;
  std::vector<content::ChunkRange> have;  // coarse, at most 8
  std::string description;                // caches: JWS
  std::optional<AccessList> access;       // caches
  std::string keyinfo;                    // caches that hold the key
};
struct Announcement {
  std::vector<AnnouncedSwarm> swarms;
  int max_associations = 12;
  // Names this announcement among its announcer's: the next one of that name takes its place, whatever became of the
  // ETag. Empty: it has no name.
  std::string instance = {};
};
std::string write_announcement(const Announcement& announcement);
Result<Announcement> parse_announcement(std::string_view body);

// What the tracker says to a PUBLISH that it has taken.
struct PublishAnswer {
  std::vector<crypto::Digest> left_out;                            // of the announcement: refused, the others stand
  std::vector<std::pair<crypto::Digest, std::string>> pseudonyms;  // UEs: what they are called by in each swarm
};
std::string write_publish_answer(const PublishAnswer& answer);
Result<PublishAnswer> parse_publish_answer(std::string_view body);

std::string write_access(const AccessList& access);
Result<AccessList> parse_access(std::string_view body);

struct ListedPeer {
  std::string uri;
  bool cache = false;
  PeerState state = PeerState::leech;
  std::string token;
};
struct PeerList {
  crypto::Digest root{};
  std::string own_pseudonym;
  std::vector<ListedPeer> peers;
  std::vector<std::string> keyinfo;  // to caches only
};
std::string write_peer_list(const PeerList& list);
Result<PeerList> parse_peer_list(std::string_view body);

// SUBSCRIBE bodies: one content, or the catalogue behind `after`.
struct ContentQuery {
  std::optional<crypto::Digest> root;
  bool catalogue = false;
  std::string after;
};
std::string write_query(const ContentQuery& query);
Result<ContentQuery> parse_query(std::string_view body);

struct ContentList {
  std::vector<std::string> descriptions;  // JWS
  std::string next;                       // ask again behind it; empty: that was all
};
std::string write_content_list(const ContentList& list);
Result<ContentList> parse_content_list(std::string_view body);

}  // namespace sealcast::tracking
