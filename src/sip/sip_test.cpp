// Agents around an embedded core: what travels, whom the services see, and what happens when the core goes away.
#include "base/encoding.hpp"
#include "crypto/ec.hpp"
#include "crypto/jose.hpp"
#include "keys/request.hpp"
#include "tests/support/agent_fixture.hpp"
#include "tests/support/core_fixture.hpp"

namespace sealcast::sip {
namespace {

using namespace std::chrono_literals;
using test::k_sdp_answer;
using test::k_sdp_offer;
using test::response;

class SipTest : public testing::Test {
 protected:
  void SetUp() override {
    tracker_address_ = test::free_loopback_address();
    ue_address_ = "127.0.0.1:0";
    service_address_ = "127.0.0.1:0";
    start_core();
    ue_address_ = core_->ue_address();
    service_address_ = core_->service_address();
    tracker_.emplace(service("tracker"), executor_);
  }

  void start_core() {
    CoreConfig config;
    config.domain = test::k_domain;
    config.ue_listen = ue_address_;
    config.service_listen = service_address_;
    config.tls_directory = certificates().directory("left");
    config.min_expires = least_expiry_;
    config.services = {{"tracker", false, tracker_address_, "right.sealcast.test"},
                       {"peers.sealcast.test", true, tracker_address_, "right.sealcast.test"}};
    core_ = std::make_unique<Core>(config, subscribers_);
    auto started = core_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  static const test::AgentCertificates& certificates() {
    static const test::AgentCertificates instance;
    return instance;
  }
  AgentConfig service(const std::string& name) const {
    AgentConfig out;
    out.identity = "sip:" + name + "@" + test::k_domain;
    out.contact_user = name;
    out.listen = tracker_address_;
    out.next_hop = service_address_;
    out.tls_directory = certificates().directory("right");
    out.require_client_certificate = true;
    out.trusted_names = {"left.sealcast.test"};
    return out;
  }
  AgentConfig ue(const std::string& name) const {
    AgentConfig out;
    out.identity = "sip:" + name + "@" + test::k_domain;
    out.contact_user = "x" + name;
    out.next_hop = ue_address_;
    out.tls_directory = certificates().directory("client");
    return out;
  }
  static Credentials credentials(const std::string& name, const std::string& password) {
    return {name + "@" + test::k_domain, test::k_domain, SecretBytes(view_of(password))};
  }
  // An agent of `name` that has said its password.
  std::unique_ptr<test::TestAgent> registered(const std::string& name, std::vector<Header> headers = {}) {
    auto out = std::make_unique<test::TestAgent>(ue(name), executor_);
    auto state = std::make_shared<RegistrationState>();
    out->agent.register_identity(
        credentials(name, "secret-" + name), 600, [headers] { return headers; },
        [state](const RegistrationState& s) { *state = s; });
    EXPECT_TRUE(run_until([&] { return state->registered; })) << state->reason;
    return out;
  }
  template <class Predicate>
  bool run_until(Predicate holds) {
    return executor_.run_until(holds);
  }
  static Request request(const std::string& method, const std::string& user) {
    Request out;
    out.method = method;
    out.uri = "sip:" + user + "@" + test::k_domain;
    return out;
  }
  Response ask(test::TestAgent& from, Request what) {
    std::optional<Response> got;
    from.agent.send(std::move(what), [&](const Response& answer) { got = answer; });
    EXPECT_TRUE(run_until([&] { return got.has_value(); }));
    return got.value_or(Response{});
  }
  // A call, an offer in both directions, and a BYE from the called side.
  void converse(test::TestAgent& caller, test::TestAgent& callee, const std::string& callee_user) {
    const auto answer = response(200, "OK", {}, "application/sdp", k_sdp_answer);
    callee.answer_invites(answer);
    caller.answer_invites(answer);
    auto invite = request("INVITE", callee_user);
    invite.body = k_sdp_offer;
    invite.headers = {{"P2PCDS-Token", "t1"}, {"P2PCDS-Token", "t2"}};
    std::vector<Response> got;
    const auto keep = [&](const Response& r) { got.push_back(r); };
    const auto id = caller.agent.invite(invite, keep);
    ASSERT_TRUE(run_until([&] { return got.size() == 1; }));
    ASSERT_EQ(got[0].status, 200) << got[0].reason;
    EXPECT_EQ(got[0].body, k_sdp_answer);
    const auto& arrived = callee.handler.invites.back();
    EXPECT_EQ(arrived.request.values("P2PCDS-Token"), (std::vector<std::string>{"t1", "t2"}));
    Request again;
    again.body = k_sdp_offer;
    caller.agent.reinvite(id, again, keep);
    ASSERT_TRUE(run_until([&] { return got.size() == 2; }));
    callee.agent.reinvite(arrived.id, again, keep);
    ASSERT_TRUE(run_until([&] { return got.size() == 3; }));
    EXPECT_EQ(got[1].status, 200) << got[1].reason;
    EXPECT_EQ(got[2].status, 200) << got[2].reason;
    callee.agent.bye(arrived.id, "done");
    ASSERT_TRUE(run_until([&] { return !caller.handler.ended_calls.empty(); }));
    EXPECT_EQ(caller.handler.ended_calls.back(), std::pair(id, std::string("done")));
    caller.handler.ended_calls.clear();
  }

  test::QueueExecutor executor_;
  test::MemorySubscribers subscribers_;
  std::string tracker_address_, ue_address_, service_address_;
  int least_expiry_ = 30;
  std::unique_ptr<Core> core_;
  std::optional<test::TestAgent> tracker_;
};

TEST_F(SipTest, registers_and_unregisters) {
  auto alice = registered("alice");
  EXPECT_EQ(core_->counters().bindings, 1u);
  alice.reset();
  EXPECT_EQ(core_->counters().bindings, 0u);
}

TEST_F(SipTest, does_not_insist_on_a_wrong_password) {
  test::TestAgent alice(ue("alice"), executor_);
  std::vector<RegistrationState> states;
  alice.agent.register_identity(credentials("alice", "guess"), 600, nullptr,
                                [&](const RegistrationState& s) { states.push_back(s); });
  ASSERT_TRUE(run_until([&] { return !states.empty(); }));
  EXPECT_FALSE(states[0].registered);
  EXPECT_TRUE(states[0].status == 403 || states[0].status == 401) << states[0].status;
  EXPECT_NE(states[0].reason.find("sip:alice@sealcast.test"), std::string::npos) << states[0].reason;
  EXPECT_FALSE(executor_.run_until([&] { return states.size() > 1; }, 1200ms));
  EXPECT_EQ(core_->counters().refused, 1u);
}

TEST_F(SipTest, refreshes_with_fresh_headers_and_the_same_nonce) {
  least_expiry_ = 1;
  core_.reset();
  start_core();
  test::TestAgent alice(ue("alice"), executor_);
  int asked = 0;
  RegistrationState state;
  const auto headers = [&] {
    ++asked;
    return std::vector<Header>{};
  };
  alice.agent.register_identity(credentials("alice", "secret-alice"), 2, headers,
                                [&](const RegistrationState& s) { state = s; });
  ASSERT_TRUE(run_until([&] { return state.registered; }));
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(state.associated_uri, "sip:alice@sealcast.test");
  ASSERT_TRUE(run_until([&] { return asked == 3; }));
  EXPECT_EQ(core_->counters().registrations, 2u);
  EXPECT_EQ(core_->counters().challenges, 1u);
}

TEST_F(SipTest, takes_the_expiry_that_the_core_wants) {
  test::TestAgent alice(ue("alice"), executor_);
  RegistrationState state;
  alice.agent.register_identity(credentials("alice", "secret-alice"), 5, nullptr,
                                [&](const RegistrationState& s) { state = s; });
  EXPECT_TRUE(run_until([&] { return state.registered; })) << state.reason;
}

TEST_F(SipTest, says_that_a_device_key_is_refused) {
  test::TestAgent alice(ue("alice"), executor_);
  RegistrationState state;
  alice.agent.register_identity(
      credentials("alice", "secret-alice"), 600,
      [] {
        return std::vector<Header>{{"P2PCDS-Device-Key", "e30.e30.AA"}};
      },
      [&](const RegistrationState& s) { state = s; });
  ASSERT_TRUE(run_until([&] { return state.status != 0; }));
  EXPECT_EQ(state.status, 403);
  EXPECT_FALSE(state.registered);
}

TEST_F(SipTest, tells_a_service_who_asks) {
  tracker_->answer_requests(response(200));
  test::SeededRandom random(3);
  auto key = crypto::PrivateKey::generate(random);
  const std::int64_t now = std::time(nullptr);
  const auto enrolment = keys::make_enrolment("sip:alice@sealcast.test", now, key);
  auto alice = registered("alice", {{"P2PCDS-Device-Key", enrolment}});
  auto message = request("MESSAGE", "tracker");
  message.body = "hello";
  message.content_type = "text/plain";
  message.headers = {{"P-Asserted-Identity", "<sip:bob@sealcast.test>"}, {"P2PCDS-Device", "forged"}};
  EXPECT_EQ(ask(*alice, message).status, 200);
  const auto& got = tracker_->handler.requests.at(0).request;
  EXPECT_EQ(got.asserted_identity, "sip:alice@sealcast.test");
  EXPECT_EQ(got.device, subscribers_.device_of("alice"));
  EXPECT_FALSE(got.device.empty());
  EXPECT_EQ(got.body, "hello");
  EXPECT_TRUE(got.secure);
}

TEST_F(SipTest, carries_messages_between_subscribers_and_services) {
  auto alice = registered("alice"), bob = registered("bob");
  bob->answer_requests(response(200, "OK", {}, "text/plain", "yes"));
  auto answer = ask(*alice, request("MESSAGE", "bob"));
  EXPECT_EQ(answer.status, 200) << answer.reason;
  EXPECT_EQ(bob->handler.requests.at(0).request.asserted_identity, "sip:alice@sealcast.test");
  answer = ask(*tracker_, request("MESSAGE", "bob"));
  EXPECT_EQ(answer.status, 200) << answer.reason;
  EXPECT_EQ(bob->handler.requests.at(1).request.asserted_identity, "sip:tracker@sealcast.test");
  EXPECT_GE(ask(*alice, request("MESSAGE", "carol")).status, 404) << "not registered";
  tracker_->answer_requests(response(200, "", {{"SIP-ETag", "e1"}}));
  auto publish = request("PUBLISH", "tracker");
  publish.event = "p2pcds-peer";
  publish.expires = 60;
  EXPECT_EQ(ask(*alice, publish).values("SIP-ETag"), std::vector<std::string>{"e1"});
}

TEST_F(SipTest, calls_between_subscribers_and_services) {
  auto alice = registered("alice"), bob = registered("bob");
  converse(*alice, *bob, "bob");
  converse(*alice, *tracker_, "tracker");
  converse(*tracker_, *bob, "bob");
}

TEST_F(SipTest, cancels_through_the_core) {
  auto alice = registered("alice"), bob = registered("bob");
  std::optional<Response> got;
  const auto id = alice->agent.invite(request("INVITE", "bob"), [&](const Response& r) { got = r; });
  ASSERT_TRUE(run_until([&] { return !bob->handler.invites.empty(); }));
  alice->agent.bye(id, "");
  ASSERT_TRUE(run_until([&] { return got.has_value() && !bob->handler.ended_calls.empty(); }));
  EXPECT_EQ(got->status, 487);
}

TEST_F(SipTest, follows_what_a_service_knows) {
  tracker_->handler.answer_subscribe = [this](SubscriptionId id, const Request& r) {
    tracker_->agent.accept_subscription(id, 200, "", r.expires.value_or(0));
    tracker_->agent.notify(id, "text/plain", r.event, r.expires == 0);
  };
  auto alice = registered("alice");
  std::vector<Request> notifies;
  std::vector<Response> ends;
  auto subscribe = request("SUBSCRIBE", "tracker");
  subscribe.event = "p2pcds-peers";
  subscribe.expires = 240;
  const auto on_notify = [&](const Request& r) { notifies.push_back(r); };
  const auto on_end = [&](const Response& r) { ends.push_back(r); };
  const auto id = alice->agent.subscribe(subscribe, on_notify, on_end);
  ASSERT_TRUE(run_until([&] { return notifies.size() == 1; }));
  EXPECT_EQ(tracker_->handler.subscribes.at(0).request.asserted_identity, "sip:alice@sealcast.test");
  tracker_->agent.notify(tracker_->handler.subscribes.at(0).id, "text/plain", "more", false);
  ASSERT_TRUE(run_until([&] { return notifies.size() == 2; }));
  EXPECT_EQ(notifies[1].body, "more");
  subscribe.event = "p2pcds-content";
  subscribe.expires = 0;
  alice->agent.subscribe(subscribe, on_notify, on_end);
  ASSERT_TRUE(run_until([&] { return notifies.size() == 3 && ends.size() == 1; }));
  EXPECT_EQ(notifies[2].body, "p2pcds-content");
  EXPECT_EQ(ends[0].status, 200);
  alice->agent.unsubscribe(id);
  ASSERT_TRUE(run_until([&] { return !tracker_->handler.ended_subscriptions.empty(); }));
}

TEST_F(SipTest, registers_again_when_the_core_comes_back) {
  test::TestAgent alice(ue("alice"), executor_);
  std::vector<RegistrationState> states;
  alice.agent.register_identity(credentials("alice", "secret-alice"), 600, nullptr,
                                [&](const RegistrationState& s) { states.push_back(s); });
  ASSERT_TRUE(run_until([&] { return !states.empty() && states.back().registered; }));
  core_.reset();
  ASSERT_TRUE(run_until([&] { return !states.back().registered; }));
  EXPECT_EQ(states.back().status, 0);
  EXPECT_EQ(ask(alice, request("MESSAGE", "tracker")).status, 0);
  start_core();
  ASSERT_TRUE(run_until([&] { return states.back().registered; }));
  tracker_->answer_requests(response(200));
  EXPECT_EQ(ask(alice, request("MESSAGE", "tracker")).status, 200);
}

TEST_F(SipTest, waits_for_a_core_that_is_not_there_yet) {
  core_.reset();
  test::TestAgent alice(ue("alice"), executor_);
  std::vector<RegistrationState> states;
  alice.agent.register_identity(credentials("alice", "secret-alice"), 600, nullptr,
                                [&](const RegistrationState& s) { states.push_back(s); });
  ASSERT_TRUE(run_until([&] { return !states.empty(); }));
  EXPECT_EQ(states.back().status, 0);
  EXPECT_NE(states.back().reason.find(ue_address_), std::string::npos) << states.back().reason;
  start_core();
  ASSERT_TRUE(run_until([&] { return states.back().registered; }));
}

TEST_F(SipTest, a_subscription_of_a_forgotten_dialog_ends_soon) {
  tracker_->handler.answer_subscribe = [this](SubscriptionId id, const Request& r) {
    tracker_->agent.accept_subscription(id, 200, "", r.expires.value_or(0));
    tracker_->agent.notify(id, "text/plain", "list", false);
  };
  auto alice = registered("alice");
  std::vector<Request> notifies;
  std::vector<Response> ends;
  auto subscribe = request("SUBSCRIBE", "tracker");
  subscribe.event = "p2pcds-peers";
  subscribe.expires = 240;
  alice->agent.subscribe(
      subscribe, [&](const Request& r) { notifies.push_back(r); }, [&](const Response& r) { ends.push_back(r); });
  ASSERT_TRUE(run_until([&] { return notifies.size() == 1; }));
  core_.reset();
  start_core();
  ASSERT_TRUE(run_until([&] { return !ends.empty() || notifies.size() == 2; }));
}

}  // namespace
}  // namespace sealcast::sip
