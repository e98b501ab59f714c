#pragma once
// Invitations to pseudonyms: the tracker checks the token, invites the subscriber behind the pseudonym in the inviter's
// pseudonym's name, and joins the two dialogs (a back-to-back user agent). Neither side sees the other's identity.
// A call ends when a side hangs up, does not answer, leaves the swarm or is no longer entitled.
#include <functional>

#include "io/loop.hpp"
#include "sip/signalling.hpp"
#include "tracking/admission.hpp"
#include "tracking/registry.hpp"
#include "tracking/relayed_calls.hpp"

namespace sealcast::roles {

class TrackerRelay {
 public:
  struct Questions {
    // Is this subscriber entitled to the swarm? The error: for the moment nobody can say.
    std::function<Result<bool>(const crypto::Digest& root, const std::string& subscriber)> may_take_part;
    // Does he announce it, or ask for its peers?
    std::function<bool(const std::string& subscriber, const crypto::Digest& root)> takes_part;
  };
  // A refusal, for the audit log.
  using OnRefused = std::function<void(const sip::Request& request, const crypto::Digest& root, const std::string& whom,
                                       int status, const std::string& reason)>;
  TrackerRelay(io::Loop& loop, sip::Signalling& agent, tracking::Registry& registry, const crypto::PrivateKey& key,
               Questions questions, OnRefused on_refused, UnixSeconds token_life);
  ~TrackerRelay();
  void invite(sip::CallId id, const sip::Request& request);
  void reinvite(sip::CallId id, const sip::Request& request);
  void ended(sip::CallId id, const std::string& reason);
  // Who is entitled has changed: what is no longer allowed ends now.
  void check();
  json::Object status() const;
  std::size_t calls() const { return calls_.size(); }

 private:
  struct Refusal {
    int status;
    std::string reason;
    int retry_after = 0;
    crypto::Digest root{};
    std::string whom = {};
  };
  struct Onward {
    sip::Request request;
    tracking::RelayedCall call;
  };
  Expected<Onward, Refusal> forwarded(const sip::Request& request);
  void refuse(sip::CallId id, const sip::Request& request, const Refusal& refusal);
  void probe(tracking::Leg leg);
  void hang_up(const tracking::RelayedCalls::Ended& ended);
  void beat();
  static sip::Response passed_on(const sip::Response& response);

  io::Loop& loop_;
  sip::Signalling& agent_;
  tracking::Registry& registry_;
  const crypto::PrivateKey& key_;
  const crypto::PublicKey public_key_;
  Questions questions_;
  OnRefused on_refused_;
  UnixSeconds token_life_;
  tracking::TokenGate gate_;
  tracking::RelayedCalls calls_;
  io::Loop::TimerId beat_timer_ = 0;
};

}  // namespace sealcast::roles
