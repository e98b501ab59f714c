#include <algorithm>

#include "sip/agent_impl.hpp"
#include "sip/agent_message.hpp"

namespace sealcast::sip {
namespace {

constexpr std::size_t k_most_subscribers = 65536;
constexpr std::chrono::seconds k_fetch_limit{10};  // for the one NOTIFY of a fetch
constexpr std::chrono::seconds k_grace{5};         // a refresh may come late

}  // namespace

Subscribers::Subscriber::~Subscriber() {
  if (pending != nullptr) ::nta_incoming_destroy(pending);  // answers 500
  ::nta_leg_destroy(leg);
}

int Subscribers::arrived(nta_incoming_t* incoming, const sip_t* sip) {
  if (subscribers_.size() >= k_most_subscribers) return 503;
  if (sip->sip_event == nullptr || sip->sip_event->o_type == nullptr) return 489;
  if (sip->sip_contact == nullptr) return 400;
  const SubscriptionId id = stack_.front().next_id();
  auto subscriber = std::make_unique<Subscriber>(*this, id);
  subscriber->event = sip->sip_event->o_type;
  subscriber->leg = stack_.accept_leg(*subscriber, incoming, sip);
  if (subscriber->leg == nullptr) return 500;
  auto& kept = *(subscribers_[id] = std::move(subscriber));
  return await_answer(kept, incoming, sip, true);
}

int Subscribers::await_answer(Subscriber& subscriber, nta_incoming_t* incoming, const sip_t* sip, bool first) {
  subscriber.pending = incoming;
  subscriber.pending_until = StackClock::now() + k_answer_limit;
  stack_.front().from_stack([id = subscriber.id, first, request = stack_.read(incoming, sip)](AgentFront& front) {
    front.subscribe_arrived(id, request, first);
  });
  return 0;
}

int Subscribers::refreshed(Subscriber& subscriber, nta_incoming_t* incoming, const sip_t* sip) {
  if (sip->sip_request->rq_method != sip_method_subscribe) return 405;
  if (subscriber.pending != nullptr) return 500;
  ::nta_leg_server_route(subscriber.leg, nullptr, sip->sip_contact);
  if (sip->sip_expires != nullptr && sip->sip_expires->ex_delta == 0) {
    stack_.respond(incoming,
                   {.status = 200, .reason = {}, .content_type = {}, .body = {}, .headers = {{"Expires", "0"}}});
    send(subscriber, "terminated;reason=timeout", {}, {}, false);
    ended(subscriber.id);
    return 200;
  }
  return await_answer(subscriber, incoming, sip, false);
}

void Subscribers::accept(SubscriptionId id, int status, const std::string& reason, int expires) {
  auto found = subscribers_.find(id);
  if (found == subscribers_.end() || found->second->pending == nullptr) return;
  auto& subscriber = *found->second;
  auto* incoming = std::exchange(subscriber.pending, nullptr);
  subscriber.pending_until = k_no_time;
  Response response;
  response.status = status;
  response.reason = reason;
  if (response.ok() || status == 423)
    response.headers.push_back({status == 423 ? "Min-Expires" : "Expires", std::to_string(std::max(0, expires))});
  if (status == 503 && expires > 0) response.headers.push_back({"Retry-After", std::to_string(expires)});
  stack_.respond(incoming, response);
  ::nta_incoming_destroy(incoming);
  if (!response.ok()) {
    subscribers_.erase(found);
    return;
  }
  subscriber.active = true;
  subscriber.expires_at = StackClock::now() + (expires > 0 ? std::chrono::seconds(expires) + k_grace : k_fetch_limit);
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
  if (stack_.request(subscriber.leg, request, std::move(done)) == 0 && watched) ended(subscriber.id);
}

void Subscribers::notify(SubscriptionId id, const std::string& content_type, const std::string& body, bool terminate) {
  auto found = subscribers_.find(id);
  if (found == subscribers_.end() || !found->second->active) return;
  auto& subscriber = *found->second;
  const auto left =
      std::chrono::duration_cast<std::chrono::seconds>(subscriber.expires_at - StackClock::now() - k_grace).count();
  send(subscriber,
       terminate ? "terminated;reason=timeout" : "active;expires=" + std::to_string(std::max<long>(0, left)),
       content_type, body, !terminate);
  if (terminate) subscribers_.erase(id);
}

void Subscribers::ended(SubscriptionId id) {
  if (subscribers_.erase(id) == 0) return;
  stack_.front().from_stack([id](AgentFront& front) { front.subscription_ended(id); });
}

void Subscribers::end_all() {
  for (auto& [id, subscriber] : subscribers_) {
    if (subscriber->active) send(*subscriber, "terminated;reason=deactivated", {}, {}, false);
  }
  subscribers_.clear();
}

void Subscribers::tick(StackTime now) {
  std::vector<SubscriptionId> gone;
  for (const auto& [id, subscriber] : subscribers_) {
    if (now >= subscriber->pending_until || now >= subscriber->expires_at) gone.push_back(id);
  }
  for (auto id : gone) {
    auto& subscriber = *subscribers_.at(id);
    if (subscriber.active && subscriber.pending == nullptr)
      send(subscriber, "terminated;reason=timeout", {}, {}, false);
    ended(id);
  }
}

}  // namespace sealcast::sip
