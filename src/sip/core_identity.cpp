// Who sent a request, what the core says about him to others, and what may cross which hop.
#include "sip/core_impl.hpp"

namespace sealcast::sip {

CoreState::Decision<Source> CoreState::source_of(const Incoming& incoming) const {
  if (::tport_is_closed(incoming.connection))
    return unexpected(Refusal{403, "the connection is gone"});  // and its subjects are freed
  if (incoming.side.kind == CoreSide::Kind::ue) return subscriber_on(incoming.sip(), incoming.connection);
  // Only while the message is being delivered; the list belongs to the connection.
  return service_with(::tport_delivered_from_subjects(::nta_agent_tports(incoming.side.agent), incoming.message.get()),
                      incoming.sip());
}

// A To-tag, a Route or a From prove nothing: only the connection does, since a registration came over it.
CoreState::Decision<Source> CoreState::subscriber_on(const sip_t* sip, tport_t* connection) const {
  const auto& users = bindings_.users_on(connection);
  if (users.empty()) return unexpected(Refusal{403, "register first"});
  auto user = users.front();
  if (users.size() > 1) {
    const auto from = identity_of(sip->sip_from->a_url);
    for (const auto& each : users) {
      if (impu(each) == from) user = each;
    }
  }
  const auto* binding = bindings_.on(user, connection);
  if (!binding || binding->expires <= seconds_now()) return unexpected(Refusal{403, "register first"});
  return Source{{Party::Kind::subscriber, user, binding->id}, impu(user), ::tport_has_tls(connection) != 0};
}

// The certificate says who may speak; among the identities that it covers, the one that the service claims, else its
// first own name.
CoreState::Decision<Source> CoreState::service_with(const su_strlst_t* subjects, const sip_t* sip) const {
  const auto carries = [&](const std::string& name) {
    for (isize_t i = 0, size = subjects ? su_strlst_len(subjects) : 0; i < size; ++i) {
      if (same_word(text_or_empty(::su_strlst_item(subjects, static_cast<usize_t>(i))), name)) return true;
    }
    return false;
  };
  const auto* claimed = sip_p_asserted_identity(sip);
  const url_t* claim = claimed && !claimed->paid_next ? claimed->paid_url : sip->sip_from->a_url;
  const auto* route = service_of(claim);
  if (route && carries(route->certificate_name))
    return Source{{Party::Kind::service, route->user_or_domain, 0}, identity_of(claim), true};
  for (const auto& each : config_.services) {
    if (each.whole_domain || !carries(each.certificate_name)) continue;
    return Source{{Party::Kind::service, each.user_or_domain, 0}, impu(each.user_or_domain), true};
  }
  return unexpected(Refusal{403, "the certificate is of no known service"});
}

void CoreState::assert_identity(const Message& message, const Source& source, const Target& target) {
  const bool hidden = wants_privacy(message.sip()) && source.party.kind == Party::Kind::subscriber &&
                      target.party.kind == Party::Kind::subscriber;
  remove_assertions(message);
  if (!hidden) set_asserted_identity(message, source.identity);
  if (source.party.kind != Party::Kind::subscriber || target.party.kind != Party::Kind::service) return;
  const auto device = subscribers_.device_of(source.party.name);
  if (device.empty()) return;
  const auto header = "P2PCDS-Device: " + device;
  ::sip_add_tl(message.get(), message.sip(), SIPTAG_HEADER_STR(header.c_str()), TAG_END());
}

// docs/protocol.md section 5, rule inline-key-needs-tls: a key in SDP is readable to whoever sees the hop.
bool CoreState::may_carry(const sip_t* sip, bool both_tls) const {
  return both_tls || config_.insecure_signalling || !carries_inline_key(sip);
}

}  // namespace sealcast::sip
