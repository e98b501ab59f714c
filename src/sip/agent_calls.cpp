#include <algorithm>

#include "base/text.hpp"
#include "sip/agent_impl.hpp"
#include "sip/agent_message.hpp"

namespace sealcast::sip {
namespace {

constexpr std::size_t k_most_calls = 4096;

Response final_response(int status, std::string reason) {
  Response out;
  out.status = status;
  out.reason = std::move(reason);
  return out;
}

std::string reason_of(const sip_t* sip) {
  if (sip->sip_reason == nullptr || sip->sip_reason->re_text == nullptr) return "the other side ended the call";
  std::string text = sip->sip_reason->re_text;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return printable(text);
}

}  // namespace

// --- One call ---

Call::~Call() {
  refuse_pending(480, nullptr);
  forget_accepted();
  ::nta_leg_destroy(leg);
}

void Call::refuse_pending(int status, const char* phrase) {
  if (pending == nullptr) return;
  auto* incoming = std::exchange(pending, nullptr);
  pending_until = k_no_time;
  ::nta_incoming_bind(incoming, nullptr, nullptr);
  if (phrase == nullptr) phrase = ::sip_status_phrase(status);
  ::nta_incoming_treply(incoming, status, phrase, TAG_END());
  ::nta_incoming_destroy(incoming);
}

void Call::forget_accepted() {
  if (accepted == nullptr) return;
  auto* incoming = std::exchange(accepted, nullptr);
  ::nta_incoming_bind(incoming, nullptr, nullptr);
  ::nta_incoming_destroy(incoming);
}

int Call::on_request(nta_incoming_t* incoming, const sip_t* sip) {
  switch (sip->sip_request->rq_method) {
    case sip_method_invite:
      // RFC 3261 section 14.2: one offer at a time, whoever makes it.
      if (pending != nullptr || accepted != nullptr || invite != 0 || !established) return 500;
      if (reinvite != 0) return 491;
      return on_invite(incoming, sip, false);
    case sip_method_bye: {
      refuse_pending(487, nullptr);
      // Destroys this call; the library answers the BYE afterwards and touches the transaction only.
      stack.calls().lost(id, reason_of(sip));
      return 200;
    }
    case sip_method_options:
      return 200;
    default:
      return 405;
  }
}

int Call::on_invite(nta_incoming_t* incoming, const sip_t* sip, bool first) {
  pending = incoming;
  pending_until = StackClock::now() + k_invite_answer_limit;
  ::nta_incoming_bind(incoming, &Call::on_ack_or_cancel, this);
  // At once: the other side's CANCEL waits for a provisional answer (RFC 3261 section 9.1), and its patience begins to
  // be ours.
  ::nta_incoming_treply(incoming, SIP_100_TRYING, TAG_END());
  if (!first) ::nta_leg_server_route(leg, nullptr, sip->sip_contact);
  stack.front().from_stack([call = id, first, request = stack.read(incoming, sip)](AgentFront& front) {
    if (first)
      front.invite_arrived(call, request);
    else
      front.reinvite_arrived(call, request);
  });
  return 0;
}

// ACK, CANCEL, or (no message) no ACK came.
int Call::on_ack_or_cancel(Call* call, nta_incoming_t* incoming, const sip_t* sip) {
  if (sip != nullptr && sip->sip_request->rq_method == sip_method_ack) {
    if (incoming == call->accepted) call->forget_accepted();
    return 0;
  }
  if (sip != nullptr) {  // the library answers 487 after this
    if (incoming != call->pending) return 0;
    call->pending = nullptr;
    call->pending_until = k_no_time;
    ::nta_incoming_destroy(incoming);
    if (!call->established) call->stack.calls().lost(call->id, "the other side cancelled its INVITE");
    return 0;
  }
  if (incoming == call->accepted) call->over = true;  // tick() ends it: this is the library's own timer
  return 0;
}

void Call::answer(const Response& response) {
  if (pending == nullptr) return;
  auto* incoming = std::exchange(pending, nullptr);
  pending_until = k_no_time;
  stack.respond(incoming, response);
  if (::nta_incoming_status(incoming) < 300) {
    accepted = incoming;
    established = true;
    return;
  }
  ::nta_incoming_bind(incoming, nullptr, nullptr);
  ::nta_incoming_destroy(incoming);
}

// --- Calls that we begin ---

void Calls::invite(CallId id, Request request) {
  auto call = std::make_unique<Call>(stack_, id);
  request.method = "INVITE";
  if (request.content_type.empty() && !request.body.empty()) request.content_type = "application/sdp";
  const auto& icsi = stack_.config().icsi;
  if (!icsi.empty()) {
    std::string escaped;
    for (char c : icsi) escaped += c == ':' ? "%3A" : std::string(1, c);
    request.headers.push_back({"Accept-Contact", "*;+g.3gpp.icsi-ref=\"" + escaped + "\""});
  }
  call->leg = stack_.closing() ? nullptr : stack_.make_leg(*call, request);
  if (call->leg != nullptr)
    call->invite =
        stack_.request(call->leg, request, [this, id](const Answer& answer) { invite_answered(id, answer); });
  if (call->invite == 0) {
    stack_.front().from_stack(
        [id](AgentFront& front) { front.call_failed(id, final_response(0, "the INVITE is malformed, or needs TLS")); });
    return;
  }
  calls_[id] = std::move(call);
}

void Calls::acknowledge(Call& call, const Answer& answer) {
  if (!call.established) ::nta_leg_rtag(call.leg, answer.sip->sip_to->a_tag);
  ::nta_leg_client_reroute(call.leg, answer.sip->sip_record_route, answer.sip->sip_contact, call.established ? 0 : 1);
  stack_.acknowledge(call.leg, answer.handle);
}

void Calls::invite_answered(CallId id, const Answer& answer) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  auto& call = *found->second;
  call.invite = 0;
  Response response = answer.response;
  if (response.ok()) {
    acknowledge(call, answer);
    call.established = true;
    if (!call.cancelled) {
      stack_.front().from_stack([id, response](AgentFront& front) { front.response_arrived(id, response); });
      return;
    }
    send_bye(call, "cancelled");  // the 200 was faster than our CANCEL
    response = final_response(487, "cancelled");
  }
  erase(id);
  stack_.front().from_stack([id, response](AgentFront& front) { front.call_failed(id, response); });
}

void Calls::reinvite(CallId id, std::uint64_t response_id, Request request) {
  auto found = calls_.find(id);
  const auto fail_with = [&](Response response) {
    stack_.front().from_stack([response_id, response = std::move(response)](AgentFront& front) {
      front.response_arrived(response_id, response);
    });
  };
  if (found == calls_.end() || !found->second->established)
    return fail_with(final_response(481, "there is no such call"));
  auto& call = *found->second;
  if (call.reinvite != 0 || call.pending != nullptr)
    return fail_with(final_response(491, "another offer is under way"));
  request.method = "INVITE";
  request.uri.clear();  // the remote target
  request.from.clear();
  request.to.clear();
  if (request.content_type.empty() && !request.body.empty()) request.content_type = "application/sdp";
  const auto made = stack_.request(
      call.leg, request, [this, id, response_id](const Answer& answer) { reinvite_answered(id, response_id, answer); });
  if (made == 0) return fail_with(final_response(0, "the INVITE is malformed"));
  call.reinvite = response_id;
}

void Calls::reinvite_answered(CallId id, std::uint64_t response_id, const Answer& answer) {
  auto found = calls_.find(id);
  if (found == calls_.end() || found->second->reinvite != response_id) return;
  auto& call = *found->second;
  call.reinvite = 0;
  if (answer.response.ok()) acknowledge(call, answer);
  stack_.front().from_stack(
      [response_id, response = answer.response](AgentFront& front) { front.response_arrived(response_id, response); });
  // RFC 3261 section 12.2.1.2: these say that the dialog is gone.
  if (answer.response.status == 481 || answer.response.status == 408)
    lost(id, "the other side does not know the call any more");
}

void Calls::probe(CallId id, std::uint64_t response_id) {
  const auto tell = [this, response_id](const Response& response) {
    stack_.front().from_stack(
        [response_id, response](AgentFront& front) { front.response_arrived(response_id, response); });
  };
  auto found = calls_.find(id);
  if (found == calls_.end() || !found->second->established) return tell(final_response(481, "there is no such call"));
  Request request;
  request.method = "OPTIONS";
  const auto made =
      stack_.request(found->second->leg, request, [tell](const Answer& answer) { tell(answer.response); });
  if (made == 0) tell(final_response(0, "the OPTIONS is malformed"));
}

// --- Calls of others ---

int Calls::arrived(nta_incoming_t* incoming, const sip_t* sip) {
  if (calls_.size() >= k_most_calls) return 503;
  if (sip->sip_contact == nullptr) return 400;
  const CallId id = stack_.front().next_id();
  auto call = std::make_unique<Call>(stack_, id);
  call->leg = stack_.accept_leg(*call, incoming, sip);
  if (call->leg == nullptr) return 500;
  auto& kept = *(calls_[id] = std::move(call));
  return kept.on_invite(incoming, sip, true);
}

void Calls::answer(CallId id, const Response& response) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  found->second->answer(response);
  if (found->second->established || found->second->invite != 0) return;
  erase(id);
  stack_.front().from_stack([id](AgentFront& front) { front.call_refused(id); });
}

// --- Ends ---

void Calls::send_bye(Call& call, const std::string& reason) {
  Request request;
  request.method = "BYE";
  if (!reason.empty()) {
    std::string text = phrase_text(reason);
    std::replace(text.begin(), text.end(), '"', '\'');
    std::replace(text.begin(), text.end(), '\\', '/');
    request.headers.push_back({"Reason", "SIP;cause=200;text=\"" + text + "\""});
  }
  stack_.request(call.leg, request, nullptr);
}

void Calls::bye(CallId id, const std::string& reason) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  auto& call = *found->second;
  if (call.invite != 0) {  // stays until the final answer: a 200 that is under way must be acknowledged
    call.cancelled = true;
    return stack_.cancel(call.invite);
  }
  call.refuse_pending(480, nullptr);
  if (call.established) send_bye(call, reason);
  erase(id);
}

void Calls::lost(CallId id, const std::string& reason) {
  if (!calls_.contains(id)) return;
  erase(id);
  stack_.front().from_stack([id, reason](AgentFront& front) { front.call_ended(id, reason); });
}

void Calls::erase(CallId id) {
  auto node = calls_.extract(id);
  if (node.empty()) return;
  if (const auto waiting = node.mapped()->reinvite; waiting != 0) {
    stack_.front().from_stack(
        [waiting](AgentFront& front) { front.response_arrived(waiting, final_response(487, "the call has ended")); });
  }
}

void Calls::end_all() {
  std::vector<CallId> ids;
  for (const auto& [id, call] : calls_) ids.push_back(id);
  for (auto id : ids) bye(id, "stopped");
}

void Calls::tick(StackTime now) {
  std::vector<CallId> overdue, unacknowledged;
  for (const auto& [id, call] : calls_) {
    if (call->over)
      unacknowledged.push_back(id);
    else if (now >= call->pending_until)
      overdue.push_back(id);
  }
  for (auto id : overdue) {
    auto& call = *calls_.at(id);
    call.refuse_pending(500, nullptr);
    if (!call.established) lost(id, "the INVITE was not answered in time");
  }
  for (auto id : unacknowledged) {
    send_bye(*calls_.at(id), "no ACK");
    lost(id, "the other side did not acknowledge the answer");
  }
}

}  // namespace sealcast::sip
