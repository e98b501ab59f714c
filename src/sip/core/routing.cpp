// Where a request goes: to a service over its TLS listener, to a subscriber over the connection he registered on,
// nowhere else.
#include <algorithm>
#include <cctype>

#include "sip/core/impl.hpp"

namespace sealcast::sip {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

// What does not depend on who asks. The form of the octets was looked at before (message_form.hpp).
CoreState::Decision<void> CoreState::check_form(const Peer& peer, const sip_t* sip) const {
  const auto* uri = sip->sip_request->rq_url;
  // RFC 3261 section 18.1.1: the Via names the transport that is used, and only over that one may an answer go.
  const auto transport = std::string("SIP/2.0/") + (peer.facts.tls ? "TLS" : "TCP");
  if (!sip->sip_via || !same_word(text_or_empty(sip->sip_via->v_protocol), transport))
    return unexpected(Rejection{400, "the Via names another transport than it came over"});
  if (uri->url_type != url_sip && uri->url_type != url_sips)
    return unexpected(Rejection{416, "only sip URIs are routed here"});
  if (wants_udp(uri) || (sip->sip_route && wants_udp(sip->sip_route->r_url)))
    return unexpected(Rejection{403, "udp is not spoken here"});
  if (sip->sip_max_forwards && sip->sip_max_forwards->mf_count == 0) return unexpected(Rejection{483, "Too Many Hops"});
  if (const auto unknown = unsupported(sip->sip_proxy_require); !unknown.empty())
    return unexpected(Rejection{420, "Bad Extension", unknown});
  // The agents behind this core take no part in reliable provisional responses (RFC 3262).
  if (::sip_has_feature(sip->sip_require, "100rel"))
    return unexpected(Rejection{420, "Bad Extension", "Unsupported: 100rel"});
  return check_loops(peer, sip);
}

// RFC 3261 section 16.3 item 4. A UE has no business in passing on what came through here; a service may do so once.
CoreState::Decision<void> CoreState::check_loops(const Peer& peer, const sip_t* sip) const {
  int own = 0;
  for (auto* via = sip->sip_via; via; via = via->v_next) {
    const bool tls = same_word(text_or_empty(via->v_protocol), "SIP/2.0/TLS");
    own += own_addresses_.count(text_or_empty(via->v_host) + ":" +
                                (via->v_port ? via->v_port
                                 : tls       ? "5061"
                                             : "5060"))
               ? 1
               : 0;
  }
  if (own > (peer.facts.side == ConnectionFacts::Side::service ? 1 : 0))
    return unexpected(Rejection{482, "Loop Detected"});
  return {};
}

bool CoreState::is_own_address(const url_t* url) const {
  if (!url->url_host) return false;
  char transport[16] = "";
  if (url->url_params) ::url_param(url->url_params, "transport", transport, sizeof transport);
  const bool tls = url->url_type == url_sips || same_word(transport, "tls");
  return own_addresses_.count(std::string(url->url_host) + ":" +
                              (url->url_port ? url->url_port
                               : tls         ? "5061"
                                             : "5060")) > 0;
}

// Takes our own entries off the Route; returns the token of the dialog if one of them holds it.
CoreState::Decision<std::string> CoreState::pop_own_routes(const Message& message) const {
  std::string token;
  auto* sip = message.sip();
  while (sip->sip_route && is_own_address(sip->sip_route->r_url)) {
    const auto user = text_or_empty(sip->sip_route->r_url->url_user);
    if (token.empty() && user != "orig") token = user;  // "orig": the Service-Route
    ::sip_route_remove(message.get(), sip);
  }
  if (sip->sip_route) return unexpected(Rejection{403, "the route leads elsewhere"});
  return token;
}

CoreState::Decision<Target> CoreState::target_of(const Message& message, const Source& source) {
  auto token = pop_own_routes(message);
  if (!token) return unexpected(token.error());
  if (!token->empty()) return target_in_dialog(*token, source);
  const auto* sip = message.sip();
  if (sip->sip_to->a_tag) return unexpected(Rejection{403, "no such dialog leads through here"});
  return target_of_uri(sip->sip_request->rq_url);
}

// The token names both ends; the sender must be one of them, and the request goes to the other one. Whoever steals a
// token is neither.
CoreState::Decision<Target> CoreState::target_in_dialog(const std::string& token, const Source& source) {
  auto ends = tokens_.open(token);
  if (!ends) return unexpected(Rejection{403, "no such dialog leads through here"});
  auto& [caller, callee] = *ends;
  for (const auto& end : {caller, callee}) {
    if (end.kind == Party::Kind::subscriber && end.generation != generation_of(end.name))
      return unexpected(Rejection{481, "a party of the dialog is no subscriber any more"});
  }
  const int as_caller = likeness(caller, source.party), as_callee = likeness(callee, source.party);
  if (as_caller == 0 && as_callee == 0) return unexpected(Rejection{403, "the dialog is of others"});
  const auto& other = as_callee > as_caller ? caller : callee;
  if (other.kind == Party::Kind::subscriber) return to_subscriber(other.name, other.binding, true);
  const auto* route = service_named(other.name);
  if (!route) return unexpected(Rejection{481, "the service is not there any more"});
  return to_service(*route);
}

// 0: another one. A service may have several names (its own, a domain of pseudonyms): the certificate is what counts
// then.
int CoreState::likeness(const Party& end, const Party& source) const {
  if (end.kind != source.kind) return 0;
  if (end.name == source.name) return end.binding == source.binding ? 3 : 2;
  if (end.kind == Party::Kind::subscriber) return 0;
  const auto *a = service_named(end.name), *b = service_named(source.name);
  return a && b && a->certificate_name == b->certificate_name ? 1 : 0;
}

const ServiceRoute* CoreState::service_named(const std::string& name) const {
  auto found = std::find_if(config_.services.begin(), config_.services.end(),
                            [&](const auto& each) { return each.user_or_domain == name; });
  return found == config_.services.end() ? nullptr : &*found;
}

const ServiceRoute* CoreState::service_of(const url_t* url) const {
  if (!url || !url->url_host) return nullptr;
  const auto host = lower(url->url_host), user = text_or_empty(url->url_user);
  for (const auto& each : config_.services) {
    if (each.whole_domain ? host == lower(each.user_or_domain) && !user.empty()
                          : host == lower(config_.domain) && user == each.user_or_domain)
      return &each;
  }
  return nullptr;
}

CoreState::Decision<Target> CoreState::target_of_uri(const url_t* url) const {
  if (const auto* route = service_of(url)) return to_service(*route);
  if (lower(text_or_empty(url->url_host)) != lower(config_.domain))
    return unexpected(Rejection{404, "the domain is not served here"});
  return to_subscriber(text_or_empty(url->url_user), 0, false);
}

Target CoreState::to_service(const ServiceRoute& route) const {
  return {{Party::Kind::service, route.user_or_domain, 0},
          k_no_connection,
          true,
          {},
          route.address,
          route.certificate_name};
}

// The same answer for who is not registered and who does not exist. in_dialog: the Request-URI is the callee's own,
// already.
CoreState::Decision<Target> CoreState::to_subscriber(const std::string& user, std::uint64_t binding,
                                                     bool in_dialog) const {
  const auto* found = bindings_.reachable(user, binding);
  if (!found && in_dialog) return unexpected(Rejection{480, "the other end is not registered any more"});
  if (!found) return unexpected(Rejection{404, "not registered"});
  return Target{{Party::Kind::subscriber, user, found->id, generation_of(user)},
                found->connection,
                found->tls,
                in_dialog ? "" : found->contact,
                {},
                {}};
}

std::string CoreState::route_uri(const Peer& peer, const std::string& user) const {
  return "<sip:" + user + "@" + peer.facts.own + (peer.facts.tls ? ";transport=tls" : ";transport=tcp") + ";lr>";
}

// Both ends come back to the listener that they know: two entries when those differ, the callee's on top (RFC 5658).
void CoreState::record_route(const Message& message, const Source& source, const Peer& from, const Target& target,
                             const Peer& to) {
  const auto token = tokens_.seal(source.party, target.party);
  const auto near = route_uri(from, token), far = route_uri(to, token);
  ::sip_add_make(message.get(), message.sip(), sip_record_route_class, near.c_str());
  if (far != near)
    ::sip_add_make(message.get(), message.sip(), sip_record_route_class, far.c_str());  // goes before the first
}

}  // namespace sealcast::sip
