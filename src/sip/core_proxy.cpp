// The way of a request through the core and of its responses back: stateful but for ACK (RFC 3261 section 16).
#include "base/log.hpp"
#include "base/text.hpp"
#include "sip/core_impl.hpp"

namespace sealcast::sip {
namespace {

constexpr isize_t k_most_waiting = 192;  // of the 256 places that the library has for one connection
constexpr std::size_t k_most_transactions = 10'000;
constexpr std::int64_t k_invite_seconds =
    32;  // for a final response, as RFC 3261 section 17.1.1.2 has it for none at all
constexpr std::int64_t k_cancel_seconds = 4;  // for the answer of what was cancelled

int response_came(CoreTransaction* transaction, nta_outgoing_t* client, const sip_t* sip) {
  transaction->core->on_response(*transaction, client, sip);
  return 0;
}

int cancel_came(CoreTransaction* transaction, nta_incoming_t*, const sip_t* sip) {
  transaction->core->on_cancel(*transaction, sip);
  return 0;
}

// More answers waiting than an honest client lets wait.
bool cut_off_if_deaf(tport_t* connection) {
  if (::tport_is_closed(connection) || ::tport_queuelen(connection) < k_most_waiting) return false;
  ::tport_shutdown(connection, 2);
  return true;
}

const char* k_inline_key_warning =
    "inline-key-needs-tls: keys in SDP travel over TLS only, and one of the two hops here is TCP";

}  // namespace

void CoreState::on_message(CoreSide& side, Message message) {
  auto* connection = ::tport_delivered_by(::nta_agent_tports(side.agent), message.get());
  auto* sip = message.sip();
  // A response that no transaction waits for (any more), or a message that comes from nowhere.
  if (!sip || !sip->sip_request || !connection) return;
  // Who sends without reading what is answered is cut off before the library's queue is full: it cannot cope with that.
  if (cut_off_if_deaf(connection))
    return log(LogLevel::warning, "core", "closed " + peer_of(connection) + ": it does not read its answers");
  if (!::tport_is_clear_to_send(connection)) return;
  Incoming incoming{side, std::move(message), connection};
  on_request(incoming);
}

void CoreState::on_request(Incoming& incoming) {
  const auto* sip = incoming.sip();
  const auto method = sip->sip_request->rq_method;
  if (auto fit = check_form(incoming.side, sip); !fit) return refuse(incoming, fit.error());
  if (method == sip_method_cancel) return refuse(incoming, {481, "there is nothing to cancel"});
  if (incoming.side.kind == CoreSide::Kind::ue && method == sip_method_register) return on_register(incoming);
  auto source = source_of(incoming);
  if (!source) return refuse(incoming, source.error());
  if (method == sip_method_register) return refuse(incoming, {405, "services do not register"});
  if (method == sip_method_options && !sip->sip_request->rq_url->url_user)
    return answer(incoming, {200, "OK"});  // asked of the core itself: it is alive
  if (auto done = forward(incoming, *source); !done) refuse(incoming, done.error());
}

CoreState::Decision<void> CoreState::forward(Incoming& incoming, const Source& source) {
  Message message(::msg_dup(incoming.message.get()));
  if (!message) return unexpected(Refusal{500, "out of memory"});
  auto target = target_of(message, source);
  if (!target) return unexpected(target.error());
  auto* sip = message.sip();
  if (!may_carry(sip, source.tls && target->tls))
    return unexpected(
        Refusal{488, "Not Acceptable Here", "Warning: 399 " + config_.domain + " \"" + k_inline_key_warning + "\""});
  const auto method = sip->sip_request->rq_method;
  if (method != sip_method_ack && transactions_.size() >= k_most_transactions)
    return unexpected(Refusal{503, "too many requests are under way", "Retry-After: 5"});

  // A subscriber may have several devices, and one that is not meant says 404: the next one is asked then.
  const bool forks = target->party.kind == Party::Kind::subscriber && !target->request_uri.empty();
  Message original(forks && bindings_.of(target->party.name).size() > 1 ? ::msg_dup(message.get()) : nullptr);
  if (auto ready = prepare(message, source, *target); !ready) return ready;
  ++relayed_;
  if (method != sip_method_ack) return start(incoming, std::move(message), source, *target, std::move(original));
  send_ack(side_of(target->party), std::move(message), *target);
  return {};
}

// What the core changes in a request that it sends on.
CoreState::Decision<void> CoreState::prepare(const Message& message, const Source& source, const Target& target) {
  auto* sip = message.sip();
  const auto method = sip->sip_request->rq_method;
  assert_identity(message, source, target);
  if ((method == sip_method_invite || method == sip_method_subscribe || method == sip_method_refer) &&
      !sip->sip_to->a_tag)
    record_route(message, source, target, source.tls);
  auto forwards = std::to_string(sip->sip_max_forwards ? sip->sip_max_forwards->mf_count - 1 : 70);
  ::sip_add_tl(message.get(), sip, SIPTAG_MAX_FORWARDS_STR(forwards.c_str()), TAG_END());
  if (!target.request_uri.empty()) {
    auto* line = ::sip_request_create(message.home(), method, sip->sip_request->rq_method_name,
                                      reinterpret_cast<const url_string_t*>(target.request_uri.c_str()), nullptr);
    if (!line) return unexpected(Refusal{500, "the contact cannot be used"});
    ::msg_header_insert(message.get(), reinterpret_cast<msg_pub_t*>(sip), reinterpret_cast<msg_header_t*>(line));
  }
  return {};
}

CoreState::Decision<void> CoreState::start(Incoming& incoming, Message message, const Source& source,
                                           const Target& target, Message original) {
  auto& transaction = transactions_.emplace_back();
  transaction.self = std::prev(transactions_.end());
  transaction.core = this;
  transaction.to = &side_of(target.party);
  transaction.sender = Connection(incoming.connection);
  if (target.connection) transaction.connection = Connection(target.connection);
  transaction.route = target.route;
  transaction.from_tls = source.tls;
  transaction.to_tls = target.tls;
  transaction.invite = message.sip()->sip_request->rq_method == sip_method_invite;
  transaction.deadline = seconds_now() + k_invite_seconds;
  auto* route = target.route.empty() ? nullptr : reinterpret_cast<const url_string_t*>(transaction.route.c_str());
  transaction.client = ::nta_outgoing_mcreate(transaction.to->agent, response_came, &transaction, route, message.get(),
                                              TAG_IF(target.connection, NTATAG_TPORT(target.connection)), TAG_END());
  if (!transaction.client) {
    transactions_.pop_back();
    return unexpected(Refusal{503, "the request cannot be sent on"});
  }
  message.release();
  if (original) {
    transaction.original.emplace(std::move(original));
    transaction.source = source;
    transaction.callee = target.party.name;
    transaction.tried.insert(target.party.binding);
  }
  transaction.server = ::nta_incoming_create(incoming.side.agent, nullptr, ::msg_ref(incoming.message.get()), nullptr,
                                             NTATAG_TPORT(incoming.connection), TAG_END());
  ::nta_incoming_bind(transaction.server, cancel_came, &transaction);
  if (transaction.invite) ::nta_incoming_treply(transaction.server, SIP_100_TRYING, TAG_END());
  return {};
}

// ACK for a 2xx: a request of its own that nobody answers.
void CoreState::send_ack(CoreSide& to, Message message, const Target& target) {
  auto* route = target.route.empty() ? nullptr : reinterpret_cast<const url_string_t*>(target.route.c_str());
  if (::nta_outgoing_mcreate(to.agent, nullptr, nullptr, route, message.get(),
                             TAG_IF(target.connection, NTATAG_TPORT(target.connection)), NTATAG_STATELESS(1),
                             TAG_END()))
    message.release();
}

void CoreState::on_response(CoreTransaction& transaction, nta_outgoing_t* client, const sip_t* sip) {
  const int status = sip ? sip->sip_status->st_status : 0;
  if (status >= 100 && status < 200) {
    transaction.proceeding = true;
    if (transaction.cancelled) send_cancel(transaction);
    if (status > 100) relay_response(transaction, client);
    return;
  }
  const bool from_afar = sip && !::nta_sip_is_internal(sip);
  if (from_afar && status == 404 && try_next_device(transaction)) return;
  if (!from_afar) {
    answer_failure(transaction, sip ? status : ::nta_outgoing_status(client));
  } else {
    relay_response(transaction, client);
  }
  finish(transaction);
}

// RFC 3261 section 16.7, one after the other. True: the request is on its way to another device.
bool CoreState::try_next_device(CoreTransaction& transaction) {
  if (!transaction.original || transaction.cancelled) return false;
  const auto* next = bindings_.untried(transaction.callee, transaction.tried);
  if (!next) return false;
  transaction.tried.insert(next->id);
  const Target target{{Party::Kind::subscriber, transaction.callee, next->id},
                      next->connection.get(),
                      next->connection.tls(),
                      next->contact,
                      {}};
  Message message(::msg_dup(transaction.original->get()));
  if (!message || !may_carry(message.sip(), transaction.from_tls && target.tls) ||
      !prepare(message, transaction.source, target))
    return false;
  auto* client = ::nta_outgoing_mcreate(transaction.to->agent, response_came, &transaction, nullptr, message.get(),
                                        NTATAG_TPORT(target.connection), TAG_END());
  if (!client) return false;
  message.release();
  ::nta_outgoing_destroy(transaction.client);
  transaction.client = client;
  transaction.connection = Connection(target.connection);
  transaction.to_tls = target.tls;
  transaction.proceeding = false;
  transaction.deadline = seconds_now() + k_invite_seconds;
  return true;
}

void CoreState::relay_response(CoreTransaction& transaction, nta_outgoing_t* client) {
  Message response(::nta_outgoing_getresponse(client));
  if (!response) return;
  auto* sip = response.sip();
  if (!may_carry(sip, transaction.from_tls && transaction.to_tls)) {
    const auto warning = "399 " + config_.domain + " \"" + k_inline_key_warning + "\"";
    ::nta_incoming_treply(transaction.server, SIP_488_NOT_ACCEPTABLE, SIPTAG_WARNING_STR(warning.c_str()), TAG_END());
    return;
  }
  ::sip_via_remove(response.get(), sip);
  if (!sip->sip_via) return;
  cut_off_if_deaf(transaction.sender.get());
  remove_assertions(response);
  ::nta_incoming_mreply(transaction.server, response.release());
}

// Nobody answered: what that means depends on who was asked.
void CoreState::answer_failure(CoreTransaction& transaction, int status) {
  Refusal out{504, "the service does not answer"};
  if (transaction.cancelled) {
    out = {487, "Request Cancelled"};
  } else if (transaction.connection.get()) {
    out = status == 408 && transaction.invite ? Refusal{408, "the other end does not answer"}
                                              : Refusal{480, "the other end cannot be reached"};
  }
  ++refused_;
  cut_off_if_deaf(transaction.sender.get());
  log(LogLevel::info, "core",
      "refused " + text_or_empty(::nta_incoming_method_name(transaction.server)) + ": " + std::to_string(out.status) +
          " " + out.reason);
  ::nta_incoming_treply(transaction.server, out.status, out.reason.c_str(), TAG_END());
}

void CoreState::on_cancel(CoreTransaction& transaction, const sip_t* sip) {
  if (!sip) {  // the library gives the request up: its sender is gone
    transaction.cancelled = true;
    if (transaction.invite && transaction.proceeding) send_cancel(transaction);
    return finish(transaction);
  }
  if (sip->sip_request->rq_method != sip_method_cancel || transaction.cancelled) return;
  transaction.cancelled = true;
  transaction.deadline = seconds_now() + k_cancel_seconds;
  if (transaction.proceeding) send_cancel(transaction);
}

// Made here and not by nta_outgoing_tcancel(): over a stream that one gives up the INVITE at once, and its 487 comes to
// nobody.
void CoreState::send_cancel(CoreTransaction& transaction) {
  if (transaction.cancel_sent || !transaction.client) return;
  transaction.cancel_sent = true;
  Message invite(::nta_outgoing_getrequest(transaction.client));
  Message cancel(::nta_msg_create(transaction.to->agent, 0));
  const auto* old = invite.sip();
  auto* sip = cancel.sip();
  if (!old || !sip || !old->sip_via) return;
  const auto add = [&](auto* header) {
    if (header)
      ::msg_header_insert(cancel.get(), reinterpret_cast<msg_pub_t*>(sip), reinterpret_cast<msg_header_t*>(header));
  };
  auto via = *old->sip_via;
  via.v_next = nullptr;
  add(::sip_request_create(cancel.home(), SIP_METHOD_CANCEL,
                           reinterpret_cast<const url_string_t*>(old->sip_request->rq_url), nullptr));
  add(::sip_via_dup(cancel.home(), &via));
  add(::sip_route_dup(cancel.home(), old->sip_route));
  add(::sip_max_forwards_dup(cancel.home(), old->sip_max_forwards));
  add(::sip_from_dup(cancel.home(), old->sip_from));
  add(::sip_to_dup(cancel.home(), old->sip_to));
  add(::sip_call_id_dup(cancel.home(), old->sip_call_id));
  add(::sip_cseq_create(cancel.home(), old->sip_cseq->cs_seq, SIP_METHOD_CANCEL));
  auto* route = transaction.route.empty() ? nullptr : reinterpret_cast<const url_string_t*>(transaction.route.c_str());
  if (::nta_outgoing_mcreate(transaction.to->agent, nullptr, nullptr, route, cancel.get(), NTATAG_USER_VIA(1),
                             NTATAG_BRANCH_KEY(::nta_outgoing_branch(transaction.client)),
                             TAG_IF(transaction.connection.get(), NTATAG_TPORT(transaction.connection.get())),
                             TAG_END())) {
    cancel.release();
  }
}

void CoreState::finish(CoreTransaction& transaction) {
  ::nta_incoming_destroy(transaction.server);
  ::nta_outgoing_destroy(transaction.client);
  transactions_.erase(transaction.self);
}

void CoreState::sweep_transactions(std::int64_t now) {
  for (auto each = transactions_.begin(); each != transactions_.end();) {
    auto& transaction = *each++;
    if (!transaction.invite || transaction.deadline > now) continue;
    if (!transaction.cancelled && transaction.proceeding) send_cancel(transaction);
    answer_failure(transaction, 408);
    finish(transaction);
  }
}

// Without a transaction of the library: over TCP and TLS nothing is sent twice.
void CoreState::answer(Incoming& incoming, const Refusal& out) {
  ::nta_msg_treply(incoming.side.agent, incoming.message.release(), out.status, out.reason.c_str(),
                   TAG_IF(!out.header.empty(), SIPTAG_HEADER_STR(out.header.c_str())), TAG_END());
}

void CoreState::refuse(Incoming& incoming, const Refusal& refusal) {
  const auto* line = incoming.sip()->sip_request;
  if (line->rq_method == sip_method_ack) return;  // nobody waits for an answer: that of a refused INVITE comes here
  ++refused_;
  log(LogLevel::info, "core",
      "refused " + printable(text_or_empty(line->rq_method_name), 32) + " of " + peer_of(incoming.connection) +
          ", from " + printable(url_text(incoming.sip()->sip_from->a_url), 80) + ": " + std::to_string(refusal.status) +
          " " + refusal.reason);
  answer(incoming, refusal);
}

}  // namespace sealcast::sip
