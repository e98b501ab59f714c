#pragma once
// The answering side of media sessions, alike for cache and UE: offers are answered by policy, the swarms of the
// membership tokens admitted, and calls hung up when their channels are gone.
#include <map>
#include <vector>

#include "base/bounded_table.hpp"
#include "base/timers.hpp"
#include "roles/common/media_plane.hpp"
#include "sip/signalling.hpp"

namespace sealcast::roles {

class AnsweredCalls {
 public:
  AnsweredCalls(Timers& timers, sip::Signalling& agent, MediaPlane& media, std::string host);
  ~AnsweredCalls();

  struct Terms {
    sdp::Policy policy;
    std::vector<swarm::SwarmId> admitted;  // a good token came for each
    swarm::PartnerKind partner = swarm::PartnerKind::ue;
    std::string caller;        // asserted identity or pseudonym: calls of one caller are bounded
    bool service = false;      // a cache: part of the table is kept for those
    Duration life = k_a_call;  // what the caller's tokens have left: whoever may still have it calls again
  };
  static constexpr Duration k_a_call = std::chrono::seconds(300);
  // Answers 200 with SDP, 488 with rule, or 486 when there are too many.
  void answer(sip::CallId call, const sip::Request& invite, const Terms& terms);
  // Our own calls are not renegotiated: a new key or address is a new call. The running one goes on.
  void refuse_reinvite(sip::CallId call);

  void on_call_ended(sip::CallId call);
  void hang_up(const swarm::SwarmId& swarm, const std::string& reason);
  // Of the calls that this swarm is part of, those whose caller may no longer have it.
  void hang_up_unless(const swarm::SwarmId& swarm, const std::function<bool(const std::string& caller)>& allowed,
                      const std::string& reason);
  // Is this swarm part of a call?
  bool uses(const swarm::SwarmId& swarm) const { return users_.contains(swarm); }
  // The last call that this swarm was part of has ended; may be empty.
  std::function<void(const swarm::SwarmId& swarm)> on_unused;
  std::size_t size() const { return calls_.size(); }
  json::Object status() const { return calls_.status(); }

 private:
  void on_event(const swarm::Event& event);  // of its associations
  struct Call {
    swarm::AssociationId association = 0;
    std::string caller;
    std::vector<swarm::SwarmId> admitted;
    int channels = 0;
    Timers::TimerId patience = 0;  // until the first channel opens
  };
  void end(sip::CallId id, const std::string& reason);
  void end_old();
  void forget(const Call& call);

  Timers& timers_;
  sip::Signalling& agent_;
  MediaPlane& media_;
  std::string host_;  // warn-agent of Warning headers
  BoundedTable<sip::CallId, Call> calls_;
  std::map<swarm::AssociationId, sip::CallId> by_association_;
  std::map<swarm::SwarmId, std::size_t> users_;  // calls that each swarm is part of
  Timers::TimerId oldest_ = 0;
};

}  // namespace sealcast::roles
