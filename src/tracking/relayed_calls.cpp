#include "tracking/relayed_calls.hpp"

namespace sealcast::tracking {

std::optional<TableRefusal> RelayedCalls::begin(Instant now, RelayedCall call) {
  call.probe_at = now + limits_.probe_interval;
  const auto leg = call.inviter_leg, other = call.callee_leg;
  const auto whose = owners(call.inviter, call.callee);
  if (auto refusal = calls_.add(leg, whose, now + limits_.patience, std::move(call))) return refusal;
  inviter_of_[other] = leg;
  return std::nullopt;
}

void RelayedCalls::answered(Instant now, Leg leg) {
  auto* call = calls_.find(leg);
  if (!call) return;
  call->answered = true;
  call->probe_at = now + limits_.probe_interval;
  calls_.prolong(leg, now + limits_.life);
}

const RelayedCall* RelayedCalls::of(Leg leg) const {
  auto other = inviter_of_.find(leg);
  return calls_.find(other == inviter_of_.end() ? leg : other->second);
}

std::optional<RelayedCall> RelayedCalls::end(Leg leg) {
  auto other = inviter_of_.find(leg);
  auto out = calls_.take(other == inviter_of_.end() ? leg : other->second);
  if (out) inviter_of_.erase(out->callee_leg);
  return out;
}

// Why this call is over; empty: it is not.
std::string RelayedCalls::fault(Instant now, RelayedCall& call, const Ask& present, const Ask& allowed) const {
  if (!allowed(call.inviter, call.root) || !allowed(call.callee, call.root)) return "the entitlement was withdrawn";
  if (present(call.inviter, call.root) && present(call.callee, call.root)) {
    call.absent_since = k_never;
    return {};
  }
  call.absent_since = std::min(call.absent_since, now);
  return now - call.absent_since >= limits_.absence ? "a party has left the swarm" : "";
}

RelayedCalls::Work RelayedCalls::tick(Instant now, const Ask& present, const Ask& allowed) {
  Work out;
  while (auto over = calls_.take_expired(now)) {
    inviter_of_.erase(over->second.callee_leg);
    out.ended.push_back({std::move(over->second), "it has lasted too long: call again"});
  }
  std::vector<std::pair<Leg, std::string>> faulty;
  calls_.each([&](const Leg& leg, RelayedCall& call) {
    if (auto why = fault(now, call, present, allowed); !why.empty()) return faulty.emplace_back(leg, why), void();
    if (!call.answered || call.probe_at > now) return;
    call.probe_at = now + limits_.probe_interval;
    out.probe.push_back(call.inviter_leg);
    out.probe.push_back(call.callee_leg);
  });
  for (auto& [leg, why] : faulty) out.ended.push_back({*end(leg), why});
  return out;
}

// 481: that side does not know the call. Whatever else goes wrong may be on the way, a core that was started anew for
// instance: it must happen again.
std::optional<RelayedCalls::Ended> RelayedCalls::probed(Instant now, Leg leg, int status) {
  auto other = inviter_of_.find(leg);
  auto* call = calls_.find(other == inviter_of_.end() ? leg : other->second);
  if (!call) return std::nullopt;
  auto& failures = call->failures[other == inviter_of_.end() ? 0 : 1];
  if (status >= 200 && status < 300) {
    failures = 0;
    return std::nullopt;
  }
  if (status != 481 && ++failures < limits_.failures) {
    call->probe_at = std::min(call->probe_at, now + limits_.probe_again);
    return std::nullopt;
  }
  return Ended{*end(leg), "a party does not answer any more"};
}

}  // namespace sealcast::tracking
