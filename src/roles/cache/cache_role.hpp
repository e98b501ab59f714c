#pragma once
// Content cache server: offers the library's objects on the media plane, announces them, and answers key requests.
#include <deque>
#include <map>
#include <memory>

#include "base/lifetime.hpp"
#include "keys/service.hpp"
#include "os/random.hpp"
#include "roles/cache/cache_library.hpp"
#include "roles/cache/scrubber.hpp"
#include "roles/common/announcement_pages.hpp"
#include "roles/common/answered_calls.hpp"
#include "roles/common/media_node.hpp"
#include "roles/common/open_pool.hpp"
#include "roles/common/swarm_peers.hpp"
#include "sip/agent/agent.hpp"
#include "tracking/admission.hpp"

namespace sealcast::roles {

class CacheRole final : private sip::Handler, private keys::KeyLookup {
 public:
  CacheRole(io::Loop& loop, CacheConfig config);
  ~CacheRole() override;
  Status start();
  void stop();

  CacheLibrary& library() { return library_; }
  // After a change in the library: offers, announces or withdraws as it now stands.
  void refresh(const crypto::Digest& root);
  bool may_have(const CachedContent& content, const std::string& caller) const;
  void hang_up_all(const crypto::Digest& root, const std::string& reason);
  // Calls of whom may no longer have this content.
  void end_calls(const crypto::Digest& root, const std::string& reason);
  // The engine lets go of the object of `root`; refresh() takes it up again.
  void leave_swarm(const crypto::Digest& root);
  bool announced(const crypto::Digest& root) const { return pages_ && pages_->announced(root); }
  std::uint64_t chunks_held(const crypto::Digest& root) const;

  struct Facts {
    std::string uri, domain;
    json::Value key_service;  // JWK
    bool holds_keys = false;
  };
  Facts facts() const;
  std::string address() const { return agent_->local_address(); }
  // For connections from now on; nothing that is under way is lost.
  Status renew_certificates() { return agent_->renew_certificates(); }
  json::Object status() const;

 private:
  // KEYINFO of a content: our own, or what another holder says. The tracker is asked for that while somebody wants it.
  struct KeyInfo {
    std::string own;  // made when first needed, for k_renew
    std::string learnt;
    std::unique_ptr<PeerWatch> watch;
  };
  // What the scrubber is at.
  struct Scrubbed {
    crypto::Digest root{};
    bool opened = false;  // for it
  };
  // A damaged object that is fetched again.
  struct Repair {
    std::unique_ptr<SwarmPeers> peers;
    Instant begun{};
    io::Loop::TimerId again = 0;  // one that was refused is tried again
  };

  void on_request(sip::RequestId id, const sip::Request& request) override;
  void on_invite(sip::CallId id, const sip::Request& request) override;
  void on_reinvite(sip::CallId id, const sip::Request& request) override;
  void on_call_ended(sip::CallId id, const std::string& reason) override;
  void on_subscribe(sip::SubscriptionId id, const sip::Request& request) override;
  void on_subscription_ended(sip::SubscriptionId id) override;
  Result<std::optional<keys::KeyRecord>> find(const crypto::Digest& root, const std::string& subscriber) override;

  Status load_keys();
  Status start_agent();
  void start_pages();
  void answer_key_request(sip::RequestId id, const sip::Request& request);
  void on_event(const swarm::Event& event);
  // The object is open and in the engine: for who calls for it, or to be repaired.
  Status take_up(const crypto::Digest& root);
  void put_away(const crypto::Digest& root);
  void put_unused_away();
  Status join_swarm(const crypto::Digest& root, CachedContent& content);
  const std::string& own_keyinfo(const crypto::Digest& root, const CachedContent& content);
  void tell_keyinfo(const crypto::Digest& root, const CachedContent& content);
  std::optional<tracking::AnnouncedSwarm> describe(const crypto::Digest& root);
  void watch_keyinfo(const crypto::Digest& root);
  void take_keyinfo(const crypto::Digest& root, const std::string& keyinfo);
  void swarm_unused(const crypto::Digest& root);
  void log_providers();
  void log_refusal(const store::AuditRow& row);
  void refuse_invitation(sip::CallId id, const sip::Request& request, int status, const std::string& why,
                         int retry_after);
  void note_trouble(const crypto::Digest& root);
  void mark(const crypto::Digest& root, ObjectState state);
  void give_up(const crypto::Digest& root);
  void want_repair(const crypto::Digest& root);
  void repair_some();
  void repair_others();
  void start_repair(const crypto::Digest& root);
  void stop_repair(const crypto::Digest& root);
  void finish_repair(const crypto::Digest& root);
  void save_held(const crypto::Digest& root);
  std::optional<Scrubber::Content> next_offered(const crypto::Digest* behind) const;
  void scrub();
  void scrub_run(Instant now, const Scrubber::Run& run);
  void end_scrub();
  json::Object scrub_status() const;
  void renew_keyinfo();
  void beat();
  // Later on the loop, unless the role has stopped by then.
  void post(std::function<void()> task);
  void after(Duration delay, std::function<void()> task);
  std::string uri() const;

  io::Loop& loop_;
  CacheConfig config_;
  os::SystemRandom random_;
  Trust trust_;
  CacheLibrary library_;
  std::optional<crypto::PublicKey> key_service_key_;
  std::optional<crypto::PrivateKey> holder_;
  std::string holder_certificate_;
  std::unique_ptr<keys::KeyService> key_service_;
  std::unique_ptr<MediaNode> media_;
  std::unique_ptr<sip::Agent> agent_;
  std::unique_ptr<AnsweredCalls> calls_;
  tracking::TokenGate token_gate_;
  std::unique_ptr<AnnouncementPages> pages_;
  OpenPool open_;
  std::map<crypto::Digest, KeyInfo> keyinfos_;
  std::map<crypto::Digest, Repair> repairs_;
  std::deque<crypto::Digest> to_repair_;
  Scrubber scrubber_;
  std::optional<Scrubbed> scrubbed_;
  std::uint64_t repaired_chunks_ = 0;  // whatever found their damage
  io::Loop::TimerId renew_timer_ = 0, beat_timer_ = 0, scrub_timer_ = 0;
  store::AuditBrake audit_brake_;
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
