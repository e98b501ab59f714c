#pragma once
// One swarm that a UE takes part in: fetches what is missing, serves what it holds, saves what is verified. One that is
// whole may sleep: announced, but neither open nor in the engine, until somebody calls.
#include <memory>

#include "base/lifetime.hpp"
#include "roles/common/swarm_peers.hpp"
#include "roles/ue/content_state.hpp"
#include "roles/ue/ue_node.hpp"

namespace sealcast::roles {

struct UeSwarmEvents {
  std::function<Status()> open_output;                         // of a content that wakes up, and lies opened in a file
  std::function<void(const std::string& keyinfo)> on_keyinfo;  // not verified
  std::function<void()> on_complete;
  std::function<void(const Error&)> on_failed;  // storage, entitlement, hopeless negotiation
};

class UeSwarm {
 public:
  // node, state and events outlive it.
  UeSwarm(UeNode& node, ContentState& state, const content::Description& description, swarm::Appetite appetite,
          UeSwarmEvents events);
  ~UeSwarm();  // hangs up and saves
  // The object of `state` is open.
  Status start();
  // The object looks whole and is not open.
  void start_asleep();
  // Called by somebody: opens the object. unavailable: not now.
  Status wake();
  void sleep();
  void allow_sleep() { sleeper_ = true; }  // when it is whole and nobody needs it
  bool may_sleep() const;
  bool awake() const { return in_engine_; }
  // What `state` holds can be read from now on. Once: what is found damaged later stays missing.
  void take_kept();
  // What is missing is wanted.
  void begin();
  Status save();

  // From the node.
  void on_event(const swarm::Event& event);
  void on_call_ended(sip::CallId id, const std::string& reason);
  void called(const std::string& pseudonym) { pseudonym_ = pseudonym; }  // says the tracker
  void left_out();                                                       // of an announcement, by the tracker
  void wrongly_called();                                                 // by a pseudonym that is not known here
  tracking::AnnouncedSwarm announcement() const;
  sdp::Policy policy() const;  // for invitations that come in

  const content::Description& description() const { return description_; }
  const content::Bitmap& held() const;
  std::uint64_t octets_held() const;
  swarm::Traffic traffic() const;
  bool complete() const { return held().full(); }
  const std::string& own_pseudonym() const { return pseudonym_; }  // empty until the tracker has said it
  std::string suite() const;
  std::size_t connected() const { return peers_ ? peers_->connected() : 0; }
  std::size_t listed() const { return peers_ ? peers_->listed() : 0; }
  std::string path_trouble() const { return peers_ ? peers_->path_trouble() : std::string(); }
  bool list_seen() const { return peers_ && peers_->list_seen(); }
  bool settled() const { return peers_ ? peers_->list_seen() : sleeper_; }  // nothing more is asked at the start
  Instant last_verified() const { return last_verified_; }                  // an octet of content, or the beginning

 private:
  bool secured() const;
  Status enter_engine();
  void follow_peers();
  void lost(content::ChunkRange range);
  void refused(const sip::Response& response);
  void schedule_save();

  UeNode& node_;
  ContentState& state_;
  content::Description description_;
  swarm::Appetite appetite_;
  UeSwarmEvents events_;
  std::unique_ptr<SwarmPeers> peers_;
  std::string last_suite_;
  std::string pseudonym_;
  bool joined_ = false, in_engine_ = false;
  bool sleeper_ = false;  // may sleep
  bool unsaved_ = false;
  Instant last_verified_{};
  std::uint32_t announced_chunks_ = 0;
  Timers::TimerId save_timer_ = 0, ask_timer_ = 0;
  int refusals_ = 0;        // of the peer list, in a row
  bool confirmed_ = false;  // this device has registered anew since the first of them
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
