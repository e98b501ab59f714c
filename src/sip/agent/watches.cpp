#include "base/text.hpp"
#include "sip/agent/impl.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_first_notify =
    10s;  // RFC 6665 section 4.1.2.4 (timer N) waits 32 s; the request's own limit is ours
constexpr Duration k_last_notify = 3s;  // after unsubscribing

int seconds_of(const char* text, int fallback) {
  if (text == nullptr) return fallback;
  const long value = std::strtol(text, nullptr, 10);
  return value >= 0 && value < 0x7fffffff ? static_cast<int>(value) : fallback;
}

}  // namespace

void Watches::subscribe(SubscriptionId id, Request request) {
  auto watch = std::make_unique<Watch>(*this, id);
  request.method = "SUBSCRIBE";
  watch->request = std::move(request);
  auto dialog = agent_.closing() ? std::nullopt : agent_.new_dialog(watch->request);
  auto& kept = *(watches_[id] = std::move(watch));
  if (dialog) {
    kept.enter(std::move(*dialog));
    send(kept, kept.request.expires.value_or(0));
  }
  if (!kept.under_way) {
    Response response;
    response.reason = "the SUBSCRIBE is malformed, or needs TLS";
    over(id, std::move(response));
  }
}

void Watches::send(Watch& watch, int expires) {
  Request request = watch.request;
  request.expires = expires;
  if (watch.dialog.established) {  // in the dialog: the remote target
    request.uri.clear();
    request.from.clear();
    request.to.clear();
  }
  watch.refresh_at = k_never;
  const auto id = watch.id;
  watch.under_way = agent_.request(watch.dialog, request,
                                   [this, id, expires](const Answer& answer) { answered(id, expires, answer); }) != 0;
}

void Watches::answered(SubscriptionId id, int expires, const Answer& answer) {
  auto found = watches_.find(id);
  if (found == watches_.end()) return;
  auto& watch = *found->second;
  watch.under_way = false;
  if (!answer.response.ok()) {
    // RFC 6665 section 4.1.2.2: a refresh that fails otherwise leaves the subscription until it expires; but an owner
    // that hears nothing from a core that is gone is helped by knowing.
    return over(id, answer.response);
  }
  const auto now = agent_.now();
  if (watch.dialog.established)
    refresh_target(watch.dialog, answer.sip);
  else
    establish(watch.dialog, answer.sip);
  if (watch.quiet) {
    if (expires > 0)
      leave(watch);
    else
      watch.gone_at = now + k_last_notify;
    return;
  }
  const int granted =
      answer.sip->sip_expires != nullptr ? static_cast<int>(answer.sip->sip_expires->ex_delta) : expires;
  if (expires == 0 || granted == 0) {  // a fetch: the one NOTIFY is still to come
    watch.gone_at = now + k_first_notify;
    return;
  }
  watch.refresh_at = now + std::chrono::milliseconds(std::max(1, granted) * 500L);
  watch.gone_at = watch.notified_once ? k_never : now + k_first_notify;
}

int Watches::notified(Watch& watch, const Incoming& incoming) {
  const auto* sip = incoming.sip();
  if (incoming.method() != sip_method_notify) return 405;
  if (sip->sip_event != nullptr && sip->sip_event->o_type != nullptr && watch.request.event != sip->sip_event->o_type)
    return 489;
  if (!watch.dialog.established) establish_by_request(watch.dialog, sip);  // faster than the 200 to our SUBSCRIBE
  watch.notified_once = true;
  const auto* state = sip->sip_subscription_state;
  const bool terminated =
      state != nullptr && state->ss_substate != nullptr && std::string_view(state->ss_substate) == "terminated";
  const auto id = watch.id;
  if (!watch.quiet) {
    agent_.tell([id, request = agent_.read(incoming)](AgentReports& owner) { owner.notify_arrived(id, request); });
    watch.gone_at = k_never;
  }
  if (terminated || watch.request.expires.value_or(0) == 0) {
    Response response;
    response.status = 200;
    response.reason = state != nullptr && state->ss_reason != nullptr ? printable(state->ss_reason) : "terminated";
    over(id, std::move(response));  // destroys the watch
  } else if (state != nullptr && state->ss_expires != nullptr && !watch.under_way && !watch.quiet) {
    const auto by_notify =
        agent_.now() + std::chrono::milliseconds(std::max(1, seconds_of(state->ss_expires, 0)) * 500L);
    watch.refresh_at = std::min(watch.refresh_at, by_notify);
  }
  return 200;
}

void Watches::over(SubscriptionId id, Response response) {
  auto node = watches_.extract(id);
  if (node.empty() || node.mapped()->quiet) return;
  agent_.tell([id, response = std::move(response)](AgentReports& owner) { owner.subscription_over(id, response); });
}

void Watches::leave(Watch& watch) {
  watch.gone_at = agent_.now() + k_request_limit + k_last_notify;
  watch.request.body.clear();
  send(watch, 0);
}

void Watches::unsubscribe(SubscriptionId id) {
  auto found = watches_.find(id);
  if (found == watches_.end()) return;
  auto& watch = *found->second;
  watch.quiet = true;
  // While the first SUBSCRIBE is under way there is no dialog to end; answered() goes on from here.
  if (watch.dialog.established && !watch.under_way && watch.request.expires.value_or(0) > 0) leave(watch);
}

void Watches::refresh_all() {
  for (auto& [id, watch] : watches_) {
    if (watch->dialog.established && !watch->under_way && !watch->quiet && watch->request.expires.value_or(0) > 0)
      watch->refresh_at = agent_.now();
  }
}

void Watches::end_all() {
  std::vector<SubscriptionId> ids;
  for (const auto& [id, watch] : watches_) ids.push_back(id);
  for (auto id : ids) unsubscribe(id);
}

void Watches::tick() {
  const auto now = agent_.now();
  std::vector<SubscriptionId> gone, due;
  for (const auto& [id, watch] : watches_) {
    if (now >= watch->gone_at)
      gone.push_back(id);
    else if (now >= watch->refresh_at && !watch->under_way)
      due.push_back(id);
  }
  for (auto id : due) {
    auto& watch = *watches_.at(id);
    send(watch, watch.request.expires.value_or(0));
  }
  for (auto id : gone) {
    Response response;
    response.reason = "no NOTIFY came";
    over(id, std::move(response));
  }
}

}  // namespace sealcast::sip
