#pragma once
// SIP agents of a test: what they are asked is kept, and answered by a hook or by default.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "crypto/certificate.hpp"
#include "sip/agent/agent.hpp"
#include "tests/support/queue_executor.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::test {

inline constexpr const char* k_sdp_offer =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=application 40000 RTP/SAVPF 98\r\n";
inline constexpr const char* k_sdp_answer =
    "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=application 40002 RTP/SAVPF 98\r\n";

// A port that nobody listens on now.
inline std::string free_loopback_address() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(fd);
  return bound ? "127.0.0.1:" + std::to_string(ntohs(address.sin_port)) : std::string();
}

inline sip::Response response(int status, std::string reason = {}, std::vector<sip::Header> headers = {},
                              std::string type = {}, std::string body = {}) {
  return {status, std::move(reason), std::move(type), std::move(body), std::move(headers)};
}

class RecordingHandler final : public sip::Handler {
 public:
  struct Event {
    std::uint64_t id;
    sip::Request request;
  };
  void on_request(sip::RequestId id, const sip::Request& request) override {
    requests.push_back({id, request});
    if (answer_request) answer_request(id, request);
  }
  void on_invite(sip::CallId id, const sip::Request& request) override {
    invites.push_back({id, request});
    if (answer_invite) answer_invite(id, request);
  }
  void on_reinvite(sip::CallId id, const sip::Request& request) override {
    reinvites.push_back({id, request});
    if (answer_invite) answer_invite(id, request);
  }
  void on_call_ended(sip::CallId id, const std::string& reason) override { ended_calls.emplace_back(id, reason); }
  void on_subscribe(sip::SubscriptionId id, const sip::Request& request) override {
    subscribes.push_back({id, request});
    if (answer_subscribe) answer_subscribe(id, request);
  }
  void on_subscription_ended(sip::SubscriptionId id) override { ended_subscriptions.push_back(id); }

  std::function<void(sip::RequestId, const sip::Request&)> answer_request;
  std::function<void(sip::CallId, const sip::Request&)> answer_invite;
  std::function<void(sip::SubscriptionId, const sip::Request&)> answer_subscribe;
  std::vector<Event> requests, invites, reinvites, subscribes;
  std::vector<std::pair<sip::CallId, std::string>> ended_calls;
  std::vector<sip::SubscriptionId> ended_subscriptions;
};

// An agent with its handler. Stops with it.
struct TestAgent {
  TestAgent(const sip::AgentConfig& config, QueueExecutor& executor) : agent(config, executor, handler) {
    auto started = agent.start();
    EXPECT_TRUE(started) << started.error().message;
  }
  RecordingHandler handler;
  sip::Agent agent;

  void answer_requests(sip::Response with) {
    handler.answer_request = [this, with](sip::RequestId id, const sip::Request&) { agent.reply(id, with); };
  }
  void answer_invites(sip::Response with) {
    handler.answer_invite = [this, with](sip::CallId id, const sip::Request&) { agent.answer(id, with); };
  }
};

// A CA and directories with certificates: agents "left" and "right" trust each other, "stranger" has another CA,
// "other" another address, "expired" is too old; "client" has the CA only.
class AgentCertificates {
 public:
  AgentCertificates() {
    SeededRandom random(11);
    const UnixSeconds now = std::time(nullptr);
    auto ca = crypto::make_ca({"Sealcast test CA", {}, now - 7200, now + 3600}, random);
    auto another = crypto::make_ca({"Another CA", {}, now - 60, now + 3600}, random);
    if (!ca || !another) return;
    for (std::string name : {"left", "right", "stranger", "other", "expired"}) {
      const std::string address = name == "other" ? "DNS:192.0.2.1" : "DNS:127.0.0.1";
      auto issued = crypto::issue({name + ".sealcast.test",
                                   {"DNS:" + name + ".sealcast.test", address},
                                   now - 3600,
                                   name == "expired" ? now - 60 : now + 3600},
                                  name == "stranger" ? *another : *ca, random);
      if (!issued) return;
      write(name, "agent.pem", issued->certificate_pem + issued->key_pem);
      write(name, "cafile.pem", name == "stranger" ? another->certificate_pem : ca->certificate_pem);
    }
    write("client", "cafile.pem", ca->certificate_pem);
  }
  std::string directory(const std::string& name) const { return (files_.path() / name).string(); }

 private:
  void write(const std::string& folder, const std::string& file, const std::string& text) {
    std::filesystem::create_directories(files_.path() / folder);
    std::ofstream(files_.path() / folder / file) << text;
  }
  TemporaryDirectory files_;
};

}  // namespace sealcast::test
