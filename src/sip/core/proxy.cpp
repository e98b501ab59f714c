// The way of a request through the core (RFC 3261 section 16): remembered until its final answer, but for ACK.
#include "base/log.hpp"
#include "base/text.hpp"
#include "sip/core/impl.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_answer_time = 8s;   // for any answer at all: RFC 3261 section 17 has 64*T1, cut from 32 s
constexpr Duration k_invite_time = 32s;  // of an INVITE that rings, to its final answer
constexpr Duration k_cancel_time = 4s;   // for the answer of what was cancelled
// Of what a relayed request keeps in memory until its answer: Vias and names, and the whole of it when another device
// may be asked.
constexpr std::size_t k_most_kept = 8 << 10, k_most_original = 32 << 10;

const char* k_allow = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH, REGISTER";
const char* k_inline_key_warning =
    "inline-key-needs-tls: keys in SDP travel over TLS only, and one of the two hops here is TCP";

bool makes_dialog(sip_method_t method) {
  return method == sip_method_invite || method == sip_method_subscribe || method == sip_method_refer;
}

}  // namespace

Rejection CoreState::key_needs_tls() const {
  return {488, "Not Acceptable Here", "Warning: 399 " + config_.domain + " \"" + k_inline_key_warning + "\""};
}

void CoreState::on_request(Incoming& incoming) {
  const auto* sip = incoming.sip();
  const auto method = sip->sip_request->rq_method;
  const bool of_ue = incoming.peer.facts.side == ConnectionFacts::Side::ue;
  if (auto fit = check_form(incoming.peer, sip); !fit) return refuse(incoming, fit.error());
  if (method == sip_method_cancel) return on_cancel(incoming);
  if (method == sip_method_register && of_ue) return on_register(incoming);
  auto source = source_of(incoming);
  if (!source) return refuse(incoming, source.error());
  if (method == sip_method_register) return refuse(incoming, {405, "services do not register", k_allow});
  if (!sip->sip_request->rq_url->url_user && !sip->sip_to->a_tag) return on_own(incoming);
  if (seen_before(incoming)) return;
  if (auto done = forward(incoming, *source); !done) refuse(incoming, done.error());
}

// Asked of the core itself.
void CoreState::on_own(Incoming& incoming) {
  const auto* sip = incoming.sip();
  const auto* url = sip->sip_request->rq_url;
  if (!same_word(text_or_empty(url->url_host), config_.domain) && !is_own_address(url))
    return refuse(incoming, {404, "the domain is not served here"});
  if (const auto unknown = unsupported(sip->sip_require); !unknown.empty())
    return refuse(incoming, {420, "Bad Extension", unknown});
  if (sip->sip_request->rq_method == sip_method_options) return answer(incoming, {200, "OK", k_allow});
  refuse(incoming, {405, "Method Not Allowed", k_allow});
}

// Over a stream nobody sends twice; who does it all the same gets one answer and does no harm. The ACK for an answer
// that was no 2xx ends here as well.
bool CoreState::seen_before(Incoming& incoming) {
  const auto key = upstream_key(incoming.peer.id, incoming.sip());
  const bool ack = incoming.sip()->sip_request->rq_method == sip_method_ack;
  const auto* finished = relays_.finished(key);
  if (relays_.under_way(key).empty() && !finished) return false;
  if (ack) return !finished || !finished->accepted;
  ++repeated_;
  return true;
}

CoreState::Decision<Peer*> CoreState::peer_for(const Target& target) {
  if (target.connection != k_no_connection) {
    if (auto* peer = peer_of(target.connection)) return peer;
    return unexpected(Rejection{480, "the connection of the other end is gone"});
  }
  if (auto found = dialled_.find(target.address); found != dialled_.end()) {
    if (auto* peer = peer_of(found->second)) return peer;
  }
  ConnectionFacts facts{ConnectionFacts::Side::service, true, target.address, {}, addresses_.service_tls, {}};
  const auto id = wire_.dial(target.address, target.name, facts);
  if (id == k_no_connection) return unexpected(Rejection{504, "the service does not answer"});
  auto& peer = peers_[id];
  peer.id = id;
  peer.facts = std::move(facts);
  peer.dialled = true;
  dialled_[target.address] = id;
  note_own(peer.facts.own);
  return &peer;
}

CoreState::Decision<void> CoreState::forward(Incoming& incoming, const Source& source) {
  auto message = copy_of(incoming.message);
  if (!message) return unexpected(Rejection{500, "out of memory"});
  auto target = target_of(message, source);
  if (!target) return unexpected(target.error());
  auto* sip = message.sip();
  if (!may_carry(sip, source.tls && target->tls)) return unexpected(key_needs_tls());
  const bool ack = sip->sip_request->rq_method == sip_method_ack;
  if (!ack) {
    if (auto full = relays_.would_refuse(source)) return unexpected(too_many(*full, "requests"));
  }
  Relay relay;
  relay.request = stub_of(incoming.sip());
  if (!relay.request || print(relay.request).size() > k_most_kept)
    return unexpected(Rejection{513, "the names and Vias are larger than 8 KiB"});
  // A subscriber may have several devices, and one that is not meant says 404: the next one is asked then.
  const bool forks = target->party.kind == Party::Kind::subscriber && !target->request_uri.empty();
  if (forks && !ack && bindings_.of(target->party.name).size() > 1 && print(message).size() <= k_most_original) {
    relay.original = copy_of(message);
    relay.tried.insert(target->party.binding);
  }
  auto to = peer_for(*target);
  if (!to) return unexpected(to.error());
  const auto branch = fresh_branch();
  if (auto ready = prepare(message, source, incoming.peer, *target, **to, branch); !ready) return ready;
  ++relayed_;
  if (ack) {
    transmit((*to)->id, message);
    return {};
  }
  relay.sender = incoming.peer.id;
  relay.onward = (*to)->id;
  relay.upstream = upstream_key(incoming.peer.id, incoming.sip());
  relay.source = source;
  relay.callee = target->party;
  relay.to_tls = target->tls;
  relay.invite = sip->sip_request->rq_method == sip_method_invite;
  relay.end = now_ + k_invite_time;
  if (relay.invite && !transmit(relay.sender, make_answer(incoming.sip(), 100, "Trying", {}, {}))) return {};
  launch(branch, std::move(relay), message);
  return {};
}

// What the core changes in a request that it sends on.
CoreState::Decision<void> CoreState::prepare(const Message& message, const Source& source, const Peer& from,
                                             const Target& target, const Peer& to, const std::string& branch) {
  auto* sip = message.sip();
  const auto method = sip->sip_request->rq_method;
  if (auto done = assert_identity(message, source, target); !done) return done;
  if (makes_dialog(method) && !sip->sip_to->a_tag) record_route(message, source, from, target, to);
  auto forwards = std::to_string(sip->sip_max_forwards ? sip->sip_max_forwards->mf_count - 1 : 70);
  ::sip_add_tl(message.get(), sip, SIPTAG_MAX_FORWARDS_STR(forwards.c_str()), TAG_END());
  if (!target.request_uri.empty() && !set_request_uri(message, target.request_uri))
    return unexpected(Rejection{500, "the contact cannot be used"});
  add_via(message, to.facts.tls, to.facts.own, branch);
  return {};
}

void CoreState::launch(const std::string& branch, Relay relay, const Message& message) {
  relay.sent = stub_of(message.sip());
  const auto onward = relay.onward;
  const auto text = print(message);
  if (relays_.add(branch, std::move(relay), now_ + k_answer_time)) return;
  transmit(onward, text);
}

// RFC 3261 section 16.7, one after the other. True: the request is on its way to another device.
bool CoreState::try_next_device(const std::string& branch) {
  auto* known = relays_.find(branch);
  if (!known || !known->original || known->cancelled || known->answered) return false;
  const auto* next = bindings_.untried(known->callee.name, known->tried);
  const auto* from = peer_of(known->sender);
  const auto* to = next ? peer_of(next->connection) : nullptr;
  if (!from || !to) return false;
  const Target target{{Party::Kind::subscriber, next->user, next->id, generation_of(next->user)},
                      next->connection,
                      next->tls,
                      next->contact,
                      {},
                      {}};
  auto message = copy_of(*known->original);
  const auto fresh = fresh_branch();
  if (!message || !may_carry(message.sip(), known->source.tls && target.tls) ||
      !prepare(message, known->source, *from, target, *to, fresh))
    return false;
  auto relay = std::move(*relays_.take(branch));
  relay.tried.insert(next->id);
  relay.callee = target.party;
  relay.onward = to->id;
  relay.to_tls = target.tls;
  relay.proceeding = false;
  launch(fresh, std::move(relay), message);
  return true;
}

void CoreState::on_cancel(Incoming& incoming) {
  const auto branch = relays_.under_way(upstream_key(incoming.peer.id, incoming.sip()));
  auto* relay = relays_.find(branch);
  if (!relay || !relay->invite || relay->answered) return refuse(incoming, {481, "there is nothing to cancel"});
  cancel(branch, *relay);
  answer(incoming, {200, "OK"});
}

void CoreState::cancel(const std::string& branch, Relay& relay) {
  if (relay.cancelled) return;
  relay.cancelled = true;
  relay.end = now_ + k_cancel_time;
  relays_.prolong(branch, relay.end);
  if (relay.proceeding) send_cancel(relay);
}

void CoreState::send_cancel(Relay& relay) {
  if (relay.cancel_sent) return;
  relay.cancel_sent = true;
  if (auto* to = peer_of(relay.onward))
    wire_.send(to->id, print(make_follower(relay.sent.sip(), SIP_METHOD_CANCEL, nullptr)));
}

// Its sender is gone: nobody wants the answer, but a callee that rings is told so.
void CoreState::abandon(const std::string& branch, Relay& relay) {
  relay.answered = true;
  if (!relay.invite || !peer_of(relay.onward)) {
    finish(branch, false);
    return;
  }
  cancel(branch, relay);
}

}  // namespace sealcast::sip
