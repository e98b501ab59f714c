// Proxy: asserted identity, routing between UEs and services, dialogs through the core, and what must not pass.
#include <thread>

#include "crypto/ec.hpp"
#include "keys/request.hpp"
#include "tests/support/core_fixture.hpp"

namespace sealcast::sip {
namespace {

using namespace std::chrono_literals;
using test::CoreTest;
using test::RequestParts;
using test::response_text;
using test::SipConnection;
using test::SipMessage;
using test::TestUe;

constexpr const char* k_tracker = "sip:tracker@sealcast.test";
constexpr const char* k_sdp =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=application 9 RTP/AVPF 98\r\n";
constexpr const char* k_sdp_with_key =
    "v=0\r\nm=application 9 RTP/SAVPF 98\r\na=crypto:1 AEAD_AES_128_GCM inline:AAAA\r\n";

// Route for what the callee (as it came) or the caller (reversed) sends within the dialog.
std::vector<std::string> route_of(const SipMessage& message, bool reversed) {
  std::vector<std::string> values;
  for (auto& each : message.all("Record-Route")) {
    for (std::size_t at = 0; at < each.size();) {  // values of one line are separated by commas
      auto end = std::min(each.find(',', at), each.size());
      values.push_back(each.substr(at, end - at));
      at = end + 1;
    }
  }
  std::vector<std::string> out;
  for (auto& each : values) out.insert(reversed ? out.begin() : out.end(), "Route: " + each);
  return out;
}

// One dialog as both ends see it, made by an INVITE through the core.
struct Dialog {
  SipMessage invite;  // as it reached the callee
  SipMessage answer;  // as it reached the caller
};

struct CoreProxyTest : CoreTest {
  RequestParts invite_to(const std::string& uri, const std::string& contact, const char* body = k_sdp) {
    RequestParts out{"INVITE", uri, {}, {}, {"Contact: <" + contact + ">"}, "application/sdp", body};
    out.call_id = test::fresh_word("dialog-");
    return out;
  }

  template <class Callee>
  Dialog establish(TestUe& caller, Callee& callee, const RequestParts& parts, const std::string& callee_contact) {
    caller.connection.send(caller.request(parts));
    auto invite = receive(callee);
    EXPECT_EQ(invite.method(), "INVITE");
    callee.send(response_text(invite, 180, "Ringing", "t1"));
    callee.send(
        response_text(invite, 200, "OK", "t1", {"Contact: <" + callee_contact + ">"}, "application/sdp", k_sdp));
    auto answer = caller.answer();
    EXPECT_EQ(answer.status(), 200) << answer.start;
    RequestParts ack{"ACK", callee_contact, {}, answer.header("To"), route_of(answer, true)};
    ack.call_id = parts.call_id;
    caller.connection.send(caller.request(ack));
    auto acked = receive(callee);
    EXPECT_EQ(acked.method(), "ACK");
    EXPECT_EQ(acked.uri(), callee_contact);
    return {invite, answer};
  }

  RequestParts within(const Dialog& dialog, const std::string& method, const std::string& target) {
    RequestParts out{method, target, {}, dialog.answer.header("To"), route_of(dialog.answer, true)};
    out.call_id = dialog.answer.header("Call-ID");
    out.cseq = 2;
    return out;
  }

  SipMessage receive(SipConnection& connection) { return connection.receive().value_or(SipMessage{}); }
  // The core's connection to a service.
  SipConnection accepted(test::SipListener& listener) {
    auto out = listener.accept();
    if (!out) throw std::runtime_error("the core did not connect");
    return std::move(*out);
  }
};

TEST_F(CoreProxyTest, asserts_its_own_identity_to_a_service_in_place_of_a_forged_one) {
  test::SeededRandom random(5);
  auto key = crypto::PrivateKey::generate(random);
  auto alice = ue("alice");
  ASSERT_EQ(alice
                .register_with("secret-alice", 600,
                               {"P2PCDS-Device-Key: " + keys::make_enrolment(alice.impu(), std::time(nullptr), key)})
                .status(),
            200);
  alice.connection.send(
      alice.request({"MESSAGE",
                     k_tracker,
                     {},
                     {},
                     {"P-Asserted-Identity: <sip:bob@sealcast.test>", "p-asserted-identity : <sip:carol@sealcast.test>",
                      "P-Preferred-Identity: <sip:bob@sealcast.test>", "P2PCDS-Device: forged",
                      "P2PCDS-device : forged", "Privacy: id", "P2PCDS-Token: kept"},
                     "text/plain",
                     "hello"}));
  auto core = accepted(*tracker_);
  auto message = receive(core);
  ASSERT_EQ(message.method(), "MESSAGE");
  EXPECT_EQ(message.all("P-Asserted-Identity"), std::vector<std::string>{"<sip:alice@sealcast.test>"});
  EXPECT_EQ(message.all("P2PCDS-Device"), std::vector<std::string>{key.public_key().thumbprint()});
  EXPECT_EQ(message.header("P-Preferred-Identity"), "");
  EXPECT_EQ(message.header("P2PCDS-Token"), "kept");
  EXPECT_EQ(message.header("Max-Forwards"), "69");
  EXPECT_EQ(message.uri(), k_tracker);
  EXPECT_EQ(message.body, "hello");
  core.send(response_text(message, 202, "Accepted", "t1",
                          {"P-Asserted-Identity: <sip:tracker@sealcast.test>", "SIP-ETag: e1"}));
  auto answer = alice.answer();
  EXPECT_EQ(answer.status(), 202);
  EXPECT_EQ(answer.header("SIP-ETag"), "e1");
  EXPECT_EQ(answer.all("Via").size(), 1u);
}

TEST_F(CoreProxyTest, passes_on_nothing_that_it_cannot_read) {
  auto alice = registered("alice"), bob = registered("bob");
  for (const char* header :
       {"P-Asserted-Identity: \"open <sip:carol@sealcast.test", "P-Asserted-Identity: <sip:carol@sealcast.test>, <<",
        "Subject: x\rP-Asserted-Identity: <sip:carol@sealcast.test>",
        "Subject: x\nP-Asserted-Identity: <sip:carol@sealcast.test>", "Subject: x\r\r\nP-Asserted-Identity: y"}) {
    auto again = registered("alice");
    auto answer = again.ask({"MESSAGE", "sip:bob@sealcast.test", {}, {}, {header}, "text/plain", "hello"});
    EXPECT_TRUE(answer.status() == 400 || answer.status() == 0) << header << ": " << answer.start;
    auto message = bob.connection.receive(20ms);
    if (message) {
      EXPECT_EQ(message->header("P-Asserted-Identity"), "<sip:alice@sealcast.test>") << header;
    }
  }
}

TEST_F(CoreProxyTest, carries_a_message_between_two_subscribers) {
  auto alice = registered("alice"), bob = registered("bob");
  alice.connection.send(alice.request({"MESSAGE", "sip:bob@sealcast.test", {}, {}, {}, "text/plain", "hello"}));
  auto message = receive(bob.connection);
  ASSERT_EQ(message.method(), "MESSAGE");
  EXPECT_EQ(message.uri(), bob.contact());
  EXPECT_EQ(message.header("P-Asserted-Identity"), "<sip:alice@sealcast.test>");
  EXPECT_EQ(message.header("P2PCDS-Device"), "");
  bob.connection.send(response_text(message, 200, "OK", "t1", {"P-Asserted-Identity: <sip:carol@sealcast.test>"}));
  auto answer = alice.answer();
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.header("P-Asserted-Identity"), "");
  EXPECT_EQ(core_->counters().relayed, 1u);
}

TEST_F(CoreProxyTest, asks_the_next_device_of_a_subscriber_when_one_says_404) {
  auto alice = registered("alice"), old_device = registered("bob"), new_device = registered("bob");
  alice.connection.send(alice.request({"MESSAGE", "sip:bob@sealcast.test", {}, {}, {}, "text/plain", "hello"}));
  auto first = receive(new_device.connection);
  ASSERT_EQ(first.method(), "MESSAGE");
  new_device.connection.send(response_text(first, 404, "Not Found", "t1"));
  auto second = receive(old_device.connection);
  ASSERT_EQ(second.method(), "MESSAGE");
  EXPECT_EQ(second.uri(), old_device.contact());
  EXPECT_EQ(second.header("P-Asserted-Identity"), "<sip:alice@sealcast.test>");
  old_device.connection.send(response_text(second, 200, "OK", "t2"));
  EXPECT_EQ(alice.answer().status(), 200);

  alice.connection.send(alice.request({"MESSAGE", "sip:bob@sealcast.test", {}, {}, {}, "text/plain", "again"}));
  for (auto* device : {&new_device, &old_device})
    device->connection.send(response_text(receive(device->connection), 404, "Not Found", "t3"));
  EXPECT_EQ(alice.answer().status(), 404);
}

TEST_F(CoreProxyTest, hides_the_identity_from_other_subscribers_on_request) {
  auto alice = registered("alice"), bob = registered("bob");
  alice.connection.send(alice.request({"MESSAGE",
                                       "sip:bob@sealcast.test",
                                       "sip:anonymous@anonymous.invalid",
                                       {},
                                       {"Privacy: id"},
                                       "text/plain",
                                       "hello"}));
  auto message = receive(bob.connection);
  ASSERT_EQ(message.method(), "MESSAGE");
  EXPECT_EQ(message.header("P-Asserted-Identity"), "");
}

TEST_F(CoreProxyTest, says_404_for_who_is_not_there_and_for_other_domains) {
  auto alice = registered("alice");
  EXPECT_EQ(alice.ask({"MESSAGE", "sip:carol@sealcast.test", {}, {}, {}, "text/plain", "x"}).status(), 404);
  EXPECT_EQ(alice.ask({"MESSAGE", "sip:nobody@sealcast.test", {}, {}, {}, "text/plain", "x"}).status(), 404);
  EXPECT_EQ(alice.ask({"MESSAGE", "sip:bob@elsewhere.test", {}, {}, {}, "text/plain", "x"}).status(), 404);
  EXPECT_EQ(alice.ask({"MESSAGE", "sip:bob@127.0.0.1:9", {}, {}, {}, "text/plain", "x"}).status(), 404);
}

TEST_F(CoreProxyTest, refuses_what_comes_over_a_connection_without_registration) {
  auto alice = registered("alice"), bob = registered("bob"), thief = ue("alice");
  EXPECT_EQ(thief.ask({"MESSAGE", "sip:bob@sealcast.test", {}, {}, {}, "text/plain", "x"}).status(), 403);
  auto dialog = establish(alice, bob.connection, invite_to("sip:bob@sealcast.test", alice.contact()), bob.contact());
  // The whole dialog is known to the thief: tags, Call-ID, Route. His connection is not.
  EXPECT_EQ(thief.ask(within(dialog, "BYE", bob.contact())).status(), 403);
  thief.connection.send(thief.request(within(dialog, "ACK", bob.contact())));
  // A registered subscriber who is no party to it, neither.
  auto carol = registered("carol");
  EXPECT_EQ(carol.ask(within(dialog, "BYE", bob.contact())).status(), 403);
  EXPECT_FALSE(bob.connection.receive(200ms));
}

TEST_F(CoreProxyTest, is_no_relay_for_forged_tags_and_routes) {
  auto alice = registered("alice"), bob = registered("bob");
  for (auto& route : std::vector<std::vector<std::string>>{
           {},
           {"Route: <sip:" + core_->ue_address() + ";transport=tls;lr>"},
           {"Route: <sip:forged@" + core_->ue_address() + ";transport=tls;lr>"},
           {"Route: <sip:" + core_->ue_address() + ";transport=tls;lr>, <sip:127.0.0.1:9;lr>"},
           {"Route: <sip:127.0.0.1:9;lr>"}}) {
    EXPECT_EQ(alice.ask({"BYE", bob.contact(), {}, "<sip:bob@sealcast.test>;tag=forged", route}).status(), 403)
        << (route.empty() ? "" : route[0]);
  }
  EXPECT_EQ(alice.ask({"MESSAGE", k_tracker, {}, {}, {"Route: <sip:127.0.0.1:9;lr>"}, "text/plain", "x"}).status(),
            403);
  EXPECT_FALSE(bob.connection.receive(100ms));
}

TEST_F(CoreProxyTest, takes_a_dialog_between_subscribers_from_invite_to_bye) {
  auto alice = registered("alice"), bob = registered("bob");
  auto dialog = establish(alice, bob.connection, invite_to("sip:bob@sealcast.test", alice.contact()), bob.contact());
  EXPECT_EQ(dialog.invite.all("Record-Route").size(), 1u);
  EXPECT_EQ(dialog.invite.header("Record-Route").find("alice"), std::string::npos)
      << "the caller's name must not be readable";
  // re-INVITE from the callee: towards the caller, who never listens.
  RequestParts again{"INVITE",
                     alice.contact(),
                     bob.impu(),
                     dialog.invite.header("From"),
                     route_of(dialog.invite, false),
                     "application/sdp",
                     k_sdp};
  again.headers.push_back("Contact: <" + bob.contact() + ">");
  again.from_tag = "t1";
  again.call_id = dialog.invite.header("Call-ID");
  bob.connection.send(bob.request(again));
  auto reinvite = receive(alice.connection);
  ASSERT_EQ(reinvite.method(), "INVITE");
  EXPECT_EQ(reinvite.header("P-Asserted-Identity"), "<sip:bob@sealcast.test>");
  alice.connection.send(response_text(reinvite, 488, "No", ""));
  EXPECT_EQ(bob.answer().status(), 488);
  EXPECT_EQ(receive(alice.connection).method(), "ACK") << "of the core, for a refusal";

  alice.connection.send(alice.request(within(dialog, "BYE", bob.contact())));
  auto bye = receive(bob.connection);
  ASSERT_EQ(bye.method(), "BYE");
  EXPECT_EQ(bye.header("Route"), "");
  bob.connection.send(response_text(bye, 200, "OK", ""));
  EXPECT_EQ(alice.answer().status(), 200);
}

TEST_F(CoreProxyTest, takes_a_dialog_to_a_service_and_back_over_its_own_connection) {
  auto alice = registered("alice");
  alice.connection.send(alice.request({"MESSAGE", "sip:cache@sealcast.test", {}, {}, {}, "text/plain", "x"}));
  auto core = accepted(*cache_);
  core.send(response_text(receive(core), 200, "OK", "t0"));
  EXPECT_EQ(alice.answer().status(), 200);

  const auto contact = "sip:cache@" + cache_->address() + ";transport=tls";
  auto dialog = establish(alice, core, invite_to("sip:cache@sealcast.test", alice.contact()), contact);
  auto route = route_of(dialog.invite, false);
  ASSERT_EQ(route.size(), 2u);
  EXPECT_NE(route[0].find(core_->service_address()), std::string::npos)
      << "what the service sees on top is the listener that it knows";
  EXPECT_NE(route[1].find(core_->ue_address()), std::string::npos);

  // BYE by the service, over the connection that it makes itself.
  auto cache = service("cache");
  RequestParts bye{"BYE", alice.contact(), "sip:cache@sealcast.test", dialog.invite.header("From"), route};
  bye.from_tag = "t1";
  bye.call_id = dialog.invite.header("Call-ID");
  cache.send(request_text(cache, bye));
  auto received = receive(alice.connection);
  ASSERT_EQ(received.method(), "BYE");
  EXPECT_EQ(received.header("P-Asserted-Identity"), "<sip:cache@sealcast.test>");
  alice.connection.send(response_text(received, 200, "OK", ""));
  EXPECT_EQ(receive(cache).status(), 200);
  // Another service knows the route, and is no party.
  auto tracker = service("tracker");
  bye.from = k_tracker;
  tracker.send(request_text(tracker, bye));
  EXPECT_EQ(receive(tracker).status(), 403);
}

TEST_F(CoreProxyTest, takes_a_subscription_to_a_service_and_its_notifications_back) {
  auto alice = registered("alice");
  alice.connection.send(alice.request(
      {"SUBSCRIBE", k_tracker, {}, {}, {"Event: p2pcds-peers", "Expires: 300", "Contact: <" + alice.contact() + ">"}}));
  auto core = accepted(*tracker_);
  auto subscribe = receive(core);
  ASSERT_EQ(subscribe.method(), "SUBSCRIBE");
  core.send(response_text(subscribe, 200, "OK", "t1",
                          {"Expires: 300", "Contact: <sip:tracker@" + tracker_->address() + ">"}));
  EXPECT_EQ(alice.answer().status(), 200);
  auto tracker = service("tracker");
  RequestParts notify{"NOTIFY",     alice.contact(), k_tracker, subscribe.header("From"), route_of(subscribe, false),
                      "text/plain", "peers"};
  notify.headers.insert(notify.headers.end(), {"Event: p2pcds-peers", "Subscription-State: active;expires=300"});
  notify.from_tag = "t1";
  notify.call_id = subscribe.header("Call-ID");
  tracker.send(request_text(tracker, notify));
  auto received = receive(alice.connection);
  ASSERT_EQ(received.method(), "NOTIFY");
  EXPECT_EQ(received.body, "peers");
  alice.connection.send(response_text(received, 200, "OK", ""));
  EXPECT_EQ(receive(tracker).status(), 200);
}

TEST_F(CoreProxyTest, routes_a_whole_domain_to_its_service_which_may_speak_for_names_in_it) {
  auto alice = registered("alice"), bob = registered("bob");
  alice.connection.send(alice.request({"MESSAGE", "sip:AbC-_x@peers.sealcast.test", {}, {}, {}, "text/plain", "x"}));
  auto core = accepted(*tracker_);
  auto message = receive(core);
  EXPECT_EQ(message.uri(), "sip:AbC-_x@peers.sealcast.test");
  core.send(response_text(message, 200, "OK", "t1"));
  EXPECT_EQ(alice.answer().status(), 200);

  auto tracker = service("tracker");
  const auto identity_after = [&](const std::string& from, std::vector<std::string> headers) {
    tracker.send(request_text(tracker, {"MESSAGE", "sip:bob@sealcast.test", from, "<sip:bob@sealcast.test>",
                                        std::move(headers), "text/plain", "x"}));
    auto received = receive(bob.connection);
    bob.connection.send(response_text(received, 200, "OK", "t1"));
    EXPECT_EQ(receive(tracker).status(), 200);
    return received.header("P-Asserted-Identity");
  };
  EXPECT_EQ(identity_after(k_tracker, {}), "<sip:tracker@sealcast.test>");
  EXPECT_EQ(identity_after(k_tracker, {"P-Asserted-Identity: <sip:ps@peers.sealcast.test>", "Privacy: id"}),
            "<sip:ps@peers.sealcast.test>");
  EXPECT_EQ(identity_after("sip:alice@sealcast.test", {"P-Asserted-Identity: <sip:alice@sealcast.test>"}),
            "<sip:tracker@sealcast.test>")
      << "nobody speaks for a subscriber";
  EXPECT_EQ(identity_after("sip:cache@sealcast.test", {}), "<sip:tracker@sealcast.test>") << "nor for another service";
}

TEST_F(CoreProxyTest, cancels_an_invite_that_rings) {
  auto alice = registered("alice"), bob = registered("bob");
  auto parts = invite_to("sip:bob@sealcast.test", alice.contact());
  parts.branch = test::fresh_word("z9hG4bK-");
  alice.connection.send(alice.request(parts));
  auto invite = receive(bob.connection);
  bob.connection.send(response_text(invite, 180, "Ringing", "t1"));
  EXPECT_EQ(receive(alice.connection).status(), 100);
  EXPECT_EQ(receive(alice.connection).status(), 180);
  auto cancel = parts;
  cancel.method = "CANCEL";
  cancel.headers.clear();
  cancel.body.clear();
  cancel.type.clear();
  alice.connection.send(alice.request(cancel));
  EXPECT_EQ(receive(alice.connection).header("CSeq"), "1 CANCEL");
  auto cancelled = receive(bob.connection);
  ASSERT_EQ(cancelled.method(), "CANCEL");
  EXPECT_EQ(cancelled.header("Via"), invite.header("Via")) << "the branch of the INVITE";
  EXPECT_EQ(cancelled.header("CSeq"), "1 CANCEL");
  bob.connection.send(response_text(cancelled, 200, "OK", "t1"));
  bob.connection.send(response_text(invite, 487, "Request Terminated", "t1"));
  EXPECT_EQ(receive(bob.connection).method(), "ACK");
  auto answer = alice.answer();
  EXPECT_EQ(answer.status(), 487);
  EXPECT_EQ(answer.header("CSeq"), "1 INVITE");
}

TEST_F(CoreProxyTest, answers_a_cancelled_invite_itself_when_the_callee_is_silent) {
  auto alice = registered("alice"), bob = registered("bob");
  auto parts = invite_to("sip:bob@sealcast.test", alice.contact());
  parts.branch = test::fresh_word("z9hG4bK-");
  alice.connection.send(alice.request(parts));
  auto invite = receive(bob.connection);
  parts.method = "CANCEL";
  parts.body = parts.type = "";
  alice.connection.send(alice.request(parts));
  EXPECT_EQ(alice.answer().header("CSeq"), "1 CANCEL");
  EXPECT_EQ(alice.connection.receive(6s).value_or(SipMessage{}).status(), 487);
  bob.connection.send(response_text(invite, 200, "OK", "late", {"Contact: <" + bob.contact() + ">"}));
  EXPECT_EQ(alice.ask({"OPTIONS", "sip:sealcast.test"}).status(), 200) << "a late 200 does no harm";
}

TEST_F(CoreProxyTest, fails_at_once_when_the_callee_lost_its_connection) {
  auto alice = registered("alice");
  {
    auto bob = registered("bob");
    alice.connection.send(alice.request(invite_to("sip:bob@sealcast.test", alice.contact())));
    EXPECT_EQ(receive(bob.connection).method(), "INVITE");
    EXPECT_EQ(receive(alice.connection).status(), 100);
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(alice.answer().status(), 480) << "what was under way";
  const auto later = alice.ask({"MESSAGE", "sip:bob@sealcast.test", {}, {}, {}, "text/plain", "x"}).status();
  EXPECT_TRUE(later == 480 || later == 404) << later;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST_F(CoreProxyTest, fails_at_once_when_a_service_is_down) {
  auto alice = registered("alice");
  tracker_.emplace(directory("tracker"));  // listens elsewhere now: nobody at the address that the core has
  EXPECT_EQ(alice.ask({"MESSAGE", k_tracker, {}, {}, {}, "text/plain", "x"}).status(), 504);
}

TEST_F(CoreProxyTest, sends_nothing_to_a_service_with_a_wrong_certificate) {
  auto alice = registered("alice");
  test::SipListener stranger(directory("stranger"));
  core_->set_services({{"tracker", false, stranger.address(), "tracker.sealcast.test"}});
  std::thread accepting([&] {
    try {
      auto connection = stranger.accept();
      if (connection) {
        EXPECT_FALSE(connection->receive(1s));
      }
    } catch (const std::exception&) {
    }
  });
  alice.connection.send(alice.request({"MESSAGE", k_tracker, {}, {}, {}, "text/plain", "x"}));
  auto answer = alice.connection.receive(10s);
  accepting.join();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status(), 504);
}

TEST_F(CoreProxyTest, carries_inline_keys_over_tls_only) {
  auto alice = registered("alice"), bob = registered("bob");
  auto carol = ue_over_tcp("carol");
  ASSERT_EQ(carol.register_now().status(), 200);
  const auto refused = [&](TestUe& caller, const std::string& callee) {
    auto answer = caller.ask(invite_to(callee, caller.contact(), k_sdp_with_key));
    EXPECT_EQ(answer.status(), 488) << callee;
    return answer.header("Warning");
  };
  EXPECT_TRUE(refused(carol, "sip:bob@sealcast.test").starts_with("399 sealcast.test \"inline-key-needs-tls: "));
  EXPECT_TRUE(refused(alice, "sip:carol@sealcast.test").starts_with("399 sealcast.test \"inline-key-needs-tls: "));
  alice.connection.send(alice.request(invite_to("sip:bob@sealcast.test", alice.contact(), k_sdp_with_key)));
  EXPECT_EQ(receive(bob.connection).body, k_sdp_with_key);
  auto dialog = establish(carol, bob.connection, invite_to("sip:bob@sealcast.test", carol.contact()), bob.contact());
  EXPECT_EQ(dialog.invite.all("Record-Route").size(), 2u) << "each end has its own transport";
}

TEST_F(CoreProxyTest, carries_inline_keys_over_tcp_in_laboratories_that_ask_for_it) {
  CoreConfig config;
  config.insecure_signalling = true;
  start_core(config);
  auto carol = ue_over_tcp("carol"), bob = registered("bob");
  ASSERT_EQ(carol.register_now().status(), 200);
  carol.connection.send(carol.request(invite_to("sip:bob@sealcast.test", carol.contact(), k_sdp_with_key)));
  EXPECT_EQ(receive(bob.connection).body, k_sdp_with_key);
}

TEST_F(CoreProxyTest, wants_a_known_certificate_from_services) {
  EXPECT_TRUE([&] {
    try {  // TLS 1.3: the refusal may come after the client's side of the handshake
      auto nobody = service("ue");
      nobody.send(request_text(nobody, {"MESSAGE", "sip:bob@sealcast.test", k_tracker, "<sip:bob@sealcast.test>"}));
      return !nobody.receive(2s) && nobody.closed();
    } catch (const std::exception&) {
      return true;
    }
  }());
  EXPECT_TRUE([&] {
    try {
      auto stranger = service("stranger");
      stranger.send(request_text(stranger, {"MESSAGE", "sip:bob@sealcast.test", k_tracker, "<sip:bob@sealcast.test>"}));
      return !stranger.receive(2s) && stranger.closed();
    } catch (const std::exception&) {
      return true;
    }
  }());
  auto other = service("other");  // of our CA, and yet no service
  other.send(request_text(other, {"MESSAGE", "sip:bob@sealcast.test", k_tracker, "<sip:bob@sealcast.test>"}));
  EXPECT_EQ(receive(other).status(), 403);
  auto tracker = service("tracker");
  tracker.send(request_text(tracker, {"REGISTER", "sip:sealcast.test", k_tracker, "<sip:tracker@sealcast.test>"}));
  EXPECT_EQ(receive(tracker).status(), 405);
}

TEST_F(CoreProxyTest, refuses_hops_loops_udp_and_large_bodies) {
  auto alice = registered("alice");
  EXPECT_EQ(alice.ask({"MESSAGE", k_tracker, {}, {}, {"Max-Forwards: 0"}, "text/plain", "x"}).status(), 483);
  EXPECT_EQ(alice
                .ask({"MESSAGE",
                      k_tracker,
                      {},
                      {},
                      {"Via: SIP/2.0/TLS " + core_->ue_address() + ";branch=z9hG4bKloop"},
                      "text/plain",
                      "x"})
                .status(),
            482);
  EXPECT_EQ(alice.ask({"MESSAGE", "sip:tracker@sealcast.test;transport=udp", {}, {}, {}, "text/plain", "x"}).status(),
            403);
  EXPECT_EQ(alice.ask({"MESSAGE", "tel:+123", {}, "<sip:bob@sealcast.test>", {}, "text/plain", "x"}).status(), 416);
  EXPECT_EQ(alice.ask({"MESSAGE", k_tracker, {}, {}, {}, "text/plain", std::string(66'000, 'x')}).status(), 413);
  EXPECT_GE(core_->counters().refused, 5u);
}

TEST_F(CoreProxyTest, survives_garbage) {
  for (const std::string& text :
       {std::string("\r\n\r\n\r\nnonsense\r\n\r\n"), std::string(5000, 'A') + "\r\n\r\n",
        std::string("REGISTER sip:sealcast.test SIP/2.0\r\n\r\n"),
        std::string("MESSAGE sip:bob@sealcast.test SIP/2.0\r\nVia: ;;;\r\nFrom: <\r\nTo: >\r\nCSeq: "
                    "x\r\nCall-ID:\r\nContent-Length: 99999999999\r\n\r\n"),
        std::string("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS 127.0.0.1:1;branch=z9hG4bK1\r\n\r\n"),
        std::string(1, '\0') + std::string(300, '\xff') + "\r\n\r\n",
        std::string("INVITE sip:%00@[::1 SIP/2.0\r\nVia: SIP/2.0/TLS x\r\n\r\n"), std::string(200'000, 'x')}) {
    auto mallory = ue("alice");
    mallory.connection.send(text);
    mallory.connection.receive(20ms);
  }
  for (const char* header :
       {"Authorization: Digest", "Authorization: Digest realm=\"sealcast.test\", username=\"@\", nc=zz", "Contact: *",
        "Contact: <", "Expires: -1", "P2PCDS-Device-Key: a.b.c"}) {
    auto mallory = ue("alice"), eve = ue("alice");
    EXPECT_GE(mallory.ask(mallory.registration({header})).status(), 400) << header;
    EXPECT_NE(eve.register_with("secret-alice", 600, {header}).status(), 0) << header;
  }
  EXPECT_EQ(ue("bob").register_now().status(), 200);
}

// The library's own server transactions abort the process here: an ACK for a response that found no room in the send
// queue.
TEST_F(CoreProxyTest, cuts_off_who_sends_without_reading) {
  TestUe mallory{SipConnection::tls(core_->ue_address(), directory("ue"), 4096), "alice"};
  bool listens = true;
  for (int i = 0; listens && i < 300'000; ++i) {
    RequestParts parts{"INVITE", "sip:bob@sealcast.test"};
    parts.branch = "z9hG4bK-flood" + std::to_string(i);
    parts.call_id = "flood" + std::to_string(i);
    auto invite = mallory.request(parts);
    parts.method = "ACK";
    listens = mallory.connection.send(invite + mallory.request(parts));
  }
  EXPECT_FALSE(listens);
  EXPECT_EQ(ue("bob").register_now().status(), 200);
}

}  // namespace
}  // namespace sealcast::sip
