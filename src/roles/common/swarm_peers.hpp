#pragma once
// The initiating side of one swarm: follows the peer list, invites peers, opens a channel on each association, and
// replaces what fails. A UE that fetches uses it, and a cache that repairs a damaged object.
#include <map>

#include "base/lifetime.hpp"
#include "content/protection.hpp"
#include "roles/common/media_plane.hpp"
#include "roles/common/peer_blame.hpp"
#include "roles/common/peer_watch.hpp"
#include "tracking/messages.hpp"

namespace sealcast::roles {

struct SwarmPeersConfig {
  std::string tracker;  // URI
  crypto::Digest root{};
  bool secured = true;                      // session protection by the strictest of description and local policy
  bool inline_key_allowed = true;           // the first SIP hop is TLS, or --insecure-signalling
  bool idle = false;                        // follow the list only; until seek()
  std::size_t max_caches = 4, max_ues = 8;  // associations at a time
};

struct SwarmPeersEvents {
  // Nobody is left to ask and the last thing that went wrong was a negotiation: it will not get better by waiting.
  std::function<void(const Error&)> on_hopeless;
  // The tracker refuses the list (403, 404).
  std::function<void(const sip::Response&)> on_refused;
  // KEYINFO that a list brought (to caches only).
  std::function<void(const std::string&)> on_keyinfo;
  std::function<void(const std::string&)> on_pseudonym;  // ours, with every list
};

class SwarmPeers {
 public:
  SwarmPeers(Timers& timers, sip::Signalling& agent, MediaPlane& media, SwarmPeersConfig config,
             SwarmPeersEvents events);
  ~SwarmPeers();  // hangs up

  void ask_again() { watch_->refresh(); }  // for the list, after a refusal that is not believed
  void seek();                             // from now on peers are invited
  void rest();                             // nothing is missing any more: the list is not followed, nobody invited
  void refresh() { watch_->refresh(); }    // the list, now
  void on_call_ended(sip::CallId call, const std::string& reason);  // of any call: takes what is its own

  std::string suite() const { return suite_; }  // of the newest association; empty: none, or plain
  std::size_t connected() const;                // whose channel is open
  bool list_seen() const { return list_seen_; }
  bool calls_nobody() const;  // nor is it being called by us
  // Why nothing may come although partners answer: a path whose MTU is too small. Empty: no such sign.
  const std::string& path_trouble() const { return path_trouble_; }
  std::size_t listed() const { return peers_.size(); }

 private:
  void on_event(const swarm::Event& event);  // of its associations
  struct Peer {
    tracking::ListedPeer listed;
    bool present = true;  // in the newest list
    sip::CallId call = 0;
    swarm::AssociationId association = 0;
    std::string address;  // of its media, with the association
    bool inviting = false;
    bool secured = false;  // of the offer that is out or agreed
    bool open = false;     // the partner has answered on the media plane
    Instant retry_at{};
    Duration pause = 500ms;
    std::optional<Error> failed;  // the last invitation failed in negotiation
    bool idle() const { return !inviting && association == 0; }
  };
  void take_list(const std::string& body);
  void connect();
  void invite(const std::string& uri, bool secured);
  void answered(const std::string& uri, const std::shared_ptr<PendingOffer>& offer, const sip::Response& response);
  void agree(Peer& peer, const PendingOffer& offer, const sip::Response& response);
  bool refused(const std::string& uri, Peer& peer, const sip::Response& response);
  void drop(Peer& peer, const std::string& reason);
  void look_for_hope();

  Timers& timers_;
  sip::Signalling& agent_;
  MediaPlane& media_;
  SwarmPeersConfig config_;
  SwarmPeersEvents events_;
  std::map<std::string, Peer> peers_;  // by URI
  PeerBlame blame_;
  std::string suite_, path_trouble_;
  bool list_seen_ = false;
  Timers::TimerId timer_ = 0;
  Lifetime lifetime_;
  std::unique_ptr<PeerWatch> watch_;
};

}  // namespace sealcast::roles
