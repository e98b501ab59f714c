// The core's logic in virtual time: who may fill what, what ends by itself, and what decides where a message goes.
#include <gtest/gtest.h>

#include "tests/support/core_bench.hpp"

namespace sealcast::sip {
namespace {

struct CoreStateTest : testing::Test, test::CoreBench {
  std::string invite(const std::string& user, const std::string& callee, const std::string& branch) {
    return request("INVITE", "sip:" + callee + "@d.test", user, branch, "Contact: <sip:x@198.51.100.1>\r\n");
  }
};

using test::header_of;
using test::status_of;

// The core died of this: a final answer that could not be sent, and an ACK for it over another connection.
TEST_F(CoreStateTest, an_ack_over_another_connection_for_an_answer_that_nobody_took_is_harmless) {
  for (const char* parameters : {"", ";maddr=224.0.0.1", ";maddr=127.0.0.1;received=127.0.0.1;rport=22", ";rport"}) {
    via_parameters = parameters;
    const auto first = registered("alice"), second = registered("alice"), bob = registered("bob");
    const auto branch = "a" + std::to_string(first);
    feed(first, invite("alice", "bob", branch));
    const auto came = next(bob);
    ASSERT_TRUE(came.starts_with("INVITE ")) << parameters;
    close(first);
    feed(bob, reply(came, 486, "Contact: <sip:y@d.test>\r\n"));
    EXPECT_TRUE(next(bob).starts_with("ACK ")) << "of the core";
    const auto ack = request("ACK", "sip:bob@d.test", "alice", branch);
    feed(second, ack);
    feed(second, ack);
    EXPECT_EQ(next(second), "");
    feed(second, request("CANCEL", "sip:bob@d.test", "alice", branch));
    EXPECT_EQ(answer(second), 481);
    EXPECT_TRUE(wire.dialled.empty()) << "nobody is called because a Via says so";
    EXPECT_EQ(state.under_way(), 0u);
    for (auto each : {second, bob}) close(each);
  }
}

TEST_F(CoreStateTest, a_via_decides_nothing_and_says_the_truth_afterwards) {
  via_parameters = ";maddr=224.0.0.1;received=203.0.113.9;rport=9";
  const auto alice = registered("alice"), bob = registered("bob");
  feed(alice, request("MESSAGE", "sip:bob@d.test", "alice", "m1"));
  const auto came = next(bob);
  EXPECT_EQ(came.find("received=203.0.113.9"), std::string::npos);
  feed(bob, reply(came, 200));
  const auto got = next(alice);
  EXPECT_EQ(status_of(got), 200);
  EXPECT_NE(got.find("received=198.51.100.1"), std::string::npos) << got;
  EXPECT_NE(got.find("rport=" + std::to_string(20000 + alice)), std::string::npos) << got;
}

TEST_F(CoreStateTest, an_answer_counts_only_from_where_the_request_went) {
  const auto alice = registered("alice"), bob = registered("bob"), mallory = registered("carol");
  feed(alice, request("MESSAGE", "sip:bob@d.test", "alice", "m1"));
  const auto came = next(bob);
  feed(mallory, reply(came, 200));
  EXPECT_EQ(next(alice), "") << "she knows the branch, and is not asked";
  auto forged = reply(came, 200);
  forged.replace(forged.find(";branch=z9hG4bK") + 15, 4, "AAAA");
  feed(bob, forged);
  EXPECT_EQ(next(alice), "");
  feed(bob, reply(came, 603));
  EXPECT_EQ(status_of(next(alice)), 603);
  feed(bob, reply(came, 200));
  EXPECT_EQ(next(alice), "") << "one final answer";
}

TEST_F(CoreStateTest, who_floods_meets_his_own_bound) {
  const auto mallory = registered("mallory"), alice = registered("alice"), bob = registered("bob");
  int refused = 0;
  for (int i = 0; i < 4500; ++i) {
    if (i % 450 == 0) pass(1s);
    feed(mallory, invite("mallory", "mallory", "x" + std::to_string(i)));
    std::string message;
    while (!(message = next(mallory)).empty()) {
      if (message.starts_with("INVITE ")) feed(mallory, reply(message, 180));
      if (status_of(message) == 503) {
        ++refused;
        EXPECT_NE(header_of(message, "Retry-After"), "");
      }
    }
  }
  EXPECT_GT(refused, 3000);
  EXPECT_LE(state.under_way(), 256u);
  feed(alice, request("MESSAGE", "sip:bob@d.test", "alice", "m1"));
  const auto came = next(bob);
  ASSERT_TRUE(came.starts_with("MESSAGE "));
  feed(bob, reply(came, 200));
  EXPECT_EQ(answer(alice), 200);
}

TEST_F(CoreStateTest, services_have_their_share_when_everything_else_is_full) {
  std::vector<ConnectionId> many;
  for (int i = 0; i < 70; ++i) many.push_back(registered("u" + std::to_string(i), "203.0.113." + std::to_string(i)));
  for (int n = 0; n < 128; ++n) {
    for (std::size_t i = 0; i < many.size(); ++i)
      feed(many[i], invite("u" + std::to_string(i), "u0", std::to_string(n) + "-" + std::to_string(i)));
  }
  EXPECT_EQ(state.under_way(), 8000u);
  const auto tracker = connect("192.0.2.7", true);
  feed(tracker, request("MESSAGE", "sip:u1@d.test", "tracker", "t1"));
  std::string message;
  bool came = false;
  while (!(message = next(many[1])).empty()) came |= message.starts_with("MESSAGE ");
  EXPECT_TRUE(came);
}

TEST_F(CoreStateTest, an_invite_that_rings_has_a_life) {
  const auto alice = registered("alice"), bob = registered("bob");
  feed(alice, invite("alice", "bob", "i1"));
  const auto came = next(bob);
  feed(bob, reply(came, 180));
  pass(31s);
  EXPECT_EQ(answer(alice), 0);
  pass(2s);
  EXPECT_EQ(answer(alice), 408);
  const auto cancel = next(bob);
  ASSERT_TRUE(cancel.starts_with("CANCEL "));
  EXPECT_EQ(header_of(cancel, "Via"), header_of(came, "Via"));
  feed(bob, reply(cancel, 200));
  feed(bob, reply(came, 487));
  EXPECT_TRUE(next(bob).starts_with("ACK "));
  EXPECT_EQ(answer(alice), 0);
  pass(10s);
  EXPECT_EQ(state.under_way(), 0u);
}

TEST_F(CoreStateTest, says_408_for_who_never_answers_and_504_for_a_service) {
  const auto alice = registered("alice"), bob = registered("bob");
  feed(alice, invite("alice", "bob", "i1"));
  feed(alice, request("MESSAGE", "sip:bob@d.test", "alice", "m1"));
  feed(alice, request("MESSAGE", "sip:tracker@d.test", "alice", "m2"));
  pass(9s);
  std::multiset<int> answers;
  while (int status = answer(alice)) answers.insert(status);
  EXPECT_EQ(answers, (std::multiset<int>{408, 408, 504}));
  EXPECT_EQ(wire.dialled.size(), 1u);
  EXPECT_FALSE(wire.inbox[bob].empty());
}

TEST_F(CoreStateTest, a_callee_hears_when_the_caller_is_gone) {
  const auto alice = registered("alice"), bob = registered("bob");
  feed(alice, invite("alice", "bob", "i1"));
  const auto came = next(bob);
  close(alice);
  feed(bob, reply(came, 180));
  const auto cancel = next(bob);
  ASSERT_TRUE(cancel.starts_with("CANCEL ")) << "as soon as it may be sent";
  feed(bob, reply(came, 487));
  EXPECT_TRUE(next(bob).starts_with("ACK "));
}

TEST_F(CoreStateTest, a_repeated_request_does_no_harm) {
  const auto alice = registered("alice"), bob = registered("bob");
  const auto text = invite("alice", "bob", "i1");
  for (int i = 0; i < 3; ++i) feed(alice, text);
  const auto came = next(bob);
  EXPECT_EQ(next(bob), "");
  feed(bob, reply(came, 200, "Contact: <sip:y@d.test>\r\n"));
  EXPECT_EQ(answer(alice), 200);
  feed(alice, text);
  EXPECT_EQ(next(bob), "");
  feed(bob, reply(came, 200, "Contact: <sip:y@d.test>\r\n"));
  EXPECT_EQ(answer(alice), 200) << "a 2xx is said until its ACK comes";
  pass(40s);
  feed(bob, reply(came, 200));
  EXPECT_EQ(answer(alice), 0);
}

TEST_F(CoreStateTest, strangers_go_and_so_does_who_is_registered_no_more) {
  const auto stranger = connect();
  pass(31s);
  EXPECT_FALSE(wire.open.contains(stranger));
  const auto alice = registered("alice");
  pass(599s);
  EXPECT_TRUE(wire.open.contains(alice));
  pass(33s);
  EXPECT_FALSE(wire.open.contains(alice));
  EXPECT_EQ(state.counters().bindings, 0u);
}

TEST_F(CoreStateTest, a_removed_subscriber_loses_registrations_requests_and_dialogs_at_once) {
  const auto alice = registered("alice"), bob = registered("bob");
  feed(alice, invite("alice", "bob", "i1"));
  const auto came = next(bob);
  feed(bob, reply(came, 200, "Contact: <sip:y@198.51.100.2>\r\n"));
  EXPECT_EQ(answer(alice), 200);
  feed(alice, invite("alice", "bob", "i2"));
  next(bob);
  subscribers.gone.insert("alice");
  ++subscribers.changes;
  pass(1s);
  EXPECT_FALSE(wire.open.contains(alice));
  EXPECT_EQ(state.counters().bindings, 1u);
  subscribers.gone.clear();  // another one of the same name
  ++subscribers.changes;
  const auto heir = registered("alice");
  std::string bye =
      request("BYE", "sip:x@198.51.100.1", "bob", "b1", "Route: " + header_of(came, "Record-Route") + "\r\n");
  feed(bob, bye);
  EXPECT_EQ(answer(bob), 481) << "the dialogs are not inherited";
  EXPECT_EQ(next(heir), "");
}

TEST_F(CoreStateTest, registrations_have_a_rate_and_a_living_one_is_never_locked_out) {
  const auto alice = registered("alice"), bob = registered("bob");
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {  // somebody who knows alice's password
    const auto id = connect();
    const int status = enter(id, "alice");
    EXPECT_TRUE(status == 200 || status == 503) << status;
    refused += status == 503 ? 1 : 0;
    close(id);
  }
  EXPECT_GE(refused, 790);
  EXPECT_EQ(enter(alice, "alice"), 200) << "the owner's binding goes on";
  EXPECT_EQ(enter(bob, "bob"), 200);
  EXPECT_EQ(enter(connect(), "carol"), 200);
  pass(2s);
  EXPECT_EQ(enter(connect(), "alice"), 200) << "the pause was long enough";
  EXPECT_NE(json::Value(state.status()).text().find("\"new_bindings_rate\":{\"owners\":"), std::string::npos);
}

TEST_F(CoreStateTest, one_binding_again_and_again_has_a_rate_of_its_own) {
  const auto alice = registered("alice"), other = registered("alice");
  int refused = 0;
  for (int i = 0; i < 100; ++i) refused += enter(alice, "alice") == 503 ? 1 : 0;
  EXPECT_GE(refused, 69);
  EXPECT_TRUE(wire.open.contains(alice)) << "and stays registered";
  EXPECT_EQ(enter(other, "alice"), 200);
  pass(31s);
  EXPECT_EQ(enter(alice, "alice"), 200);
}

TEST_F(CoreStateTest, a_store_that_fails_is_no_verdict_on_anybody) {
  const auto alice = registered("alice"), bob = connect();
  subscribers.broken = true;
  EXPECT_EQ(enter(bob, "bob"), 503);
  ++subscribers.changes;
  pass(2s);
  EXPECT_TRUE(wire.open.contains(alice));
  subscribers.broken = false;
  pass(1s);
  EXPECT_TRUE(wire.open.contains(alice));
  EXPECT_EQ(enter(bob, "bob"), 200);
}

TEST_F(CoreStateTest, who_does_not_read_is_cut_off) {
  const auto alice = registered("alice"), bob = registered("bob");
  feed(alice, invite("alice", "bob", "i1"));
  wire.deaf.insert(alice);
  feed(bob, reply(next(bob), 486));
  EXPECT_FALSE(wire.open.contains(alice));
  EXPECT_EQ(state.counters().bindings, 1u);
}

TEST_F(CoreStateTest, answers_what_the_standard_wants) {
  const auto alice = registered("alice");
  const auto status = [&](const std::string& text) {
    const auto id = registered("bob");
    feed(id, text);
    const int out = answer(id);
    close(id);
    return out;
  };
  EXPECT_EQ(status(request("PING", "sip:d.test", "bob", "1")), 405);
  EXPECT_EQ(status(request("OPTIONS", "sip:d.test", "bob", "1")), 200);
  EXPECT_EQ(status(request("OPTIONS", "nobody:x", "bob", "2")), 416);
  EXPECT_EQ(status(request("OPTIONS", "sip:alice@d.test", "bob", "3", "Proxy-Require: x, y\r\n")), 420);
  EXPECT_EQ(status(request("OPTIONS", "sip:d.test", "bob", "3", "Require: nothing\r\n")), 420);
  auto hops = request("OPTIONS", "sip:alice@d.test", "bob", "4");
  EXPECT_EQ(status(hops.replace(hops.find("wards: 70") + 7, 2, "0")), 483);
  for (const char* transport : {"UDP", "TCP", "XYZZY"}) {
    auto other = request("OPTIONS", "sip:d.test", "bob", "5");
    EXPECT_EQ(status(other.replace(other.find("2.0/TLS") + 4, 3, transport)), 400) << transport;
  }
  EXPECT_EQ(status(request("OPTIONS", "sip:d.test", "bob", "6", "Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bKl\r\n")),
            482);
  feed(alice, request("PING", "sip:bob@d.test", "alice", "7"));
  EXPECT_EQ(answer(alice), 404);
  const auto bob = registered("bob");
  feed(alice, request("REF", "sip:bob@d.test", "alice", "8"));
  const auto came = next(bob);
  ASSERT_TRUE(came.starts_with("REF ")) << "a method that nobody knows is carried";
  feed(bob, reply(came, 501));
  EXPECT_EQ(answer(alice), 501);
}

}  // namespace
}  // namespace sealcast::sip
