#pragma once
// The media side of a cache or UE: one engine, one UDP port, and the associations that SDP offers and answers make on
// it.
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "base/json.hpp"
#include "io/media_driver.hpp"
#include "roles/common/media_plane.hpp"

namespace sealcast::roles {

class MediaNode final : public MediaPlane {
 public:
  // on_event: events of swarms. Those of an association go to whoever made it, before the swarm's owner gets them.
  MediaNode(io::Loop& loop, RandomSource& random, swarm::EngineOptions options, OnEvent on_event);
  Status open(const std::string& listen);  // "127.0.0.1:0"
  void close();

  swarm::Engine& engine() { return engine_; }
  const swarm::Engine& engine() const { return engine_; }
  void pump() { driver_.pump(); }
  // Returns when all runs that have come are written, or refused, and count: before what is held is saved for the last
  // time.
  void settle() { driver_.settle(); }
  // With all that of its runs is under way: what it lies in may go afterwards.
  void remove_swarm(const swarm::SwarmId& swarm);
  json::Object status() const;  // the steps that are taken: segmentation, coalescing, storage_thread, crypto
  // What is on the books because of partners, by kind, in octets; `contents` is not limited.
  json::Object memory_status() const;

  PendingOffer offer(bool secured) override;
  Result<NegotiatedAssociation> accept_answer(const PendingOffer& pending, std::string_view answer,
                                              bool secured_required, swarm::PartnerKind partner,
                                              OnEvent on_event) override;
  Expected<NegotiatedAssociation, sdp::Refusal> answer_offer(std::string_view offer, const sdp::Policy& policy,
                                                             swarm::PartnerKind partner, OnEvent on_event) override;
  void admit(swarm::AssociationId id, const swarm::SwarmId& swarm) override { engine_.admit(id, swarm); }
  Status open_channel(swarm::AssociationId id, const swarm::SwarmId& swarm) override;
  void drop(swarm::AssociationId id) override;

 private:
  Result<NegotiatedAssociation> add(sdp::Agreement agreement, bool initiator, swarm::PartnerKind partner,
                                    OnEvent on_event);
  void deliver(const swarm::Event& event);

  Timers& timers_;
  RandomSource& random_;
  OnEvent on_event_;
  std::map<swarm::AssociationId, OnEvent> makers_;  // of associations
  swarm::Engine engine_;
  io::MediaDriver driver_;
};

}  // namespace sealcast::roles
