#include "roles/answered_calls.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace sealcast::roles {
namespace {

constexpr std::size_t k_most_calls = 4096;
constexpr std::ptrdiff_t k_most_of_one_caller = 16;
constexpr Duration k_patience = 30s;

}  // namespace

AnsweredCalls::AnsweredCalls(io::Loop& loop, sip::Agent& agent, MediaNode& media, std::string host)
    : loop_(loop), agent_(agent), media_(media), host_(std::move(host)) {}

AnsweredCalls::~AnsweredCalls() {
  while (!calls_.empty()) end(calls_.begin(), "leaving");
}

void AnsweredCalls::answer(sip::CallId id, const sip::Request& invite, const Terms& terms) {
  auto of_caller =
      std::count_if(calls_.begin(), calls_.end(), [&](auto& each) { return each.second.caller == terms.caller; });
  if (calls_.size() >= k_most_calls || of_caller >= k_most_of_one_caller)
    return agent_.answer(id, {486, "Too many calls", {}, {}, {{"Retry-After", "10"}}});
  auto agreed = media_.answer_offer(invite.body, terms.policy, terms.partner);
  if (!agreed) {
    log(LogLevel::info, "media", "offer refused: " + agreed.error().sentence + " (" + agreed.error().rule + ")");
    return agent_.answer(id, {488, "Not Acceptable Here", {}, {}, {{"Warning", agreed.error().warning(host_)}}});
  }
  for (auto& swarm : terms.admitted) media_.engine().admit(agreed->id, swarm);
  Call call{agreed->id, terms.caller, terms.admitted, 0, 0};
  call.patience = loop_.after(k_patience, [this, id] {
    if (auto at = calls_.find(id); at != calls_.end() && at->second.channels == 0) end(at, "no channel was opened");
  });
  calls_[id] = std::move(call);
  agent_.answer(id, {200, "OK", "application/sdp", agreed->answer, {}});
}

void AnsweredCalls::refuse_reinvite(sip::CallId call) {
  agent_.answer(
      call,
      {488,
       "Not Acceptable Here",
       {},
       {},
       {{"Warning",
         sdp::Refusal{"unsupported-parameter", "a call is not renegotiated here: make a new one"}.warning(host_)}}});
}

void AnsweredCalls::end(std::map<sip::CallId, Call>::iterator at, const std::string& reason) {
  auto id = at->first;
  auto call = std::move(at->second);
  calls_.erase(at);
  loop_.cancel(call.patience);
  media_.drop(call.association);
  if (!reason.empty()) agent_.bye(id, reason);
}

std::map<sip::CallId, AnsweredCalls::Call>::iterator AnsweredCalls::find(swarm::AssociationId association) {
  return std::find_if(calls_.begin(), calls_.end(), [&](auto& each) { return each.second.association == association; });
}

void AnsweredCalls::on_call_ended(sip::CallId id) {
  if (auto at = calls_.find(id); at != calls_.end()) end(at, {});
}

void AnsweredCalls::on_event(const swarm::Event& event) {
  auto at = event.association == 0 ? calls_.end() : find(event.association);
  if (at == calls_.end()) return;
  if (event.kind == swarm::EventKind::path_too_small) log(LogLevel::warning, "media", event.text);
  if (event.kind == swarm::EventKind::channel_open) ++at->second.channels;
  if (event.kind == swarm::EventKind::channel_closed && --at->second.channels <= 0) end(at, "its channels are closed");
  if (event.kind == swarm::EventKind::key_exhausted) end(at, "the SRTP key is used up: call again");
}

void AnsweredCalls::hang_up(const swarm::SwarmId& swarm, const std::string& reason) {
  for (auto at = calls_.begin(); at != calls_.end();) {
    auto next = std::next(at);
    auto& admitted = at->second.admitted;
    if (std::find(admitted.begin(), admitted.end(), swarm) != admitted.end()) end(at, reason);
    at = next;
  }
}

}  // namespace sealcast::roles
