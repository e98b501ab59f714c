#pragma once
// A user agent that nobody is behind: it keeps what it is asked to do, and the test answers when and what it likes.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sip/signalling.hpp"

namespace sealcast::test {

inline sip::Response response(int status, std::vector<sip::Header> headers = {}, std::string body = {}) {
  return {status, "because", body.empty() ? std::string() : "text/plain", std::move(body), std::move(headers)};
}

// Callbacks come from answer(), notify_of() and end_of() only, as the agent's come from its executor only.
class ScriptedSignalling final : public sip::Signalling {
 public:
  using OnResponse = std::function<void(const sip::Response&)>;
  // References stay good: nothing is taken out.
  struct Sent {
    sip::Request request;
    OnResponse on_response;  // empty: answered
  };
  struct Call {
    sip::CallId id = 0;
    sip::Request request;
    OnResponse on_response;         // empty: answered
    std::vector<std::string> byes;  // their reasons
  };
  struct Subscription {
    sip::SubscriptionId id = 0;
    sip::Request request;
    std::function<void(const sip::Request&)> on_notify;  // empty: over
    OnResponse on_end;
    bool unsubscribed = false;
  };
  std::deque<Sent> sent;                          // MESSAGE, PUBLISH
  std::deque<Call> calls;                         // that we make
  std::deque<Subscription> subscriptions;         // that we make
  std::map<sip::CallId, sip::Response> answered;  // invitations that came in: the newest answer
  std::map<sip::CallId, std::string> hung_up;     // those that we ended later
  std::vector<sip::Response> replies;             // to requests that came in
  std::size_t unanswered() const { return static_cast<std::size_t>(std::count_if(sent.begin(), sent.end(), open)); }

  // Exactly one answer each.
  static void answer(Sent& sent, const sip::Response& what) { once(sent.on_response)(what); }
  static void answer(Call& call, const sip::Response& what) { once(call.on_response)(what); }
  static void notify_of(Subscription& subscription, std::string body) {
    ASSERT_TRUE(subscription.on_notify) << "it is over";
    sip::Request notify;
    notify.method = "NOTIFY";
    notify.body = std::move(body);
    auto on_notify = subscription.on_notify;  // which may end it
    on_notify(notify);
  }
  static void end_of(Subscription& subscription, const sip::Response& what) {
    ASSERT_TRUE(subscription.on_notify) << "it is over";
    subscription.on_notify = nullptr;
    once(subscription.on_end)(what);
  }

  void register_identity(sip::Credentials, int, std::function<std::vector<sip::Header>()>,
                         std::function<void(const sip::RegistrationState&)>) override {}
  void send(sip::Request request, OnResponse on_response) override {
    sent.push_back({std::move(request), std::move(on_response)});
  }
  void reply(sip::RequestId, sip::Response response) override { replies.push_back(std::move(response)); }
  sip::CallId invite(sip::Request request, OnResponse on_response) override {
    calls.push_back({++last_id_, std::move(request), std::move(on_response), {}});
    return last_id_;
  }
  void reinvite(sip::CallId, sip::Request, OnResponse) override { ADD_FAILURE() << "nothing is renegotiated here"; }
  void answer(sip::CallId id, sip::Response response) override { answered.insert_or_assign(id, std::move(response)); }
  void probe(sip::CallId, OnResponse) override { ADD_FAILURE() << "nobody here probes"; }
  void bye(sip::CallId id, const std::string& reason) override {
    for (auto& call : calls)
      if (call.id == id) return call.byes.push_back(reason);
    EXPECT_TRUE(hung_up.emplace(id, reason).second) << "hung up twice";
  }
  sip::SubscriptionId subscribe(sip::Request request, std::function<void(const sip::Request&)> on_notify,
                                OnResponse on_end) override {
    subscriptions.push_back({++last_id_, std::move(request), std::move(on_notify), std::move(on_end)});
    return last_id_;
  }
  void unsubscribe(sip::SubscriptionId id) override {
    for (auto& each : subscriptions) {
      if (each.id != id) continue;
      EXPECT_TRUE(each.on_notify) << "it is over already";
      each.on_notify = nullptr;
      each.on_end = nullptr;
      each.unsubscribed = true;
    }
  }
  void accept_subscription(sip::SubscriptionId, int, std::string, int) override {}
  void notify(sip::SubscriptionId, std::string, std::string, bool) override {}

 private:
  static bool open(const Sent& sent) { return static_cast<bool>(sent.on_response); }
  static OnResponse once(OnResponse& callback) {
    EXPECT_TRUE(callback) << "answered already";
    return callback ? std::exchange(callback, nullptr) : [](const sip::Response&) {};
  }

  std::uint64_t last_id_ = 100;
};

}  // namespace sealcast::test
