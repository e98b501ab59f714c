#pragma once
// A subscriber's device: registration, media node, key requests, and the swarms that it takes part in.
#include <map>
#include <memory>
#include <set>

#include "os/random.hpp"
#include "roles/common/announcement_pages.hpp"
#include "roles/common/answered_calls.hpp"
#include "roles/common/config.hpp"
#include "roles/common/media_node.hpp"
#include "roles/common/open_pool.hpp"
#include "roles/common/trust.hpp"
#include "roles/ue/key_requests.hpp"
#include "sip/agent/agent.hpp"
#include "tracking/admission.hpp"
#include "tracking/messages.hpp"

namespace sealcast::roles {

class UeSwarm;

class UeNode final : private sip::Handler {
 public:
  UeNode(io::Loop& loop, UeConfig config);
  ~UeNode() override;
  // Reads password, device key and trust, reaches the core, listens. Blocking for some seconds at most.
  Status start();
  // done: told once: registered, or why not (authentication, network). Later changes are handled and logged here;
  // expelled: told once when the core takes back the identity that it had registered.
  void register_identity(std::function<void(Status)> done, std::function<void(const Error&)> expelled);
  // Registers anew, and tells how that went: who is refused asks again only then believes it. The core may have
  // forgotten us, by a restart or otherwise, and says so with the same 403 as somebody who really refuses.
  void confirm_registration(std::function<void(Status)> done);
  void stop();

  // The signed description from the tracker, not verified yet. not_found, not_entitled, network.
  void fetch_description(const crypto::Digest& root, std::function<void(Result<std::string>)> done);
  // Of a node that was started, until stop().
  KeyRequests& key_requests() { return *key_requests_; }
  void forget_key_requests() {  // no callback comes after this
    if (key_requests_) key_requests_->forget();
  }

  // Swarms register themselves; the node routes events and invitations to them and announces them.
  void join(UeSwarm& swarm);
  void leave(UeSwarm& swarm);
  // Whole ones that nobody needs are put to sleep by and by.
  void look_for_unused();
  // May one more be opened that does not sleep?
  bool has_room() const { return awake_.size() < open_.most(); }
  void woke(UeSwarm& swarm) { awake_[root_of(swarm)] = &swarm; }
  void slept(UeSwarm& swarm) { awake_.erase(root_of(swarm)); }
  void announce(const UeSwarm& swarm);                // what it holds has changed
  bool registered() const { return is_registered_; }  // at this moment
  // The tracker has answered every announcement; and the swarms that it has taken.
  bool announced() const { return pages_ && pages_->settled(); }
  std::size_t swarms_announced() const { return pages_ ? pages_->taken() : 0; }

  Timers& timers() { return loop_; }
  sip::Signalling& agent() { return *agent_; }
  MediaNode& media() { return *media_; }
  RandomSource& random() { return random_; }
  const UeConfig& config() const { return config_; }
  const Trust& trust() const { return trust_; }
  std::string identity() const { return "sip:" + config_.name + "@" + config_.domain; }

 private:
  void on_request(sip::RequestId id, const sip::Request& request) override;
  void on_invite(sip::CallId id, const sip::Request& request) override;
  void on_reinvite(sip::CallId id, const sip::Request& request) override;
  void on_call_ended(sip::CallId id, const std::string& reason) override;
  void on_subscribe(sip::SubscriptionId id, const sip::Request& request) override;
  void on_subscription_ended(sip::SubscriptionId id) override;

  Status load_identity();
  void on_event(const swarm::Event& event);
  void register_now();
  void registration_told(const Status& status);
  void registration_changed(const sip::RegistrationState& state);
  void ask_description(const crypto::Digest& root, bool confirmed, std::function<void(Result<std::string>)> done);
  UeSwarm* invited_swarm(const sip::Request& request, tracking::Admission& admission);

  io::Loop& loop_;
  UeConfig config_;
  os::SystemRandom random_;
  Trust trust_;
  SecretBytes password_;
  std::optional<crypto::PrivateKey> device_;
  std::unique_ptr<MediaNode> media_;
  std::unique_ptr<sip::Agent> agent_;
  std::unique_ptr<KeyRequests> key_requests_;
  std::unique_ptr<AnsweredCalls> calls_;
  tracking::TokenGate token_gate_;
  void start_pages();
  void announcement_answered(const sip::Response& response);
  void refresh_some();
  std::unique_ptr<AnnouncementPages> pages_;
  std::set<crypto::Digest> to_refresh_;  // swarms whose pseudonym may have changed
  Timers::TimerId refresh_timer_ = 0;
  bool is_registered_ = false;
  int refusals_ = 0;  // in a row, of an identity that was registered
  std::function<void(const Error&)> on_expelled_;
  std::vector<std::function<void(Status)>> waiting_;  // for the registration under way
  Status busy_;                                       // why they still wait; told when that has lasted too long
  Timers::TimerId busy_timer_ = 0;
  Instant next_confirmation_{};
  static const crypto::Digest& root_of(const UeSwarm& swarm);
  Status take_up(UeSwarm& swarm);
  void swarm_unused(const crypto::Digest& root);
  void put_unused_away();
  std::map<crypto::Digest, UeSwarm*> swarms_, awake_;
  OpenPool open_;  // of the swarms that may sleep
  Timers::TimerId unused_timer_ = 0;
};

}  // namespace sealcast::roles
