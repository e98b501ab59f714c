#pragma once
// Invitations to pseudonyms: the tracker checks the token, invites the subscriber behind the pseudonym in the inviter's
// pseudonym's name, and joins the two dialogs (a back-to-back user agent). Neither side sees the other's identity.
#include <functional>
#include <map>

#include "io/loop.hpp"
#include "sip/agent.hpp"
#include "tracking/registry.hpp"

namespace sealcast::roles {

class TrackerRelay {
 public:
  // may_take_part: is this subscriber still entitled to the swarm?
  TrackerRelay(sip::Agent& agent, tracking::Registry& registry, const crypto::PrivateKey& key,
               std::function<bool(const crypto::Digest& root, const std::string& subscriber)> may_take_part);
  void invite(sip::CallId id, const sip::Request& request);
  void reinvite(sip::CallId id, const sip::Request& request);
  void ended(sip::CallId id, const std::string& reason);
  std::size_t calls() const { return partner_.size() / 2; }

 private:
  struct Refusal {
    int status;
    std::string reason;
  };
  Expected<sip::Request, Refusal> forwarded(const sip::Request& request);
  static sip::Response passed_on(const sip::Response& response);

  sip::Agent& agent_;
  tracking::Registry& registry_;
  const crypto::PrivateKey& key_;
  std::function<bool(const crypto::Digest&, const std::string&)> may_take_part_;
  std::map<sip::CallId, sip::CallId> partner_;  // both ways
};

}  // namespace sealcast::roles
