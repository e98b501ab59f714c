#pragma once
// Tracker AS: catalogue of announced contents, peer lists with membership tokens, and the relay of invitations to
// pseudonyms.
#include <map>
#include <memory>

#include "content/description.hpp"
#include "os/random.hpp"
#include "roles/config.hpp"
#include "roles/tracker_relay.hpp"
#include "roles/trust.hpp"
#include "store/contents.hpp"
#include "tracking/registry.hpp"

namespace sealcast::roles {

class TrackerRole final : private sip::Handler {
 public:
  TrackerRole(io::Loop& loop, TrackerConfig config);
  ~TrackerRole() override;
  Status start();
  void stop();
  std::string address() const { return agent_->local_address(); }
  json::Object status() const;

 private:
  // What the catalogue knows about one content.
  struct Entry {
    content::Description description;
    std::string jws;
    tracking::AccessList access;
  };
  struct Subscription {
    crypto::Digest root{};
    std::string subscriber;
  };

  void on_request(sip::RequestId id, const sip::Request& request) override;
  void on_invite(sip::CallId id, const sip::Request& request) override;
  void on_reinvite(sip::CallId id, const sip::Request& request) override;
  void on_call_ended(sip::CallId id, const std::string& reason) override;
  void on_subscribe(sip::SubscriptionId id, const sip::Request& request) override;
  void on_subscription_ended(sip::SubscriptionId id) override;

  Status load_catalogue();
  sip::Response publish(const sip::Request& request);
  Status take_from_ue(tracking::Announcement& announcement, const std::string& subscriber) const;
  Status take_from_cache(const tracking::Announcement& announcement);
  Status take_from_cache(const tracking::AnnouncedSwarm& swarm);
  Status may_announce(const tracking::AnnouncedSwarm& swarm, const std::string& subscriber) const;
  void subscribe_peers(sip::SubscriptionId id, const sip::Request& request);
  void fetch_contents(sip::SubscriptionId id, const sip::Request& request);
  bool may_see(const Entry& entry, const std::string& subscriber) const;
  void notify_peers(sip::SubscriptionId id, const Subscription& subscription);
  void notify_changed();
  void schedule_notifications();
  void expire();

  io::Loop& loop_;
  TrackerConfig config_;
  os::SystemRandom random_;
  Trust trust_;
  std::optional<crypto::PrivateKey> key_;
  std::optional<store::Contents> store_;
  std::map<crypto::Digest, Entry> catalogue_;
  std::unique_ptr<tracking::Registry> registry_;
  std::unique_ptr<sip::Agent> agent_;
  std::unique_ptr<TrackerRelay> relay_;
  std::map<sip::SubscriptionId, Subscription> subscriptions_;
  io::Loop::TimerId notify_timer_ = 0, expire_timer_ = 0;
};

}  // namespace sealcast::roles
