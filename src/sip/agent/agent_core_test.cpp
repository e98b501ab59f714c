// The agent's transactions, dialogs and connections in virtual time (RFC 3261 sections 9, 12, 13 and 17).
#include <gtest/gtest.h>

#include "tests/support/agent_bench.hpp"

namespace sealcast::sip {
namespace {

using test::AgentBench;
using test::header_of;
using test::status_of;

Request to_bob(const std::string& method) {
  Request out;
  out.method = method;
  out.uri = "sip:bob@d.test";
  return out;
}

const std::string k_route =
    "Record-Route: <sip:far@192.0.2.1:5061;lr>\r\nRecord-Route: <sip:near@192.0.2.1:5061;lr>\r\n";
const std::string k_contact = "Contact: <sip:b@198.51.100.9:5061>\r\n";

class UserAgentTest : public testing::Test {
 protected:
  UserAgent& agent() { return bench_.agent.at(bench_.now); }
  // Our INVITE as call 1, as it was sent.
  std::string invited() {
    agent().calls().invite(1, to_bob("INVITE"));
    if (!agent().link().is_open()) link_ = bench_.open_link();
    return bench_.next(link_);
  }
  // Call 1, up; returns the INVITE.
  std::string in_call() {
    const auto invite = invited();
    bench_.feed(link_, AgentBench::reply(invite, 200, k_contact + k_route));
    bench_.next(link_);  // ACK
    bench_.told();
    return invite;
  }

  AgentBench bench_{AgentBench::ue()};
  ConnectionId link_ = k_no_connection;
};

// --- The connection to the next hop ---

TEST_F(UserAgentTest, DialsOnceAndSendsInOrderWhenItIsOpen) {
  for (std::uint64_t id : {1, 3, 5}) agent().send(id, to_bob(id == 3 ? "PUBLISH" : "MESSAGE"));
  ASSERT_EQ(bench_.wire.dialled.size(), 1u);
  EXPECT_EQ(bench_.wire.dialled[0].second, "192.0.2.1:5061");
  link_ = bench_.open_link();
  const auto first = bench_.next(link_), second = bench_.next(link_);
  EXPECT_TRUE(first.starts_with("MESSAGE sip:bob@d.test SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.9:40000;branch=z9hG4bK"))
      << first;
  EXPECT_TRUE(second.starts_with("PUBLISH"));
  EXPECT_NE(AgentBench::branch_of(first), AgentBench::branch_of(second));
  EXPECT_EQ(bench_.next_line(link_), "MESSAGE sip:bob@d.test");
  EXPECT_EQ(bench_.wire.dialled.size(), 1u);
}

TEST_F(UserAgentTest, SaysWhyAndDialsAgainWithPauses) {
  agent().send(1, to_bob("MESSAGE"));
  bench_.close(bench_.wire.dialled.back().first, "Connection refused");
  EXPECT_EQ(bench_.told(), "response 1 0 connection refused by 192.0.2.1:5061 (is the core running?)");
  std::size_t before = 1;
  agent().send(3, to_bob("MESSAGE"));
  EXPECT_EQ(bench_.wire.dialled.size(), before) << "it rests";
  for (int round = 0; round < 40; ++round) {
    bench_.pass(250ms);
    agent().send(5, to_bob("MESSAGE"));
    if (bench_.wire.dialled.size() > before) bench_.close(bench_.wire.dialled.back().first, "Connection refused");
    before = bench_.wire.dialled.size();
  }
  EXPECT_GE(before, 6u);
  EXPECT_LE(before, 12u) << "100, 200, 400 ms ... 2 s in 10 s";
}

TEST_F(UserAgentTest, WhatIsUnderWayEndsWithItsConnection) {
  agent().send(1, to_bob("MESSAGE"));
  link_ = bench_.open_link();
  bench_.close(link_);
  EXPECT_EQ(bench_.told(), "response 1 0 the connection to 192.0.2.1:5061 was lost: closed by the other side");
  agent().send(3, to_bob("MESSAGE"));
  EXPECT_EQ(bench_.wire.dialled.size(), 2u) << "one that was up is dialled again at once";
}

TEST_F(UserAgentTest, FailuresHaveTheirSentences) {
  auto config = AgentBench::ue();
  config.tls_directory = "d";
  const auto sentence = [&](const char* why, bool open = false) {
    return failure_sentence(config, why, {open, false});
  };
  EXPECT_EQ(sentence("the certificate has expired"), "the certificate of 192.0.2.1:5061 has expired");
  EXPECT_EQ(sentence("the certificate is not signed by the CA that is trusted"),
            "the certificate of 192.0.2.1:5061 is not signed by the CA in d/cafile.pem");
  EXPECT_EQ(sentence("no answer in time"), "no answer from 192.0.2.1:5061: timed out");
  EXPECT_EQ(sentence("TLS: wrong version number"), "TLS with 192.0.2.1:5061 failed: wrong version number");
  EXPECT_EQ(sentence("closed by the other side"),
            "the connection to the core at 192.0.2.1:5061 was closed while TLS was agreed on (has it stopped, or is it "
            "starting?)");
  EXPECT_EQ(sentence("cannot find x: Name or service not known"), "cannot find x: Name or service not known");
  EXPECT_EQ(sentence("TLS: tlsv13 alert certificate required", true),
            "192.0.2.1:5061 refuses our certificate: tlsv13 alert certificate required");
}

// --- Requests of ours ---

TEST_F(UserAgentTest, OneFinalAnswerCountsAndOnlyFromThere) {
  agent().send(1, to_bob("MESSAGE"));
  link_ = bench_.open_link();
  const auto message = bench_.next(link_);
  const auto other = bench_.incoming({});
  bench_.feed(other, AgentBench::reply(message, 200));
  auto forged = AgentBench::reply(message, 200);
  forged.replace(forged.find("z9hG4bK") + 8, 4, "AAAA");
  bench_.feed(link_, forged);
  auto misnumbered = AgentBench::reply(message, 200);
  misnumbered.replace(misnumbered.find("CSeq: 1 "), 8, "CSeq: 2 ");
  bench_.feed(link_, misnumbered);
  EXPECT_EQ(bench_.told(), "");
  bench_.feed(link_, AgentBench::reply(message, 202));
  bench_.feed(link_, AgentBench::reply(message, 500));
  EXPECT_EQ(bench_.told(), "response 1 202 X");
  EXPECT_EQ(bench_.told(), "");
  EXPECT_EQ(agent().clients().unmatched(), 3u);
}

TEST_F(UserAgentTest, NothingIsSentTwiceAndPatienceEnds) {
  agent().send(1, to_bob("MESSAGE"));
  link_ = bench_.open_link();
  bench_.next(link_);
  bench_.pass(9400ms);
  EXPECT_EQ(bench_.next(link_), "");
  EXPECT_EQ(bench_.told(), "");
  bench_.pass(250ms);
  EXPECT_EQ(bench_.told(), "response 1 0 no answer from 192.0.2.1:5061");
}

TEST_F(UserAgentTest, AnInviteThatRingsIsCancelledInTheEnd) {
  const auto invite = invited();
  bench_.feed(link_, AgentBench::reply(invite, 180));
  bench_.pass(34s);
  EXPECT_EQ(bench_.next(link_), "");
  bench_.pass(1250ms);
  const auto cancel = bench_.next(link_);
  EXPECT_TRUE(cancel.starts_with("CANCEL sip:bob@d.test")) << cancel;
  for (const char* same : {"Via", "From", "To", "Call-ID"}) EXPECT_EQ(header_of(cancel, same), header_of(invite, same));
  EXPECT_EQ(header_of(cancel, "CSeq"), "1 CANCEL");
  bench_.feed(link_, AgentBench::reply(cancel, 200));
  EXPECT_EQ(bench_.told(), "") << "the answer to a CANCEL says nothing";
  bench_.feed(link_, AgentBench::reply(invite, 487));
  const auto ack = bench_.next(link_);
  EXPECT_TRUE(ack.starts_with("ACK sip:bob@d.test"));
  EXPECT_EQ(header_of(ack, "Via"), header_of(invite, "Via")) << "of a refusal it is the transaction's";
  EXPECT_EQ(header_of(ack, "To"), "<sip:bob@d.test>;tag=t");
  EXPECT_EQ(bench_.told(), "failed 1 487 X");
}

TEST_F(UserAgentTest, ACancelWaitsForAProvisionalAnswer) {
  const auto invite = invited();
  agent().calls().bye(1, "");
  EXPECT_EQ(bench_.next(link_), "");
  bench_.feed(link_, AgentBench::reply(invite, 100));
  EXPECT_EQ(bench_.next_line(link_), "CANCEL sip:bob@d.test");
  bench_.feed(link_, AgentBench::reply(invite, 180));
  EXPECT_EQ(bench_.next(link_), "");
}

TEST_F(UserAgentTest, AnAnswerThatIsFasterThanTheCancelIsAcknowledgedAndHungUp) {
  const auto invite = invited();
  agent().calls().bye(1, "");
  bench_.feed(link_, AgentBench::reply(invite, 200, k_contact));
  EXPECT_EQ(bench_.next_line(link_), "ACK sip:b@198.51.100.9:5061");
  EXPECT_EQ(bench_.next_line(link_), "BYE sip:b@198.51.100.9:5061");
  EXPECT_EQ(bench_.told(), "failed 1 487 cancelled");
}

TEST_F(UserAgentTest, ATwoHundredIsAcknowledgedByTheDialogEachTime) {
  const auto invite = invited();
  const auto answer = AgentBench::reply(invite, 200, k_contact + k_route);
  bench_.feed(link_, answer);
  const auto ack = bench_.next(link_);
  EXPECT_TRUE(ack.starts_with("ACK sip:b@198.51.100.9:5061 SIP/2.0\r\n"));
  EXPECT_NE(AgentBench::branch_of(ack), AgentBench::branch_of(invite));
  EXPECT_EQ(test::lines_of(ack, {"Route"}),
            "Route: <sip:near@192.0.2.1:5061;lr>\r\nRoute: <sip:far@192.0.2.1:5061;lr>\r\n");
  EXPECT_EQ(header_of(ack, "CSeq"), "1 ACK");
  bench_.pass(30s);
  bench_.feed(link_, answer);
  EXPECT_EQ(bench_.next(link_), ack);
  bench_.pass(3s);
  bench_.feed(link_, answer);
  EXPECT_EQ(bench_.next(link_), "") << "forgotten after 32 s";
  EXPECT_EQ(bench_.told(), "response 1 200 X");
  EXPECT_EQ(bench_.told(), "");
  agent().calls().bye(1, "enough");
  const auto bye = bench_.next(link_);
  EXPECT_TRUE(bye.starts_with("BYE sip:b@198.51.100.9:5061"));
  EXPECT_EQ(header_of(bye, "CSeq"), "2 BYE");
  EXPECT_EQ(header_of(bye, "To"), "<sip:bob@d.test>;tag=t");
}

TEST_F(UserAgentTest, WhatTheOwnerGotWrongIsNotSent) {
  auto message = to_bob("MESSAGE");
  message.headers = {{"From", "<sip:somebody@d.test>"}};
  agent().send(1, message);
  message.headers = {{"X", "a\r\nY: b"}};
  agent().send(3, message);
  message = to_bob("MESSAGE");
  message.content_type = "text/plain\r\nX: y";
  message.body = "x";
  agent().send(5, message);
  for (int id : {1, 3, 5})
    EXPECT_EQ(bench_.told(), "response " + std::to_string(id) + " 0 the request to sip:bob@d.test is malformed");
  EXPECT_TRUE(bench_.wire.dialled.empty());
}

// --- Requests of others ---

TEST_F(UserAgentTest, RequestsComeOverTheConnectionThatWeOpened) {
  link_ = bench_.linked();
  bench_.feed(link_, bench_.request("MESSAGE", "1", "P-Asserted-Identity: <sip:bob@d.test>\r\nP2PCDS-Device: k\r\n"));
  EXPECT_EQ(bench_.told(), "request 1 MESSAGE");
  EXPECT_EQ(bench_.last_request.asserted_identity, "sip:bob@d.test");
  EXPECT_EQ(bench_.last_request.device, "k");
  EXPECT_TRUE(bench_.last_request.secure);
  const auto stranger = bench_.incoming({"core.d.test"});
  bench_.feed(stranger, bench_.request("MESSAGE", "2", "P-Asserted-Identity: <sip:bob@d.test>\r\n"));
  EXPECT_EQ(bench_.told(), "request 2 MESSAGE");
  EXPECT_EQ(bench_.last_request.asserted_identity, "") << "a UE believes its next hop, and nobody else";
}

TEST_F(UserAgentTest, ARepeatedRequestGetsTheSameAnswer) {
  link_ = bench_.linked();
  const auto message = bench_.request("MESSAGE", "1");
  bench_.feed(link_, message);
  bench_.feed(link_, message);
  EXPECT_EQ(bench_.told(), "request 1 MESSAGE");
  EXPECT_EQ(bench_.told(), "");
  EXPECT_EQ(bench_.next(link_), "");
  agent().reply(1, {202, "Noted", {}, {}, {{"X", "y"}}});
  const auto answer = bench_.next(link_);
  EXPECT_EQ(status_of(answer), 202);
  agent().reply(1, {500, {}, {}, {}, {}});
  EXPECT_EQ(bench_.next(link_), "");
  bench_.feed(link_, message);
  EXPECT_EQ(bench_.next(link_), answer);
  const auto other = bench_.incoming({});
  bench_.feed(other, message);
  EXPECT_EQ(bench_.told(), "request 2 MESSAGE") << "over another connection it is another request";
}

TEST_F(UserAgentTest, WhoIsNotAnsweredHears500) {
  link_ = bench_.linked();
  bench_.feed(link_, bench_.request("MESSAGE", "1"));
  bench_.pass(8250ms);
  EXPECT_EQ(status_of(bench_.next(link_)), 500);
  agent().reply(1, {200, {}, {}, {}, {}});
  EXPECT_EQ(bench_.next(link_), "");
}

TEST_F(UserAgentTest, TheirCancelEndsTheirInvite) {
  link_ = bench_.linked();
  bench_.feed(link_, bench_.request("INVITE", "1"));
  EXPECT_EQ(bench_.told(), "invite 2 sip:tracker@d.test");
  const auto trying = bench_.next(link_);
  EXPECT_EQ(status_of(trying), 100);
  auto cancel = bench_.request("CANCEL", "1");
  bench_.feed(link_, cancel);
  const auto of_cancel = bench_.next(link_), of_invite = bench_.next(link_);
  EXPECT_EQ(status_of(of_cancel), 200);
  EXPECT_EQ(header_of(of_cancel, "CSeq"), "1 CANCEL");
  EXPECT_EQ(status_of(of_invite), 487);
  EXPECT_EQ(header_of(of_invite, "To"), header_of(of_cancel, "To"));
  EXPECT_EQ(bench_.told(), "ended 2 the other side cancelled its INVITE");
  bench_.feed(link_, bench_.request("ACK", "1", {}, AgentBench::tag_of(header_of(of_invite, "To"))));
  EXPECT_EQ(bench_.next(link_), "");
  bench_.feed(link_, bench_.request("CANCEL", "none"));
  EXPECT_EQ(status_of(bench_.next(link_)), 481);
  EXPECT_EQ(agent().calls().size(), 0u);
}

TEST_F(UserAgentTest, TheirCallIsUpWhenItIsAcknowledged) {
  link_ = bench_.linked();
  bench_.feed(link_, bench_.request("INVITE", "1", k_route));
  bench_.next(link_);
  agent().calls().answer(2, {200, {}, {}, {}, {}});
  const auto answer = bench_.next(link_);
  EXPECT_EQ(test::lines_of(answer, {"Record-Route"}), k_route) << "in their order (section 12.1.1)";
  EXPECT_EQ(header_of(answer, "Contact"), "<sip:x@192.0.2.9:40000;transport=tls>");
  const auto tag = AgentBench::tag_of(header_of(answer, "To"));
  bench_.feed(link_, bench_.request("ACK", "2", {}, tag, 1, "c-1"));
  bench_.pass(20s);
  agent().calls().bye(2, "");
  const auto bye = bench_.next(link_);
  EXPECT_TRUE(bye.starts_with("BYE sip:bob@192.0.2.1:5061"));
  EXPECT_EQ(header_of(bye, "Route"), "<sip:far@192.0.2.1:5061;lr>");
}

TEST_F(UserAgentTest, AnAnswerWithoutAckEndsTheCall) {
  link_ = bench_.linked();
  bench_.feed(link_, bench_.request("INVITE", "1"));
  bench_.next(link_);
  agent().calls().answer(2, {200, {}, {}, {}, {}});
  bench_.next(link_);
  bench_.told();
  bench_.pass(10s);
  EXPECT_EQ(bench_.next_line(link_), "BYE sip:bob@192.0.2.1:5061");
  EXPECT_EQ(bench_.told(), "ended 2 the other side did not acknowledge the answer");
}

TEST_F(UserAgentTest, TheirInviteEndsWithItsConnection) {
  link_ = bench_.linked();
  bench_.feed(link_, bench_.request("INVITE", "1"));
  bench_.told();
  bench_.close(link_);
  bench_.pass(500ms);
  EXPECT_EQ(bench_.told(), "ended 2 the other side is out of reach");
  EXPECT_EQ(agent().servers().size(), 0u);
}

TEST_F(UserAgentTest, DialogsAreKnownByTheirTagsAndNumbers) {
  const auto invite = in_call();
  const auto call_id = header_of(invite, "Call-ID"), ours = AgentBench::tag_of(header_of(invite, "From"));
  const auto ask = [&](const std::string& method, const std::string& branch, int number, const std::string& from_tag,
                       const std::string& to_tag) {
    auto text = bench_.request(method, branch, {}, to_tag, number, call_id);
    text.replace(text.find(";tag=f"), 6, ";tag=" + from_tag);
    bench_.feed(link_, text);
    return status_of(bench_.next(link_));
  };
  EXPECT_EQ(ask("OPTIONS", "1", 10, "t", ours), 200);
  EXPECT_EQ(ask("OPTIONS", "2", 9, "t", ours), 500) << "out of order (section 12.2.2)";
  EXPECT_EQ(ask("OPTIONS", "3", 11, "other", ours), 481);
  EXPECT_EQ(ask("OPTIONS", "4", 11, "t", "other"), 481);
  EXPECT_EQ(ask("MESSAGE", "5", 11, "t", ours), 405);
  EXPECT_EQ(ask("BYE", "6", 12, "t", ours), 200);
  EXPECT_EQ(bench_.told(), "ended 1 the other side ended the call");
  EXPECT_EQ(ask("OPTIONS", "7", 13, "t", ours), 481);
}

TEST_F(UserAgentTest, TooMuchAtOnceIs503) {
  link_ = bench_.linked();
  for (int i = 0; i < 2049; ++i) bench_.feed(link_, bench_.request("MESSAGE", std::to_string(i)));
  EXPECT_EQ(bench_.reports.size(), 2048u);
  const auto refusal = bench_.next(link_);
  EXPECT_EQ(status_of(refusal), 503);
  EXPECT_EQ(header_of(refusal, "Retry-After"), "5");
  EXPECT_EQ(agent().servers().size(), 2048u);
}

TEST_F(UserAgentTest, WhatIsNoMessageIsAnsweredAndCloses) {
  link_ = bench_.linked();
  auto broken = bench_.request("MESSAGE", "1");
  broken.replace(broken.find("Max-Forwards: 70"), 16, "Max-Forwards: -1");
  bench_.feed(link_, broken);
  EXPECT_EQ(status_of(bench_.next(link_)), 400);
  EXPECT_TRUE(bench_.wire.open.contains(link_)) << "where the next message begins is known";
  broken = bench_.request("MESSAGE", "2", "X: \r y\r\n");
  bench_.feed(link_, broken);
  EXPECT_FALSE(bench_.wire.open.contains(link_));
  EXPECT_EQ(bench_.told(), "");
}

// --- Registration ---

TEST_F(UserAgentTest, RegistersWithTheAddressOfItsConnectionAndAgainWhenItIsLost) {
  agent().registration().begin({"alice@d.test", "d.test", SecretBytes(view_of("p"))}, 600);
  EXPECT_EQ(bench_.told(), "registration due");
  agent().registration().attempt({{"X", "y"}});
  link_ = bench_.open_link();
  const auto first = bench_.next(link_);
  EXPECT_TRUE(first.starts_with("REGISTER sip:d.test SIP/2.0\r\n"));
  EXPECT_EQ(header_of(first, "Contact"), "<sip:x@192.0.2.9:40000;transport=tls>;+sip.instance=\"<urn:uuid:1>\"");
  EXPECT_EQ(header_of(first, "X"), "y");
  bench_.feed(link_, AgentBench::reply(first, 401,
                                       "WWW-Authenticate: Digest realm=\"d.test\", nonce=\"n\", algorithm=SHA-256, "
                                       "qop=\"auth\"\r\n"));
  const auto second = bench_.next(link_);
  EXPECT_NE(header_of(second, "Authorization").find("username=\"alice@d.test\""), std::string::npos);
  EXPECT_EQ(header_of(second, "Call-ID"), header_of(first, "Call-ID"));
  EXPECT_EQ(header_of(second, "CSeq"), "2 REGISTER");
  bench_.feed(link_, AgentBench::reply(second, 200, "Service-Route: <sip:orig@192.0.2.1:5061;lr>\r\nExpires: 600\r\n"));
  EXPECT_EQ(bench_.told(), "registered X");
  agent().send(1, to_bob("MESSAGE"));
  EXPECT_EQ(header_of(bench_.next(link_), "Route"), "<sip:orig@192.0.2.1:5061;lr>");
  bench_.close(link_);
  EXPECT_EQ(bench_.told(), "not registered: the connection to 192.0.2.1:5061 was lost: closed by the other side");
  bench_.told();  // the MESSAGE
  bench_.pass(250ms);
  EXPECT_EQ(bench_.told(), "registration due");
}

TEST_F(UserAgentTest, AConnectionThatSwallowsRegistrationsIsNotUsedAgain) {
  agent().registration().begin({"alice@d.test", "d.test", SecretBytes(view_of("p"))}, 600);
  agent().registration().attempt({});
  link_ = bench_.open_link();
  bench_.pass(10s);
  EXPECT_FALSE(bench_.wire.open.contains(link_));
  EXPECT_FALSE(agent().link().is_open());
  EXPECT_EQ(bench_.registration.reason, "no answer from 192.0.2.1:5061");
}

// --- Services ---

class ServiceAgentTest : public testing::Test {
 protected:
  AgentBench bench_{AgentBench::service()};
};

TEST_F(ServiceAgentTest, ServesTheTrustedNameAndNobodyElse) {
  const auto core = bench_.incoming({"core.d.test"}), other = bench_.incoming({"mallory.d.test"}),
             nobody = bench_.incoming({});
  EXPECT_EQ(bench_.wire.admitted, (std::set<ConnectionId>{core}));
  const auto message = bench_.request("MESSAGE", "1", "P-Asserted-Identity: <sip:bob@d.test>\r\n");
  for (auto id : {other, nobody}) {
    bench_.feed(id, message);
    EXPECT_EQ(status_of(bench_.next(id)), 403);
    EXPECT_FALSE(bench_.wire.open.contains(id));
  }
  EXPECT_EQ(bench_.agent.parsed(), 0u) << "the library has seen nothing of them";
  bench_.feed(core, message);
  EXPECT_EQ(bench_.told(), "request 1 MESSAGE");
  EXPECT_EQ(bench_.last_request.asserted_identity, "sip:bob@d.test");
}

TEST_F(ServiceAgentTest, IsReachedWhereItListens) {
  const auto core = bench_.incoming({"core.d.test"});
  bench_.feed(core, bench_.request("SUBSCRIBE", "1", "Event: e\r\nExpires: 60\r\n"));
  EXPECT_EQ(bench_.told(), "subscribe 2 first");
  bench_.agent.at(bench_.now).subscribers().accept(2, 200, {}, 60);
  EXPECT_EQ(header_of(bench_.next(core), "Contact"), "<sip:x@192.0.2.7:5071;transport=tls>");
  bench_.agent.at(bench_.now).subscribers().notify(2, "text/plain", "x", false);
  const auto link = bench_.open_link();
  const auto notify = bench_.next(link);
  EXPECT_TRUE(notify.starts_with("NOTIFY sip:bob@192.0.2.1:5061")) << notify;
  EXPECT_EQ(header_of(notify, "Via").substr(0, 33), "SIP/2.0/TLS 192.0.2.7:5071;branch");
  bench_.feed(link, AgentBench::reply(notify, 481));
  EXPECT_EQ(bench_.told(), "unsubscribed 2 ");
}

TEST_F(ServiceAgentTest, ANextHopOfAnotherNameIsAskedButNotServed) {
  bench_.agent.at(bench_.now).send(1, to_bob("MESSAGE"));
  const auto link = bench_.wire.dialled.back().first;
  ConnectionFacts facts;
  facts.tls = true;
  facts.subjects = {"other.d.test"};
  facts.own = "192.0.2.9:1";
  bench_.agent.opened(link, facts, bench_.now);
  bench_.feed(link, AgentBench::reply(bench_.next(link), 200));
  EXPECT_EQ(bench_.told(), "response 1 200 X");
  bench_.feed(link, bench_.request("MESSAGE", "1"));
  EXPECT_EQ(status_of(bench_.next(link)), 403);
  EXPECT_EQ(bench_.told(), "");
}

TEST_F(ServiceAgentTest, SaysGoodbyeToAll) {
  const auto core = bench_.incoming({"core.d.test"});
  bench_.feed(core, bench_.request("SUBSCRIBE", "1", "Event: e\r\nExpires: 60\r\n"));
  bench_.agent.at(bench_.now).subscribers().accept(2, 200, {}, 60);
  bench_.feed(core, bench_.request("MESSAGE", "2"));
  bench_.next(core);
  bool closed = false;
  bench_.agent.at(bench_.now).begin_close([&] { closed = true; });
  EXPECT_EQ(status_of(bench_.next(core)), 503);
  const auto link = bench_.open_link();
  const auto notify = bench_.next(link);
  EXPECT_EQ(header_of(notify, "Subscription-State"), "terminated;reason=deactivated");
  EXPECT_FALSE(closed);
  bench_.feed(link, AgentBench::reply(notify, 200));
  EXPECT_TRUE(closed);
  bench_.feed(core, bench_.request("MESSAGE", "3"));
  EXPECT_EQ(status_of(bench_.next(core)), 503);
}

}  // namespace
}  // namespace sealcast::sip
