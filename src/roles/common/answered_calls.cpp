#include "roles/common/answered_calls.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace sealcast::roles {
namespace {

constexpr std::size_t k_most_calls = 4096, k_for_services = 256, k_most_of_one_caller = 16;
constexpr Duration k_patience = 30s;

}  // namespace

AnsweredCalls::AnsweredCalls(Timers& timers, sip::Signalling& agent, MediaPlane& media, std::string host)
    : timers_(timers),
      agent_(agent),
      media_(media),
      host_(std::move(host)),
      calls_({k_most_calls, k_for_services, {{"caller", k_most_of_one_caller}}}) {}

AnsweredCalls::~AnsweredCalls() {
  on_unused = nullptr;
  timers_.cancel(oldest_);
  std::vector<sip::CallId> all;
  calls_.each([&](sip::CallId id, const Call&) { all.push_back(id); });
  for (auto id : all) end(id, "leaving");
}

void AnsweredCalls::answer(sip::CallId id, const sip::Request& invite, const Terms& terms) {
  const decltype(calls_)::Owners owners{{terms.caller}, terms.service};
  if (calls_.would_refuse(owners)) return agent_.answer(id, {486, "Too many calls", {}, {}, {{"Retry-After", "10"}}});
  auto agreed = media_.answer_offer(invite.body, terms.policy, terms.partner,
                                    [this](const swarm::Event& event) { on_event(event); });
  if (!agreed) {
    log(LogLevel::info, "media", "offer refused: " + agreed.error().sentence + " (" + agreed.error().rule + ")");
    return agent_.answer(id, {488, "Not Acceptable Here", {}, {}, {{"Warning", agreed.error().warning(host_)}}});
  }
  for (auto& swarm : terms.admitted) {
    media_.admit(agreed->id, swarm);
    ++users_[swarm];
  }
  Call call{agreed->id, terms.caller, terms.admitted, 0, 0};
  call.patience = timers_.after(k_patience, [this, id] {
    if (auto* known = calls_.find(id); known && known->channels == 0) end(id, "no channel was opened");
  });
  by_association_[agreed->id] = id;
  (void)calls_.add(id, owners, timers_.now() + std::clamp<Duration>(terms.life, 1s, k_a_call), std::move(call));
  end_old();
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

void AnsweredCalls::end(sip::CallId id, const std::string& reason) {
  auto call = calls_.take(id);
  if (!call) return;
  forget(*call);
  if (!reason.empty()) agent_.bye(id, reason);
}

// It is out of the table already.
void AnsweredCalls::forget(const Call& call) {
  by_association_.erase(call.association);
  timers_.cancel(call.patience);
  media_.drop(call.association);
  for (auto& swarm : call.admitted) {
    auto at = users_.find(swarm);
    if (at == users_.end() || --at->second > 0) continue;
    users_.erase(at);
    if (on_unused) on_unused(swarm);
  }
}

// Nobody tells a UE, or a cache somewhere else, that a caller may no longer have a content: it is that he gets no new
// token. A call ends with the token that it came with, and who gets new ones makes a new call.
void AnsweredCalls::end_old() {
  timers_.cancel(oldest_);
  oldest_ = 0;
  const auto now = timers_.now();
  while (auto next = calls_.next_expiry()) {
    if (*next > now) {
      oldest_ = timers_.after(*next - now, [this] { end_old(); });
      return;
    }
    auto [id, call] = std::move(*calls_.take_expired(now));
    forget(call);
    agent_.bye(id, "the membership token has ended: call again");
  }
}

void AnsweredCalls::on_call_ended(sip::CallId id) {
  end(id, {});
}

void AnsweredCalls::on_event(const swarm::Event& event) {
  auto at = event.association == 0 ? by_association_.end() : by_association_.find(event.association);
  if (at == by_association_.end()) return;
  const auto id = at->second;
  auto* call = calls_.find(id);
  if (event.kind == swarm::EventKind::path_too_small) log(LogLevel::warning, "media", event.text);
  if (event.kind == swarm::EventKind::channel_open) ++call->channels;
  if (event.kind == swarm::EventKind::channel_closed && --call->channels <= 0)
    return end(id, "its channels are closed");
  if (event.kind == swarm::EventKind::key_exhausted) end(id, "the SRTP key is used up: call again");
}

void AnsweredCalls::hang_up(const swarm::SwarmId& swarm, const std::string& reason) {
  hang_up_unless(
      swarm, [](const std::string&) { return false; }, reason);
}

void AnsweredCalls::hang_up_unless(const swarm::SwarmId& swarm,
                                   const std::function<bool(const std::string& caller)>& allowed,
                                   const std::string& reason) {
  std::vector<sip::CallId> over;
  calls_.each([&](sip::CallId id, const Call& call) {
    if (std::find(call.admitted.begin(), call.admitted.end(), swarm) != call.admitted.end() && !allowed(call.caller))
      over.push_back(id);
  });
  for (auto id : over) end(id, reason);
}

}  // namespace sealcast::roles
