#pragma once
// Tracker AS: catalogue of announced contents, peer lists with membership tokens, and the relay of invitations to
// pseudonyms.
#include <deque>
#include <memory>

#include "base/rate_budget.hpp"
#include "os/random.hpp"
#include "roles/common/config.hpp"
#include "roles/common/trust.hpp"
#include "roles/tracker/tracker_catalogue.hpp"
#include "roles/tracker/tracker_relay.hpp"
#include "sip/agent/agent.hpp"
#include "tracking/registry.hpp"
#include "tracking/subscriptions.hpp"

namespace sealcast::roles {

class TrackerRole final : private sip::Handler {
 public:
  TrackerRole(io::Loop& loop, TrackerConfig config);
  ~TrackerRole() override;
  Status start();
  void stop();
  std::string address() const { return agent_->local_address(); }
  // For connections from now on; nothing that is under way is lost.
  Status renew_certificates() { return agent_->renew_certificates(); }
  json::Object status();
  // Refusals go to this log instead of the one in catalogue.db: that of the node which an operator asks.
  void audit_to(std::function<Status(const store::AuditRow&)> append) { append_audit_ = std::move(append); }
  store::AuditLog audit_log() { return catalogue_->audit_log(); }

 private:
  // What is refused, and why; passing failures of the store are 503.
  struct Verdict {
    int status;
    std::string reason;
    int retry_after = 0;
  };

  void on_request(sip::RequestId id, const sip::Request& request) override;
  void on_invite(sip::CallId id, const sip::Request& request) override;
  void on_reinvite(sip::CallId id, const sip::Request& request) override;
  void on_call_ended(sip::CallId id, const std::string& reason) override;
  void on_subscribe(sip::SubscriptionId id, const sip::Request& request) override;
  void on_subscription_ended(sip::SubscriptionId id) override;

  Status start_agent();
  bool is_cache(const std::string& who) const;
  Verdict verdict_of(const Error& error) const;
  // Nothing: within the subscriber's budget.
  std::optional<Verdict> over_budget(const std::string& subscriber, double cost);
  sip::Response publish(const sip::Request& request);
  sip::Response publish(const sip::Request& request, int expires, std::optional<tracking::Announcement> announcement);
  std::optional<Verdict> take(const sip::Request& request, tracking::Announcement& announcement,
                              std::vector<crypto::Digest>& left_out);
  std::optional<Verdict> take_from_cache(const tracking::AnnouncedSwarm& swarm, bool& anything_changed);
  std::optional<Verdict> entitlement(const crypto::Digest& root, const std::string& subscriber);
  void access_changed(const crypto::Digest& root);
  void subscribe_peers(sip::SubscriptionId id, const sip::Request& request);
  std::optional<Verdict> new_subscription(sip::SubscriptionId id, const sip::Request& request, int expires,
                                          crypto::Digest& root);
  void fetch_contents(sip::SubscriptionId id, const sip::Request& request);
  void refuse(sip::SubscriptionId id, const sip::Request& request, const crypto::Digest& root, const Verdict& verdict);
  void notify_peers(sip::SubscriptionId id, bool last);
  void gather_changes();
  void notify_some();
  void expire();
  void audit(const std::string& event, const std::string& who, const std::string& whom, const crypto::Digest& root,
             int status, const std::string& reason);

  io::Loop& loop_;
  TrackerConfig config_;
  os::SystemRandom random_;
  std::optional<crypto::PrivateKey> key_;
  std::optional<TrackerCatalogue> catalogue_;
  std::unique_ptr<tracking::Registry> registry_;
  std::unique_ptr<sip::Agent> agent_;
  std::unique_ptr<TrackerRelay> relay_;
  tracking::Subscriptions subscriptions_;
  tracking::ChangePace pace_;
  std::deque<sip::SubscriptionId> to_notify_;
  std::set<sip::SubscriptionId> waiting_;  // those in to_notify_
  RateBudget requests_;
  store::AuditBrake audit_brake_;
  std::function<Status(const store::AuditRow&)> append_audit_;
  std::uint64_t audit_left_out_ = 0;
  io::Loop::TimerId notify_timer_ = 0, portion_timer_ = 0, expire_timer_ = 0;
};

}  // namespace sealcast::roles
