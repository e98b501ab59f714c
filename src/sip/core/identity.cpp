// Who sent a request, what the core says about him to others, and what may cross which hop.
#include "crypto/tls.hpp"
#include "sip/core/impl.hpp"

namespace sealcast::sip {

CoreState::Decision<Source> CoreState::source_of(const Incoming& incoming) const {
  return incoming.peer.facts.side == ConnectionFacts::Side::ue ? subscriber_on(incoming.sip(), incoming.peer)
                                                               : service_with(incoming.peer, incoming.sip());
}

// A To-tag, a Route or a From prove nothing: only the connection does, since a registration came over it.
CoreState::Decision<Source> CoreState::subscriber_on(const sip_t* sip, const Peer& peer) const {
  const auto users = bindings_.users_on(peer.id);
  if (users.empty()) return unexpected(Rejection{403, "register first"});
  auto user = users.front();
  if (users.size() > 1) {
    const auto from = identity_of(sip->sip_from->a_url);
    for (const auto& each : users) {
      if (impu(each) == from) user = each;
    }
  }
  const auto* binding = bindings_.on(user, peer.id);
  if (!binding || binding->expires <= now_) return unexpected(Rejection{403, "register first"});
  return Source{
      {Party::Kind::subscriber, user, binding->id, generation_of(user)}, impu(user), peer.facts.tls, peer.facts.source};
}

// The certificate says who may speak; among the identities that it covers, the one that the service claims, else its
// first own name.
CoreState::Decision<Source> CoreState::service_with(const Peer& peer, const sip_t* sip) const {
  const auto carries = [&](const std::string& name) { return crypto::has_name(peer.facts.subjects, name); };
  const auto* claimed = sip_p_asserted_identity(sip);
  const url_t* claim = claimed && !claimed->paid_next ? claimed->paid_url : sip->sip_from->a_url;
  const auto* route = service_of(claim);
  if (route && carries(route->certificate_name))
    return Source{{Party::Kind::service, route->user_or_domain, 0}, identity_of(claim), true, peer.facts.source};
  for (const auto& each : config_.services) {
    if (each.whole_domain || !carries(each.certificate_name)) continue;
    return Source{{Party::Kind::service, each.user_or_domain, 0}, impu(each.user_or_domain), true, peer.facts.source};
  }
  return unexpected(Rejection{403, "the certificate is of no known service"});
}

CoreState::Decision<void> CoreState::assert_identity(const Message& message, const Source& source,
                                                     const Target& target) {
  const bool hidden = wants_privacy(message.sip()) && source.party.kind == Party::Kind::subscriber &&
                      target.party.kind == Party::Kind::subscriber;
  remove_assertions(message);
  if (!hidden) set_asserted_identity(message, source.identity);
  if (source.party.kind != Party::Kind::subscriber || target.party.kind != Party::Kind::service) return {};
  const auto device = subscribers_.device_of(source.party.name);
  if (!device) return unexpected(store_failed(device.error()));
  if (device->empty()) return {};
  const auto header = "P2PCDS-Device: " + *device;
  ::sip_add_tl(message.get(), message.sip(), SIPTAG_HEADER_STR(header.c_str()), TAG_END());
  return {};
}

// docs/protocol.md section 5, rule inline-key-needs-tls: a key in SDP is readable to whoever sees the hop.
bool CoreState::may_carry(const sip_t* sip, bool both_tls) const {
  return both_tls || config_.insecure_signalling || !carries_inline_key(sip);
}

}  // namespace sealcast::sip
