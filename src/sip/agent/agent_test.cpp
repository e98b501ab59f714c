// Two agents face to face, without a core: each one's next hop is the other's listener.
#include "base/log.hpp"
#include "tests/support/agent_fixture.hpp"

namespace sealcast::sip {
namespace {

using namespace std::chrono_literals;
using test::k_sdp_answer;
using test::k_sdp_offer;
using test::response;
using Clock = std::chrono::steady_clock;

class AgentTest : public testing::Test {
 protected:
  AgentConfig config(const std::string& name, const std::string& listen, const std::string& next_hop) const {
    AgentConfig out;
    out.identity = "sip:" + name + "@sealcast.test";
    out.contact_user = "c-" + name;
    out.listen = listen;
    out.next_hop = next_hop;
    out.tls_directory = certificates().directory(name);
    out.require_client_certificate = true;
    return out;
  }
  void SetUp() override {
    left_address_ = test::free_loopback_address();
    right_address_ = test::free_loopback_address();
    auto left = config("left", left_address_, right_address_), right = config("right", right_address_, left_address_);
    left.trusted_names = {"right.sealcast.test"};
    right.trusted_names = {"left.sealcast.test"};
    left_.emplace(left, executor_);
    right_.emplace(right, executor_);
  }
  static const test::AgentCertificates& certificates() {
    static const test::AgentCertificates instance;
    return instance;
  }
  template <class Predicate>
  bool run_until(Predicate holds) {
    return executor_.run_until(holds);
  }
  static Request to_right(const std::string& method) {
    Request out;
    out.method = method;
    out.uri = "sip:right@sealcast.test";
    return out;
  }
  Response ask(test::TestAgent& from, Request request) {
    std::optional<Response> got;
    from.agent.send(std::move(request), [&](const Response& answer) { got = answer; });
    EXPECT_TRUE(run_until([&] { return got.has_value(); }));
    return got.value_or(Response{});
  }
  // A call from left to right that is up.
  CallId call(std::optional<Response>* answer = nullptr) {
    right_->answer_invites(response(200, "OK", {}, "application/sdp", k_sdp_answer));
    auto invite = to_right("INVITE");
    invite.body = k_sdp_offer;
    std::optional<Response> got;
    auto id = left_->agent.invite(invite, [&](const Response& r) { got = r; });
    EXPECT_TRUE(run_until([&] { return got.has_value(); }));
    if (answer != nullptr) *answer = got;
    return id;
  }

  test::QueueExecutor executor_;
  std::string left_address_, right_address_;
  std::optional<test::TestAgent> left_, right_;
};

TEST_F(AgentTest, carries_a_message_and_its_answer) {
  right_->answer_requests(response(202, "Noted", {{"P2PCDS-Test", "yes"}}, "text/plain", std::string("re\0ply", 6)));
  auto message = to_right("MESSAGE");
  message.content_type = "application/octet-stream";
  message.body = std::string("\x00\x01\xff\r\n\r\nx", 8);
  message.headers = {{"P2PCDS-Token", "one"}, {"P2PCDS-Token", "two"}};
  auto answer = ask(*left_, message);
  EXPECT_EQ(answer.status, 202) << answer.reason;
  EXPECT_EQ(answer.reason, "Noted");
  EXPECT_EQ(answer.content_type, "text/plain");
  EXPECT_EQ(answer.body, std::string("re\0ply", 6));
  EXPECT_EQ(answer.values("p2pcds-test"), std::vector<std::string>{"yes"});
  ASSERT_EQ(right_->handler.requests.size(), 1u);
  const auto& got = right_->handler.requests.front().request;
  EXPECT_EQ(got.method, "MESSAGE");
  EXPECT_EQ(got.uri, "sip:right@sealcast.test");
  EXPECT_EQ(got.from, "sip:left@sealcast.test");
  EXPECT_EQ(got.to, "sip:right@sealcast.test");
  EXPECT_EQ(got.body, message.body);
  EXPECT_EQ(got.content_type, "application/octet-stream");
  EXPECT_EQ(got.values("P2PCDS-Token"), (std::vector<std::string>{"one", "two"}));
  EXPECT_TRUE(got.secure);
}

TEST_F(AgentTest, carries_publication_state) {
  right_->answer_requests(response(200, "OK", {{"SIP-ETag", "e2"}, {"Expires", "90"}}));
  auto publish = to_right("PUBLISH");
  publish.event = "p2pcds-peer";
  publish.expires = 120;
  publish.headers = {{"SIP-If-Match", "e1"}};
  auto answer = ask(*left_, publish);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.values("SIP-ETag"), std::vector<std::string>{"e2"});
  const auto& got = right_->handler.requests.at(0).request;
  EXPECT_EQ(got.event, "p2pcds-peer");
  EXPECT_EQ(got.expires, 120);
  EXPECT_EQ(got.values("SIP-If-Match"), std::vector<std::string>{"e1"});
  right_->answer_requests(response(423, "", {{"Min-Expires", "60"}}));
  answer = ask(*left_, publish);
  EXPECT_EQ(answer.status, 423);
  EXPECT_EQ(answer.values("Min-Expires"), std::vector<std::string>{"60"});
}

TEST_F(AgentTest, believes_identity_and_device_of_trusted_names_only) {
  right_->answer_requests(response(200));
  auto message = to_right("MESSAGE");
  message.headers = {{"P-Asserted-Identity", "<sip:alice@sealcast.test>"}, {"P2PCDS-Device", "thumb"}};
  EXPECT_EQ(ask(*left_, message).status, 200);
  EXPECT_EQ(right_->handler.requests.at(0).request.asserted_identity, "sip:alice@sealcast.test");
  EXPECT_EQ(right_->handler.requests.at(0).request.device, "thumb");
  EXPECT_TRUE(right_->handler.requests.at(0).request.values("P2PCDS-Device").empty());

  auto other = config("other", "127.0.0.1:0", right_address_);
  test::TestAgent stranger(other, executor_);
  EXPECT_EQ(ask(stranger, message).status, 403);
  EXPECT_EQ(right_->handler.requests.size(), 1u);
}

TEST_F(AgentTest, believes_nobody_who_dials_in_without_trusted_names) {
  auto open = config("right", "127.0.0.1:0", left_address_);
  test::TestAgent callee(open, executor_);
  callee.answer_requests(response(200));
  test::TestAgent caller(config("left", "127.0.0.1:0", callee.agent.local_address()), executor_);
  auto message = to_right("MESSAGE");
  message.headers = {{"P-Asserted-Identity", "<sip:alice@sealcast.test>"}, {"P2PCDS-Device", "thumb"}};
  EXPECT_EQ(ask(caller, message).status, 200);
  EXPECT_EQ(callee.handler.requests.at(0).request.asserted_identity, "");
  EXPECT_EQ(callee.handler.requests.at(0).request.device, "");
}

TEST_F(AgentTest, refuses_a_host_without_client_certificate) {
  auto client = config("left", "", right_address_);
  client.tls_directory = certificates().directory("client");
  client.require_client_certificate = false;
  test::TestAgent agent(client, executor_);
  EXPECT_EQ(ask(agent, to_right("MESSAGE")).status, 0);
  EXPECT_TRUE(right_->handler.requests.empty());
}

TEST_F(AgentTest, refuses_malformed_requests_of_its_owner) {
  auto message = to_right("MESSAGE");
  message.headers = {{"P2PCDS-Token", "a\r\nP-Asserted-Identity: <sip:evil@sealcast.test>"}};
  EXPECT_EQ(ask(*left_, message).status, 0);
  for (const char* uri : {"sip:right@sealcast.test?P-Asserted-Identity=x", "tel:1", "sip:a@b>\r\nX: y"}) {
    message = to_right("MESSAGE");
    message.uri = uri;
    EXPECT_EQ(ask(*left_, message).status, 0) << uri;
  }
  EXPECT_TRUE(right_->handler.requests.empty());
}

TEST_F(AgentTest, refuses_large_requests) {
  right_->answer_requests(response(200));
  auto message = to_right("MESSAGE");
  message.content_type = "text/plain";
  message.body = std::string(65536, 'x');
  EXPECT_EQ(ask(*left_, message).status, 200);
  message.body += 'x';
  EXPECT_EQ(ask(*left_, message).status, 413);
  message.body = "small";
  EXPECT_EQ(ask(*left_, message).status, 200) << "the connection survives";
}

TEST_F(AgentTest, takes_a_burst_before_the_connection_is_up) {
  right_->answer_requests(response(200));
  int good = 0, answered = 0;
  for (int i = 0; i < 500; ++i) {
    left_->agent.send(to_right("MESSAGE"), [&](const Response& r) {
      ++answered;
      good += r.ok() ? 1 : 0;
    });
  }
  EXPECT_TRUE(run_until([&] { return answered == 500; }));
  EXPECT_EQ(good, 500);
}

TEST_F(AgentTest, calls_and_hangs_up) {
  std::optional<Response> answer;
  auto id = call(&answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, k_sdp_answer);
  EXPECT_EQ(answer->content_type, "application/sdp");
  EXPECT_FALSE(answer->values("Contact").empty());
  EXPECT_EQ(right_->handler.invites.at(0).request.body, k_sdp_offer);
  left_->agent.bye(id, "enough");
  ASSERT_TRUE(run_until([&] { return !right_->handler.ended_calls.empty(); }));
  EXPECT_EQ(right_->handler.ended_calls.at(0), std::pair(right_->handler.invites.at(0).id, std::string("enough")));
  EXPECT_TRUE(left_->handler.ended_calls.empty());
  left_->agent.bye(id, "again");
}

TEST_F(AgentTest, the_called_side_hangs_up) {
  auto id = call();
  right_->agent.bye(right_->handler.invites.at(0).id, "bye \"bye\"");
  ASSERT_TRUE(run_until([&] { return !left_->handler.ended_calls.empty(); }));
  EXPECT_EQ(left_->handler.ended_calls.at(0), std::pair(id, std::string("bye 'bye'")));
  EXPECT_TRUE(right_->handler.ended_calls.empty());
}

TEST_F(AgentTest, offers_again_in_both_directions) {
  auto id = call();
  const auto answer = response(200, "", {}, "application/sdp", k_sdp_answer);
  right_->answer_invites(answer);
  left_->answer_invites(answer);
  Request again;
  again.body = k_sdp_offer;
  std::vector<int> statuses;
  left_->agent.reinvite(id, again, [&](const Response& r) { statuses.push_back(r.status); });
  ASSERT_TRUE(run_until([&] { return statuses.size() == 1; }));
  right_->agent.reinvite(right_->handler.invites.at(0).id, again,
                         [&](const Response& r) { statuses.push_back(r.status); });
  ASSERT_TRUE(run_until([&] { return statuses.size() == 2; }));
  left_->agent.reinvite(id, again, [&](const Response& r) { statuses.push_back(r.status); });
  ASSERT_TRUE(run_until([&] { return statuses.size() == 3; }));
  EXPECT_EQ(statuses, (std::vector<int>{200, 200, 200}));
  EXPECT_EQ(right_->handler.reinvites.size(), 2u);
  EXPECT_EQ(left_->handler.reinvites.size(), 1u);
  right_->answer_invites(response(488, "Not so"));
  left_->agent.reinvite(id, again, [&](const Response& r) { statuses.push_back(r.status); });
  ASSERT_TRUE(run_until([&] { return statuses.size() == 4; }));
  EXPECT_EQ(statuses.back(), 488);
  EXPECT_TRUE(left_->handler.ended_calls.empty()) << "a refused offer leaves the call";
  left_->agent.bye(id, "");
  ASSERT_TRUE(run_until([&] { return !right_->handler.ended_calls.empty(); }));
}

TEST_F(AgentTest, tells_why_an_invite_is_refused) {
  right_->answer_invites(response(488, "Not Acceptable Here",
                                  {{"Warning", "399 right.test \"no-common-suite: the offer has no suite of ours\""}}));
  std::optional<Response> got;
  auto id = left_->agent.invite(to_right("INVITE"), [&](const Response& r) { got = r; });
  ASSERT_TRUE(run_until([&] { return got.has_value(); }));
  EXPECT_EQ(got->status, 488);
  ASSERT_EQ(got->values("Warning").size(), 1u);
  EXPECT_NE(got->values("Warning").front().find("\"no-common-suite: the offer has no suite of ours\""),
            std::string::npos)
      << got->values("Warning").front();
  left_->agent.bye(id, "");
  left_->answer_requests(response(200));
  EXPECT_EQ(ask(*right_, to_right("MESSAGE")).status, 200) << "both go on working";
  EXPECT_TRUE(left_->handler.ended_calls.empty());
  EXPECT_TRUE(right_->handler.ended_calls.empty());
}

TEST_F(AgentTest, cancels_a_call_before_it_is_answered) {
  std::vector<Response> got;
  auto id = left_->agent.invite(to_right("INVITE"), [&](const Response& r) { got.push_back(r); });
  ASSERT_TRUE(run_until([&] { return !right_->handler.invites.empty(); }));
  left_->agent.bye(id, "changed my mind");
  ASSERT_TRUE(run_until([&] { return !got.empty() && !right_->handler.ended_calls.empty(); }));
  EXPECT_EQ(got.front().status, 487);
  right_->agent.answer(right_->handler.invites.at(0).id, response(200));
  EXPECT_EQ(got.size(), 1u);
  EXPECT_TRUE(left_->handler.ended_calls.empty());
}

TEST_F(AgentTest, declines_with_bye) {
  std::optional<Response> got;
  left_->agent.invite(to_right("INVITE"), [&](const Response& r) { got = r; });
  ASSERT_TRUE(run_until([&] { return !right_->handler.invites.empty(); }));
  right_->agent.bye(right_->handler.invites.at(0).id, "");
  ASSERT_TRUE(run_until([&] { return got.has_value(); }));
  EXPECT_EQ(got->status, 480);
}

// --- Subscriptions ---

struct Watching {
  std::vector<Request> notifies;
  std::vector<Response> ends;
  SubscriptionId id = 0;
};

class SubscriptionTest : public AgentTest {
 protected:
  void accept_all(int expires) {
    right_->handler.answer_subscribe = [this, expires](SubscriptionId id, const Request& request) {
      right_->agent.accept_subscription(id, 200, "OK", request.expires == 0 ? 0 : expires);
      right_->agent.notify(id, "application/json", "{\"for\":" + request.body + "}", request.expires == 0);
    };
  }
  void watch(Watching& into, int expires) {
    auto subscribe = to_right("SUBSCRIBE");
    subscribe.event = "p2pcds-peers";
    subscribe.expires = expires;
    subscribe.content_type = "application/json";
    subscribe.body = "7";
    into.id = left_->agent.subscribe(
        subscribe, [&](const Request& r) { into.notifies.push_back(r); },
        [&](const Response& r) { into.ends.push_back(r); });
  }
};

TEST_F(SubscriptionTest, notifies_until_it_is_terminated) {
  accept_all(600);
  Watching got;
  watch(got, 600);
  ASSERT_TRUE(run_until([&] { return got.notifies.size() == 1; }));
  EXPECT_EQ(got.notifies[0].body, "{\"for\":7}");
  EXPECT_EQ(got.notifies[0].event, "p2pcds-peers");
  ASSERT_EQ(got.notifies[0].values("Subscription-State").size(), 1u);
  EXPECT_TRUE(got.notifies[0].values("Subscription-State")[0].starts_with("active;expires="))
      << got.notifies[0].values("Subscription-State")[0];
  const auto id = right_->handler.subscribes.at(0).id;
  EXPECT_EQ(right_->handler.subscribes.at(0).request.expires, 600);
  right_->agent.notify(id, "application/json", std::string(250000, '1'), false);
  right_->agent.notify(id, "", "", true);
  ASSERT_TRUE(run_until([&] { return !got.ends.empty(); }));
  EXPECT_EQ(got.notifies.size(), 3u);
  EXPECT_EQ(got.notifies[1].body.size(), 250000u);
  EXPECT_EQ(got.ends[0].status, 200);
  EXPECT_EQ(got.ends[0].reason, "timeout");
  right_->agent.notify(id, "", "late", false);
  EXPECT_TRUE(right_->handler.ended_subscriptions.empty());
}

TEST_F(SubscriptionTest, fetches_once) {
  accept_all(0);
  Watching got;
  watch(got, 0);
  ASSERT_TRUE(run_until([&] { return !got.ends.empty(); }));
  EXPECT_EQ(got.notifies.size(), 1u);
  EXPECT_EQ(got.notifies[0].body, "{\"for\":7}");
  EXPECT_EQ(got.ends[0].status, 200);
}

TEST_F(SubscriptionTest, unsubscribes_silently) {
  accept_all(600);
  Watching got;
  watch(got, 600);
  ASSERT_TRUE(run_until([&] { return got.notifies.size() == 1; }));
  left_->agent.unsubscribe(got.id);
  ASSERT_TRUE(run_until([&] { return !right_->handler.ended_subscriptions.empty(); }));
  EXPECT_EQ(right_->handler.ended_subscriptions.at(0), right_->handler.subscribes.at(0).id);
  EXPECT_EQ(right_->handler.subscribes.size(), 1u) << "the agent answers it alone";
  EXPECT_TRUE(got.ends.empty());
  EXPECT_EQ(got.notifies.size(), 1u);
}

TEST_F(SubscriptionTest, unsubscribes_before_it_is_accepted) {
  Watching got;
  watch(got, 600);
  ASSERT_TRUE(run_until([&] { return !right_->handler.subscribes.empty(); }));
  left_->agent.unsubscribe(got.id);
  right_->agent.accept_subscription(right_->handler.subscribes.at(0).id, 200, "", 600);
  ASSERT_TRUE(run_until([&] { return !right_->handler.ended_subscriptions.empty(); }));
  EXPECT_TRUE(got.ends.empty());
}

TEST_F(SubscriptionTest, refreshes_at_half_of_its_life) {
  accept_all(2);
  Watching got;
  watch(got, 2);
  ASSERT_TRUE(run_until([&] { return right_->handler.subscribes.size() == 2; }));
  EXPECT_EQ(right_->handler.subscribes[0].id, right_->handler.subscribes[1].id);
  EXPECT_EQ(right_->handler.subscribes[1].request.body, "7");
  ASSERT_TRUE(run_until([&] { return got.notifies.size() == 2; }));
}

TEST_F(SubscriptionTest, tells_of_refusals) {
  Watching got;
  right_->handler.answer_subscribe = [this](SubscriptionId id, const Request&) {
    right_->agent.accept_subscription(id, 404, "Unknown content", 0);
  };
  watch(got, 600);
  ASSERT_TRUE(run_until([&] { return !got.ends.empty(); }));
  EXPECT_EQ(got.ends[0].status, 404);
  EXPECT_EQ(got.ends[0].reason, "Unknown content");
}

TEST_F(SubscriptionTest, ends_when_the_server_has_forgotten_it) {
  // Its way to us is cut, so that it dies without a farewell, as in a crash.
  auto dying = config("right", "", "127.0.0.1:1");
  dying.listen = right_address_;
  right_.reset();
  right_.emplace(dying, executor_);
  right_->handler.answer_subscribe = [this](SubscriptionId id, const Request&) {
    right_->agent.accept_subscription(id, 200, "", 2);
  };
  Watching got;
  watch(got, 600);
  ASSERT_TRUE(run_until([&] { return !right_->handler.subscribes.empty(); }));
  right_.reset();
  right_.emplace(config("right", right_address_, left_address_), executor_);
  ASSERT_TRUE(run_until([&] { return !got.ends.empty(); }));
  EXPECT_EQ(got.ends[0].status, 481);
  EXPECT_TRUE(got.notifies.empty());
}

TEST_F(SubscriptionTest, the_server_learns_that_the_subscriber_is_gone) {
  accept_all(600);
  Watching got;
  watch(got, 600);
  ASSERT_TRUE(run_until([&] { return got.notifies.size() == 1; }));
  auto left = config("left", left_address_, "127.0.0.1:1");
  left.trusted_names = {"right.sealcast.test"};
  left_.reset();
  left_.emplace(left, executor_);
  if (right_->handler.ended_subscriptions.empty())
    right_->agent.notify(right_->handler.subscribes.at(0).id, "text/plain", "x", false);
  ASSERT_TRUE(run_until([&] { return !right_->handler.ended_subscriptions.empty(); }));
}

// --- Failures of the network ---

TEST_F(AgentTest, says_quickly_that_nobody_is_there) {
  right_.reset();
  const auto begin = Clock::now();
  auto answer = ask(*left_, to_right("MESSAGE"));
  EXPECT_EQ(answer.status, 0);
  EXPECT_NE(answer.reason.find(right_address_), std::string::npos) << answer.reason;
  EXPECT_LT(Clock::now() - begin, 2s);
}

TEST_F(AgentTest, refuses_a_next_hop_of_another_ca_or_name_quickly) {
  for (const char* name : {"stranger", "other", "expired"}) {
    auto hop = config(name, "127.0.0.1:0", left_address_);
    hop.require_client_certificate = false;
    test::TestAgent impostor(hop, executor_);
    test::TestAgent caller(config("left", "127.0.0.1:0", impostor.agent.local_address()), executor_);
    const auto begin = Clock::now();
    auto answer = ask(caller, to_right("MESSAGE"));
    EXPECT_EQ(answer.status, 0) << name;
    EXPECT_LT(Clock::now() - begin, 2s) << name;
    EXPECT_TRUE(impostor.handler.requests.empty()) << name;
  }
}

TEST_F(AgentTest, stops_quickly_when_the_other_side_is_dead) {
  call();
  right_.reset();
  const auto begin = Clock::now();
  left_.reset();
  EXPECT_LT(Clock::now() - begin, 2s);
}

TEST_F(AgentTest, stops_quickly_when_the_other_side_is_silent) {
  call();
  left_->agent.send(to_right("MESSAGE"), [](const Response&) { FAIL() << "no callback comes after stop()"; });
  ASSERT_TRUE(run_until([&] { return !right_->handler.requests.empty(); }));
  const auto begin = Clock::now();
  left_.reset();
  EXPECT_LT(Clock::now() - begin, 2s);
  ASSERT_TRUE(run_until([&] { return !right_->handler.ended_calls.empty(); }));
}

TEST_F(AgentTest, says_which_address_cannot_be_listened_on) {
  auto second = config("right", right_address_, left_address_);
  test::RecordingHandler handler;
  Agent agent(second, executor_, handler);
  auto started = agent.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find(right_address_), std::string::npos) << started.error().message;
  second.tls_directory = "/nonexistent";
  Agent without_files(second, executor_, handler);
  started = without_files.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("/nonexistent/cafile.pem"), std::string::npos) << started.error().message;
}

TEST_F(AgentTest, works_over_tcp_where_nothing_secret_travels) {
  AgentConfig plain;
  plain.identity = "sip:left@sealcast.test";
  plain.listen = "127.0.0.1:0";
  plain.next_hop = left_address_;
  plain.tls = false;
  test::TestAgent callee(plain, executor_);
  callee.answer_requests(response(200));
  plain.next_hop = callee.agent.local_address();
  test::TestAgent caller(plain, executor_);
  EXPECT_EQ(ask(caller, to_right("MESSAGE")).status, 200);
  EXPECT_FALSE(callee.handler.requests.at(0).request.secure);
  auto secret = to_right("MESSAGE");
  secret.secure = true;
  EXPECT_EQ(ask(caller, secret).status, 0);
  EXPECT_EQ(callee.handler.requests.size(), 1u);
}

// --- Reaching the next hop ---

TEST_F(AgentTest, reaches_the_next_hop_once) {
  auto status = left_->agent.reach(5s);
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_TRUE(left_->agent.reach(5s));
}

TEST_F(AgentTest, says_why_the_next_hop_is_out_of_reach) {
  const auto sentence = [&](const std::string& hop, AgentConfig with) {
    with.next_hop = hop;
    test::TestAgent caller(with, executor_);
    auto status = caller.agent.reach(5s);
    EXPECT_FALSE(status);
    if (status) return std::string();
    EXPECT_EQ(status.error().code, ErrorCode::network);
    EXPECT_EQ(ask(caller, to_right("MESSAGE")).reason, status.error().message);
    return status.error().message;
  };
  auto left = config("left", "", right_address_);
  const auto nobody = test::free_loopback_address();
  EXPECT_EQ(sentence(nobody, left), "connection refused by " + nobody + " (is the core running?)");
  auto plain = left;
  plain.tls = false;
  EXPECT_EQ(sentence(nobody, plain), "connection refused by " + nobody + " (is the core running?)");

  for (auto [name, expected] :
       {std::pair{"stranger", " is not signed by the CA in " + certificates().directory("left") + "/cafile.pem"},
        std::pair{"other", std::string(" is not for the name 127.0.0.1")},
        std::pair{"expired", std::string(" has expired")}}) {
    auto hop = config(name, "127.0.0.1:0", left_address_);
    hop.require_client_certificate = false;
    test::TestAgent agent(hop, executor_);
    const auto address = agent.agent.local_address();
    EXPECT_EQ(sentence(address, left), "the certificate of " + address + expected);
  }
}

TEST_F(AgentTest, says_that_its_certificate_is_refused) {
  auto without = config("left", "", right_address_);
  without.tls_directory = certificates().directory("client");
  test::TestAgent caller(without, executor_);
  const auto answer = ask(caller, to_right("MESSAGE"));
  EXPECT_EQ(answer.status, 0);
  EXPECT_TRUE(answer.reason.starts_with(right_address_ + " refuses our certificate: ")) << answer.reason;
}

}  // namespace
}  // namespace sealcast::sip
