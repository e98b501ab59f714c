#pragma once
// What signalling sees of the media plane: offers and answers become associations, and channels are opened on them.
// MediaNode is the one with an engine and a socket behind it.
#include <functional>
#include <string>

#include "base/address.hpp"
#include "sdp/offer_answer.hpp"
#include "swarm/engine.hpp"

namespace sealcast::roles {

// An offer that is out and waits for its answer.
struct PendingOffer {
  sdp::MediaDescription offer;
  std::string text;
};

// An association as signalling made it. Removed with MediaPlane::drop.
struct NegotiatedAssociation {
  swarm::AssociationId id = 0;
  Endpoint remote;     // where the partner's media come from
  std::string answer;  // SDP to send back (answerer)
  bool secured = false;
  std::string suite;  // "AEAD_AES_128_GCM" or empty
};

// One thread: the loop's. Events of an association go to on_event of who made it, never from within a call of it, until
// it is dropped.
class MediaPlane {
 public:
  using OnEvent = std::function<void(const swarm::Event&)>;
  virtual ~MediaPlane() = default;

  virtual PendingOffer offer(bool secured) = 0;
  // Offerer: the answer is checked, the association made. Errors carry rule and side.
  virtual Result<NegotiatedAssociation> accept_answer(const PendingOffer& pending, std::string_view answer,
                                                      bool secured_required, swarm::PartnerKind partner,
                                                      OnEvent on_event) = 0;
  // Answerer. Refusal: answer 488 with its warning().
  virtual Expected<NegotiatedAssociation, sdp::Refusal> answer_offer(std::string_view offer, const sdp::Policy& policy,
                                                                     swarm::PartnerKind partner, OnEvent on_event) = 0;
  // Answerer: the partner may open channels of this swarm.
  virtual void admit(swarm::AssociationId id, const swarm::SwarmId& swarm) = 0;
  // Offerer: asks the partner for one; channel_open or channel_closed follows. Fails when the association is weaker
  // than the swarm wants it, or the swarm is not here.
  virtual Status open_channel(swarm::AssociationId id, const swarm::SwarmId& swarm) = 0;
  virtual void drop(swarm::AssociationId id) = 0;
};

// rule and side into the Error of a command: exit code 10.
Error negotiation_error(const sdp::Refusal& refusal, std::string side);

}  // namespace sealcast::roles
