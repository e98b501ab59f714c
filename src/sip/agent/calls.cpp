#include <algorithm>

#include "base/text.hpp"
#include "sip/agent/impl.hpp"

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
  refuse_pending(480);
}

void Call::refuse_pending(int status) {
  if (const auto incoming = std::exchange(pending, 0); incoming != 0)
    agent.respond(incoming, final_response(status, {}));
  pending_until = k_never;
}

int Call::on_request(const Incoming& incoming) {
  if (invite != 0) return 481;  // before our INVITE has its final answer there is no dialog (RFC 3261 section 15)
  switch (incoming.method()) {
    case sip_method_invite:
      // RFC 3261 section 14.2: one offer at a time, whoever makes it.
      if (pending != 0 || acknowledged_until != k_never || !established) return 500;
      if (reinvite != 0) return 491;
      return on_invite(incoming, false);
    case sip_method_bye: {
      refuse_pending(487);
      agent.calls().lost(id, reason_of(incoming.sip()));  // destroys this call
      return 200;
    }
    case sip_method_options:
      return 200;
    default:
      return 405;
  }
}

int Call::on_invite(const Incoming& incoming, bool first) {
  pending = incoming.id;
  pending_until = agent.now() + k_invite_answer_limit;
  invite_number_ = incoming.sip()->sip_cseq->cs_seq;
  // At once: the other side's CANCEL waits for a provisional answer (RFC 3261 section 9.1), and its patience begins to
  // be ours.
  agent.servers().trying(incoming.id);
  if (!first) refresh_target(dialog, incoming.sip());
  agent.tell([call = id, first, request = agent.read(incoming)](AgentReports& owner) {
    if (first)
      owner.invite_arrived(call, request);
    else
      owner.reinvite_arrived(call, request);
  });
  return 0;
}

void Call::on_ack(std::uint32_t number) {
  if (number == invite_number_) acknowledged_until = k_never;
}

void Call::answer(const Response& response) {
  const auto incoming = std::exchange(pending, 0);
  if (incoming == 0) return;
  pending_until = k_never;
  agent.respond(incoming, response);
  if (!response.ok()) return;
  acknowledged_until = agent.now() + k_request_limit;
  established = true;
}

// --- Calls that we begin ---

void Calls::invite(CallId id, Request request) {
  auto call = std::make_unique<Call>(agent_, id);
  request.method = "INVITE";
  if (request.content_type.empty() && !request.body.empty()) request.content_type = "application/sdp";
  const auto& icsi = agent_.config().icsi;
  if (!icsi.empty()) {
    std::string escaped;
    for (char c : icsi) escaped += c == ':' ? "%3A" : std::string(1, c);
    request.headers.push_back({"Accept-Contact", "*;+g.3gpp.icsi-ref=\"" + escaped + "\""});
  }
  auto dialog = agent_.closing() ? std::nullopt : agent_.new_dialog(request);
  if (dialog) {
    call->enter(std::move(*dialog));
    call->invite =
        agent_.request(call->dialog, request, [this, id](const Answer& answer) { invite_answered(id, answer); });
  }
  if (call->invite == 0) {
    agent_.tell([id](AgentReports& owner) {
      owner.call_failed(id, final_response(0, "the INVITE is malformed, or needs TLS"));
    });
    return;
  }
  calls_[id] = std::move(call);
}

void Calls::acknowledge(Call& call, const Answer& answer) {
  if (!call.established)
    establish(call.dialog, answer.sip);
  else
    refresh_target(call.dialog, answer.sip);
  agent_.acknowledge(call.dialog, answer);
}

void Calls::tell(std::uint64_t response_id, Response response) {
  agent_.tell([response_id, response = std::move(response)](AgentReports& owner) {
    owner.response_arrived(response_id, response);
  });
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
      agent_.tell([id, response](AgentReports& owner) { owner.response_arrived(id, response); });
      return;
    }
    send_bye(call, "cancelled");  // the 200 was faster than our CANCEL
    response = final_response(487, "cancelled");
  }
  erase(id);
  agent_.tell([id, response](AgentReports& owner) { owner.call_failed(id, response); });
}

void Calls::reinvite(CallId id, std::uint64_t response_id, Request request) {
  auto found = calls_.find(id);
  if (found == calls_.end() || !found->second->established)
    return tell(response_id, final_response(481, "there is no such call"));
  auto& call = *found->second;
  if (call.reinvite != 0 || call.pending != 0)
    return tell(response_id, final_response(491, "another offer is under way"));
  request.method = "INVITE";
  request.uri.clear();  // the remote target
  request.from.clear();
  request.to.clear();
  if (request.content_type.empty() && !request.body.empty()) request.content_type = "application/sdp";
  const auto made = agent_.request(call.dialog, request, [this, id, response_id](const Answer& answer) {
    reinvite_answered(id, response_id, answer);
  });
  if (made == 0) return tell(response_id, final_response(0, "the INVITE is malformed"));
  call.reinvite = response_id;
}

void Calls::reinvite_answered(CallId id, std::uint64_t response_id, const Answer& answer) {
  auto found = calls_.find(id);
  if (found == calls_.end() || found->second->reinvite != response_id) return;
  auto& call = *found->second;
  call.reinvite = 0;
  if (answer.response.ok()) acknowledge(call, answer);
  tell(response_id, answer.response);
  // RFC 3261 section 12.2.1.2: these say that the dialog is gone.
  if (answer.response.status == 481 || answer.response.status == 408)
    lost(id, "the other side does not know the call any more");
}

void Calls::probe(CallId id, std::uint64_t response_id) {
  auto found = calls_.find(id);
  if (found == calls_.end() || !found->second->established)
    return tell(response_id, final_response(481, "there is no such call"));
  Request request;
  request.method = "OPTIONS";
  const auto made = agent_.request(found->second->dialog, request,
                                   [this, response_id](const Answer& answer) { tell(response_id, answer.response); });
  if (made == 0) tell(response_id, final_response(0, "the OPTIONS is malformed"));
}

// --- Calls of others ---

int Calls::arrived(const Incoming& incoming) {
  if (calls_.size() >= k_most_calls) return 503;
  if (!has_contact(incoming.sip()) || incoming.sip()->sip_from->a_tag == nullptr) return 400;
  const CallId id = agent_.next_id();
  auto& call = *(calls_[id] = std::make_unique<Call>(agent_, id));
  call.enter(accept_dialog(incoming.sip(), incoming.tag));
  return call.on_invite(incoming, true);
}

void Calls::cancelled(IncomingId invite) {
  const auto found =
      std::find_if(calls_.begin(), calls_.end(), [&](const auto& each) { return each.second->pending == invite; });
  if (found == calls_.end()) return;
  auto& call = *found->second;
  call.refuse_pending(487);
  if (!call.established) lost(call.id, "the other side cancelled its INVITE");
}

void Calls::answer(CallId id, const Response& response) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  found->second->answer(response);
  if (found->second->established || found->second->invite != 0) return;
  erase(id);
  agent_.tell([id](AgentReports& owner) { owner.call_refused(id); });
}

// --- Ends ---

void Calls::send_bye(Call& call, const std::string& reason) {
  Request request;
  request.method = "BYE";
  if (!reason.empty()) {
    request.headers.push_back({"Reason", "SIP;cause=200;text=\"" + quotable(reason) + "\""});
  }
  agent_.request(call.dialog, request, nullptr);
}

void Calls::bye(CallId id, const std::string& reason) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  auto& call = *found->second;
  if (call.invite != 0) {  // stays until the final answer: a 200 that is under way must be acknowledged
    call.cancelled = true;
    return agent_.clients().cancel(call.invite, agent_.now());
  }
  call.refuse_pending(480);
  if (call.established) send_bye(call, reason);
  erase(id);
}

void Calls::lost(CallId id, const std::string& reason) {
  if (!calls_.contains(id)) return;
  erase(id);
  agent_.tell([id, reason](AgentReports& owner) { owner.call_ended(id, reason); });
}

void Calls::erase(CallId id) {
  auto node = calls_.extract(id);
  if (node.empty()) return;
  if (const auto waiting = node.mapped()->reinvite; waiting != 0) {
    agent_.tell(
        [waiting](AgentReports& owner) { owner.response_arrived(waiting, final_response(487, "the call has ended")); });
  }
}

void Calls::end_all() {
  std::vector<CallId> ids;
  for (const auto& [id, call] : calls_) ids.push_back(id);
  for (auto id : ids) bye(id, "stopped");
}

void Calls::tick() {
  const auto now = agent_.now();
  std::vector<CallId> overdue, unreachable, unacknowledged;
  for (const auto& [id, call] : calls_) {
    if (now >= call->acknowledged_until)
      unacknowledged.push_back(id);
    else if (now >= call->pending_until)
      overdue.push_back(id);
    else if (call->pending != 0 && !agent_.servers().alive(call->pending))
      unreachable.push_back(id);
  }
  for (auto id : overdue) {
    auto& call = *calls_.at(id);
    call.refuse_pending(500);
    if (!call.established) lost(id, "the INVITE was not answered in time");
  }
  for (auto id : unreachable) {  // the connection that their INVITE came over is gone
    auto& call = *calls_.at(id);
    call.refuse_pending(500);
    if (!call.established) lost(id, "the other side is out of reach");
  }
  for (auto id : unacknowledged) {
    send_bye(*calls_.at(id), "no ACK");
    lost(id, "the other side did not acknowledge the answer");
  }
}

}  // namespace sealcast::sip
