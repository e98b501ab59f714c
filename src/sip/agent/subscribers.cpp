#include <algorithm>

#include "sip/agent/impl.hpp"

namespace sealcast::sip {
namespace {

constexpr std::size_t k_most_subscribers = 65536;
constexpr Duration k_fetch_limit = 10s;  // for the one NOTIFY of a fetch
constexpr Duration k_grace = 5s;         // a refresh may come late

}  // namespace

int Subscribers::arrived(const Incoming& incoming) {
  const auto* sip = incoming.sip();
  if (subscribers_.size() >= k_most_subscribers) return 503;
  if (sip->sip_event == nullptr || sip->sip_event->o_type == nullptr) return 489;
  if (!has_contact(sip) || sip->sip_from->a_tag == nullptr) return 400;
  const SubscriptionId id = agent_.next_id();
  auto subscriber = std::make_unique<Subscriber>(*this, id);
  subscriber->event = sip->sip_event->o_type;
  subscriber->enter(accept_dialog(sip, incoming.tag));
  auto& kept = *(subscribers_[id] = std::move(subscriber));
  return await_answer(kept, incoming, true);
}

int Subscribers::await_answer(Subscriber& subscriber, const Incoming& incoming, bool first) {
  subscriber.pending = incoming.id;
  subscriber.pending_until = agent_.now() + k_answer_limit;
  agent_.tell([id = subscriber.id, first, request = agent_.read(incoming)](AgentReports& owner) {
    owner.subscribe_arrived(id, request, first);
  });
  return 0;
}

int Subscribers::refreshed(Subscriber& subscriber, const Incoming& incoming) {
  const auto* sip = incoming.sip();
  if (incoming.method() != sip_method_subscribe) return 405;
  if (subscriber.pending != 0) return 500;
  refresh_target(subscriber.dialog, sip);
  if (sip->sip_expires != nullptr && sip->sip_expires->ex_delta == 0) {
    agent_.respond(incoming.id,
                   {.status = 200, .reason = {}, .content_type = {}, .body = {}, .headers = {{"Expires", "0"}}});
    send(subscriber, "terminated;reason=timeout", {}, {}, false);
    ended(subscriber.id);
    return 0;
  }
  return await_answer(subscriber, incoming, false);
}

void Subscribers::accept(SubscriptionId id, int status, const std::string& reason, int expires) {
  auto found = subscribers_.find(id);
  if (found == subscribers_.end() || found->second->pending == 0) return;
  auto& subscriber = *found->second;
  const auto incoming = std::exchange(subscriber.pending, 0);
  subscriber.pending_until = k_never;
  Response response;
  response.status = status;
  response.reason = reason;
  if (response.ok() || status == 423)
    response.headers.push_back({status == 423 ? "Min-Expires" : "Expires", std::to_string(std::max(0, expires))});
  if (status == 503 && expires > 0) response.headers.push_back({"Retry-After", std::to_string(expires)});
  agent_.respond(incoming, response);
  if (!response.ok()) {
    subscribers_.erase(found);
    return;
  }
  subscriber.active = true;
  subscriber.expires_at =
      agent_.now() + (expires > 0 ? Duration(std::chrono::seconds(expires)) + k_grace : k_fetch_limit);
}

void Subscribers::send(Subscriber& subscriber, const std::string& state, const std::string& content_type,
                       const std::string& body, bool watched) {
  Request request;
  request.method = "NOTIFY";
  request.event = subscriber.event;
  request.headers.push_back({"Subscription-State", state});
  request.content_type = content_type;
  request.body = body;
  std::function<void(const Answer&)> done;
  if (watched) {
    done = [this, id = subscriber.id](const Answer& answer) {
      if (!answer.response.ok()) ended(id);
    };
  }
  if (agent_.request(subscriber.dialog, request, std::move(done)) == 0 && watched) ended(subscriber.id);
}

void Subscribers::notify(SubscriptionId id, const std::string& content_type, const std::string& body, bool terminate) {
  auto found = subscribers_.find(id);
  if (found == subscribers_.end() || !found->second->active) return;
  auto& subscriber = *found->second;
  const auto left =
      std::chrono::duration_cast<std::chrono::seconds>(subscriber.expires_at - agent_.now() - k_grace).count();
  send(subscriber,
       terminate ? "terminated;reason=timeout" : "active;expires=" + std::to_string(std::max<long>(0, left)),
       content_type, body, !terminate);
  if (terminate) subscribers_.erase(id);
}

void Subscribers::ended(SubscriptionId id) {
  if (subscribers_.erase(id) == 0) return;
  agent_.tell([id](AgentReports& owner) { owner.subscription_ended(id); });
}

void Subscribers::end_all() {
  for (auto& [id, subscriber] : subscribers_) {
    if (subscriber->active) send(*subscriber, "terminated;reason=deactivated", {}, {}, false);
  }
  subscribers_.clear();
}

void Subscribers::tick() {
  const auto now = agent_.now();
  std::vector<SubscriptionId> gone;
  for (const auto& [id, subscriber] : subscribers_) {
    if (now >= subscriber->pending_until || now >= subscriber->expires_at) gone.push_back(id);
  }
  for (auto id : gone) {
    auto& subscriber = *subscribers_.at(id);
    if (subscriber.active && subscriber.pending == 0) send(subscriber, "terminated;reason=timeout", {}, {}, false);
    ended(id);
  }
}

}  // namespace sealcast::sip
