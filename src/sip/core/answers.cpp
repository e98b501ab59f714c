// Answers: those that come back through the core, and its own.
#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "sip/core/impl.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_remembered = 32s;  // what may still come after a final answer: RFC 3261 section 13.3.1.4, 64*T1
constexpr Duration k_linger = 4s;       // for the answer of a callee whose caller has his already

}  // namespace

// It counts if it names a request of ours, by a branch that nobody can guess, and comes from where that request went.
void CoreState::on_response(Peer& peer, const Message& message) {
  auto* sip = message.sip();
  const auto branch = branch_of(sip->sip_via);
  const int status = sip->sip_status ? sip->sip_status->st_status : 0;
  auto* relay = relays_.find(branch);
  if (!relay) return on_late_response(peer, message, branch);
  const auto* asked = relay->sent.sip()->sip_cseq;
  if (relay->onward != peer.id || !sip->sip_cseq || sip->sip_cseq->cs_seq != asked->cs_seq || status < 100) {
    ++unmatched_;
    return;
  }
  const auto method = text_or_empty(sip->sip_cseq->cs_method_name);
  if (method != text_or_empty(asked->cs_method_name)) {
    if (method != "CANCEL") ++unmatched_;
    return;
  }
  if (status < 200) {
    if (!relay->proceeding && relay->invite && !relay->cancelled && !relay->answered)
      relays_.prolong(branch, relay->end);
    relay->proceeding = true;
    if (relay->cancelled) send_cancel(*relay);
    if (status > 100 && !relay->answered) relay_response(*relay, message);
    return;
  }
  if (relay->invite && status >= 300) acknowledge(*relay, sip);
  if (status == 404 && try_next_device(branch)) return;
  relay = relays_.find(branch);
  if (!relay) return;
  const bool accepted = relay->invite && status < 300;
  const bool answered = relay->answered;
  auto done = finish(branch, accepted);
  if (done && !answered) relay_response(*done, message);
}

// A 2xx is said again until its ACK comes.
void CoreState::on_late_response(Peer& peer, const Message& message, const std::string& branch) {
  const auto* finished = relays_.finished_as(branch);
  auto* sip = message.sip();
  if (!finished || !finished->accepted || finished->onward != peer.id || sip->sip_status->st_status / 100 != 2 ||
      !sip->sip_via->v_next) {
    ++unmatched_;
    return;
  }
  auto* to = peer_of(finished->sender);
  if (!to || !may_carry(sip, to->facts.tls && peer.facts.tls)) return;
  ::sip_via_remove(message.get(), sip);
  remove_assertions(message);
  transmit(to->id, message);
}

void CoreState::relay_response(const Relay& relay, const Message& response) {
  if (!peer_of(relay.sender)) return;
  if (!may_carry(response.sip(), relay.source.tls && relay.to_tls)) {
    const auto refusal = key_needs_tls();
    transmit(relay.sender,
             make_answer(relay.request.sip(), refusal.status, refusal.reason, refusal.header, fresh_tag()));
    return;
  }
  if (!restore_vias(response, relay.request.sip())) return;
  remove_assertions(response);
  transmit(relay.sender, response);
}

void CoreState::acknowledge(const Relay& relay, const sip_t* response) {
  if (peer_of(relay.onward))
    wire_.send(relay.onward, print(make_follower(relay.sent.sip(), SIP_METHOD_ACK, response->sip_to)));
}

// The core answers in place of who does not. An INVITE that rings is cancelled, and stays until its answer is there.
void CoreState::fail_relay(const std::string& branch, const Rejection& why) {
  if (auto relay = relays_.take(branch)) conclude(branch, std::move(*relay), why);
}

void CoreState::conclude(const std::string& branch, Relay relay, const Rejection& why) {
  const auto sender = relay.sender;
  const bool answered = std::exchange(relay.answered, true);
  const auto out = relay.cancelled && why.status != 403 ? Rejection{487, "Request Cancelled"} : why;
  const auto answer = answered || !peer_of(sender)
                          ? std::string()
                          : print(make_answer(relay.request.sip(), out.status, out.reason, out.header, fresh_tag()));
  const Finished finished{relay.sender, relay.onward, branch, false};
  const auto upstream = relay.upstream;
  const auto source = relay.source;
  if (!answered && relay.invite && peer_of(relay.onward)) {
    relay.cancelled = true;
    if (relay.proceeding) send_cancel(relay);
    relay.end = now_ + k_linger;
    const auto until = relay.end;
    relays_.add(branch, std::move(relay), until);
  }
  relays_.remember(upstream, finished, source, now_ + k_remembered);
  if (answer.empty()) return;
  ++refused_;
  if (auto* peer = peer_of(sender)) say_refused(*peer, "a request: " + std::to_string(out.status) + " " + out.reason);
  transmit(sender, answer);
}

std::optional<Relay> CoreState::finish(const std::string& branch, bool accepted) {
  auto relay = relays_.take(branch);
  if (relay)
    relays_.remember(relay->upstream, {relay->sender, relay->onward, branch, accepted}, relay->source,
                     now_ + k_remembered);
  return relay;
}

void CoreState::sweep_relays() {
  while (auto expired = relays_.take_expired(now_)) {
    const bool service = expired->second.callee.kind == Party::Kind::service;
    conclude(expired->first, std::move(expired->second),
             service ? Rejection{504, "the service does not answer"} : Rejection{408, "the other end does not answer"});
  }
  relays_.sweep_finished(now_);
}

void CoreState::answer(Incoming& incoming, const Rejection& out, Duration pause) {
  const auto text = print(make_answer(incoming.sip(), out.status, out.reason, out.header, fresh_tag()));
  if (pause > Duration::zero()) return delay(incoming.peer.id, text, pause);
  transmit(incoming.peer.id, text);
}

void CoreState::refuse(Incoming& incoming, const Rejection& rejection, Duration pause) {
  const auto* line = incoming.sip()->sip_request;
  if (line->rq_method == sip_method_ack) return;  // nobody waits for an answer
  ++refused_;
  say_refused(incoming.peer, printable(text_or_empty(line->rq_method_name), 32) + " from " +
                                 printable(url_text(incoming.sip()->sip_from->a_url), 80) + ", " +
                                 std::to_string(rejection.status) + " " + rejection.reason + ",");
  answer(incoming, rejection, pause);
}

Rejection CoreState::too_many(const TableRefusal& refusal, const std::string& what) const {
  return {503,
          refusal.why == TableRefusal::Why::share ? "too many " + what + " of this " + refusal.scope + " are under way"
                                                  : "too many " + what + " are under way",
          "Retry-After: 5"};
}

std::string CoreState::fresh_tag() {
  std::array<std::uint8_t, 9> octets;
  random_.fill(octets);
  return base64url(octets);
}

}  // namespace sealcast::sip
