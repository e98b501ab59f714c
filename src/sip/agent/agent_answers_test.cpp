// What an agent answers to requests written by hand, over TLS and TCP (RFC 3261 section 8.2, RFC 4475).
#include "tests/support/agent_fixture.hpp"
#include "tests/support/sip_client.hpp"

namespace sealcast::sip {
namespace {

using test::response;

class AgentAnswers : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    AgentConfig config;
    config.identity = "sip:right@sealcast.test";
    config.contact_user = "c-right";
    config.listen = test::free_loopback_address();
    config.next_hop = test::free_loopback_address();
    config.tls = GetParam();
    if (config.tls) {
      config.tls_directory = certificates().directory("right");
      config.require_client_certificate = true;
      config.trusted_names = {"left.sealcast.test"};
    }
    agent_.emplace(config, executor_);
    agent_->answer_requests(response(200, "OK"));
    agent_->answer_invites(response(200, "OK", {}, "application/sdp", test::k_sdp_answer));
    connection_.emplace(connect());
  }
  test::SipConnection connect() {
    const auto address = agent_->agent.local_address();
    return GetParam() ? test::SipConnection::tls(address, certificates().directory("left"))
                      : test::SipConnection::tcp(address);
  }
  static const test::AgentCertificates& certificates() {
    static const test::AgentCertificates instance;
    return instance;
  }
  // A whole request: `start` without the version; `fields` replace those of the same name, others are added.
  std::string request(const std::string& start, std::vector<std::pair<std::string, std::string>> fields = {},
                      const std::string& body = {}) {
    const auto method = start.substr(0, start.find(' '));
    const auto number = std::to_string(++count_);
    std::vector<std::pair<std::string, std::string>> all = {
        {"Via",
         std::string("SIP/2.0/") + (GetParam() ? "TLS " : "TCP ") + connection_->local() + ";branch=z9hG4bK-" + number},
        {"From", "<sip:left@sealcast.test>;tag=f" + number},
        {"To", "<sip:right@sealcast.test>"},
        {"Call-ID", "answers-" + number},
        {"CSeq", number + " " + method},
        {"Max-Forwards", "70"},
        {"Contact", "<sip:left@" + connection_->local() + ">"},
        {"Content-Length", std::to_string(body.size())}};
    for (auto& [name, value] : fields) {
      bool found = false;
      for (auto& [known, old] : all)
        if (known == name) {
          old = value;
          found = true;
        }
      if (!found) all.insert(all.end() - 1, {name, value});
    }
    std::string out = start + " SIP/2.0\r\n";
    for (auto& [name, value] : all)
      if (value != "-") out += name + ": " + value + "\r\n";
    return out + "\r\n" + body;
  }
  // The final answer; 0: none.
  int answer(const std::string& text) {
    connection_.emplace(connect());
    if (!connection_->send(text)) return -1;
    return next_answer();
  }
  int next_answer() {
    last_.reset();
    for (int round = 0; round < 200 && !(last_ && last_->status() >= 200); ++round) {
      executor_.run_until([] { return false; }, std::chrono::milliseconds(1));
      last_ = connection_->receive(std::chrono::milliseconds(10));
    }
    return last_ ? std::stoi(last_->start.substr(8, 3)) : 0;
  }

  int count_ = 0;
  test::QueueExecutor executor_;
  std::optional<test::TestAgent> agent_;
  std::optional<test::SipConnection> connection_;
  std::optional<test::SipMessage> last_;
};

const std::string k_to = " sip:right@sealcast.test";

TEST_P(AgentAnswers, OrdinaryRequestsAreTaken) {
  EXPECT_EQ(answer(request("OPTIONS" + k_to)), 200);
  EXPECT_EQ(answer(request("MESSAGE" + k_to, {{"Content-Type", "text/plain"}}, "hello")), 200);
  EXPECT_EQ(answer(request("INVITE" + k_to, {{"Content-Type", "application/sdp"}}, test::k_sdp_offer)), 200);
}

TEST_P(AgentAnswers, UnknownMethodsAreAnswered) {
  for (const char* method :
       {"PING", "REF", "FOO", "REFER", "INFO", "UPDATE", "REGISTER", "B", "INVITES", "NEWMETHOD", "GET"}) {
    const int status = answer(request(std::string(method) + k_to));
    EXPECT_TRUE(status == 405 || status == 501) << method << " " << status;
    if (status == 405) {
      EXPECT_NE(last_->header("Allow"), "") << method;
    }
  }
  const int exotic = answer(request("!x-Method*_+`.%'~" + k_to));
  EXPECT_TRUE(exotic == 405 || exotic == 501) << exotic;
  EXPECT_EQ(answer(request("PRACK" + k_to)), 481);
}

TEST_P(AgentAnswers, BodiesThatAreNoSdpAre415) {
  EXPECT_EQ(answer(request("INVITE" + k_to, {{"Content-Type", "text/plain"}}, test::k_sdp_offer)), 415);
  EXPECT_NE(last_->header("Accept").find("application/sdp"), std::string::npos);
  EXPECT_EQ(answer(request("INVITE" + k_to, {{"Content-Type", "multipart/mixed;boundary=x"}}, test::k_sdp_offer)), 415);
  EXPECT_EQ(answer(request("INVITE" + k_to, {}, test::k_sdp_offer)), 415);
  EXPECT_EQ(answer(request("INVITE" + k_to, {{"Content-Type", "application/sdp"}, {"Content-Encoding", "gzip"}},
                           test::k_sdp_offer)),
            415);
  EXPECT_EQ(answer(request("INVITE" + k_to, {{"Content-Type", "application/sdp"}, {"e", "gzip"}}, test::k_sdp_offer)),
            415);
  EXPECT_EQ(answer(request("MESSAGE" + k_to, {{"Content-Type", "text/plain"}, {"Content-Encoding", "gzip"}}, "x")),
            415);
  EXPECT_EQ(answer(request("INVITE" + k_to,
                           {{"Content-Type", "Application/SDP;charset=utf-8"}, {"Content-Encoding", "identity"}},
                           test::k_sdp_offer)),
            200);
}

TEST_P(AgentAnswers, UnknownSchemesAre416AndExtensions420) {
  for (const char* uri : {"nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002", "http://x/",
                          "mailto:right@sealcast.test", "tel:+123"})
    EXPECT_EQ(answer(request(std::string("OPTIONS ") + uri)), 416) << uri;
  EXPECT_EQ(answer(request("OPTIONS" + k_to, {{"Require", "nothingSupportsThis, nothingSupportsThisEither"}})), 420);
  EXPECT_NE(last_->header("Unsupported").find("nothingSupportsThis"), std::string::npos);
}

TEST_P(AgentAnswers, AViaOfAnotherTransportIsRefused) {
  const auto via = [&](const char* transport) {
    return std::string("SIP/2.0/") + transport + " " + connection_->local() + ";branch=z9hG4bK-other";
  };
  for (const char* other : {"UDP", GetParam() ? "TCP" : "TLS"})
    EXPECT_EQ(answer(request("MESSAGE" + k_to, {{"Via", via(other)}, {"Content-Type", "text/plain"}}, "x")), 400);
  EXPECT_TRUE(agent_->handler.requests.empty());
}

TEST_P(AgentAnswers, MessagesBesideTheGrammarAreRefused) {
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"To", "\"Mr. J. User <sip:j.user@example.com>"},
           {"From", "Bell, Alexander <sip:a.g.bell@example.com>;tag=43"},
           {"CSeq", "36893488147419103232 OPTIONS"},
           {"CSeq", "8 INVITE"},
           {"Max-Forwards", "300"},
           {"Expires", "10000000000000000000000000"},
           {"Contact", "sip:user@example.com?Route=%3Csip:sip.example.com%3E"},
           {"To", "\"Watson, Thomas\" < sip:t.watson@example.org >"},
           {"Call-ID", "-"},
           {"From", "-"}})
    EXPECT_EQ(answer(request("OPTIONS" + k_to, {{name, value}})), 400) << name << ": " << value;
  for (const char* line : {"OPTIONS <sip:right@sealcast.test>", "OPTIONS sip:right@sealcast.test; lr",
                           "OPTIONS sip:right@sealcast.test?Route=%3Csip:x%3E"})
    EXPECT_EQ(answer(request(line, {{"CSeq", "9 OPTIONS"}})), 400) << line;
  auto version = request("OPTIONS" + k_to);
  version.replace(version.find("SIP/2.0\r\n"), 7, "SIP/7.0");
  EXPECT_EQ(answer(version), 505);
}

INSTANTIATE_TEST_SUITE_P(Transports, AgentAnswers, testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "TLS" : "TCP"; });

}  // namespace
}  // namespace sealcast::sip
