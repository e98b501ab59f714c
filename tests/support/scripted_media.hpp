#pragma once
// A media plane without media: offers, answers and associations are words, and events come when the test says so.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "roles/common/media_plane.hpp"

namespace sealcast::test {

// An SDP text that begins with "refuse " is refused by the rule that follows; of another one that is an answer the
// text is the partner's media address.
class ScriptedMedia final : public roles::MediaPlane {
 public:
  struct Association {
    swarm::PartnerKind partner = swarm::PartnerKind::ue;
    bool secured = false;
    std::set<swarm::SwarmId> admitted, opened;
    OnEvent on_event;
  };
  std::map<swarm::AssociationId, Association> associations;
  std::size_t dropped = 0;
  bool channels_fail = false;

  // Only for associations that are there, as the node does it.
  void tell(swarm::AssociationId id, swarm::EventKind kind, std::string text = {}) {
    ASSERT_TRUE(associations.contains(id)) << "no such association";
    auto on_event = associations.at(id).on_event;  // which may drop it
    on_event({kind, id, {}, {}, std::move(text), {}});
  }

  roles::PendingOffer offer(bool secured) override { return {{}, secured ? "secured offer" : "plain offer"}; }
  Result<roles::NegotiatedAssociation> accept_answer(const roles::PendingOffer&, std::string_view answer, bool secured,
                                                     swarm::PartnerKind partner, OnEvent on_event) override {
    if (answer.starts_with("refuse "))
      return fail(roles::negotiation_error({std::string(answer.substr(7)), "no"}, "answerer"));
    auto out = add(secured, partner, std::move(on_event));
    auto remote = parse_endpoint(std::string(answer));
    EXPECT_TRUE(remote) << answer;
    if (remote) out.remote = *remote;
    return out;
  }
  Expected<roles::NegotiatedAssociation, sdp::Refusal> answer_offer(std::string_view offer, const sdp::Policy& policy,
                                                                    swarm::PartnerKind partner,
                                                                    OnEvent on_event) override {
    if (offer.starts_with("refuse ")) return unexpected(sdp::Refusal{std::string(offer.substr(7)), "no"});
    auto out = add(policy.secured_required, partner, std::move(on_event));
    out.answer = "answer to " + std::string(offer);
    return out;
  }
  void admit(swarm::AssociationId id, const swarm::SwarmId& swarm) override {
    associations.at(id).admitted.insert(swarm);
  }
  Status open_channel(swarm::AssociationId id, const swarm::SwarmId& swarm) override {
    if (channels_fail) return fail("this association is too weak");
    associations.at(id).opened.insert(swarm);
    return {};
  }
  void drop(swarm::AssociationId id) override {
    EXPECT_EQ(associations.erase(id), 1u) << "dropped twice";
    ++dropped;
  }

 private:
  roles::NegotiatedAssociation add(bool secured, swarm::PartnerKind partner, OnEvent on_event) {
    roles::NegotiatedAssociation out;
    out.id = ++last_id_;
    out.secured = secured;
    if (secured) out.suite = "AEAD_AES_128_GCM";
    associations[out.id] = {partner, secured, {}, {}, std::move(on_event)};
    return out;
  }

  swarm::AssociationId last_id_ = 0;
};

}  // namespace sealcast::test
