#pragma once
// A user agent without sockets and clocks: connections are numbers, time passes when the test says so, and what the
// owner is told is kept as lines.
#include "sip/agent/impl.hpp"
#include "sip/library.hpp"
#include "tests/support/memory_wire.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::test {

class AgentBench : sip::AgentReports {
 public:
  explicit AgentBench(sip::AgentConfig with) : config(std::move(with)) {
    if (!config.listen.empty()) agent.listening(config.listen);
  }
  static sip::AgentConfig ue() {
    sip::AgentConfig out;
    out.identity = "sip:alice@d.test";
    out.contact_user = "x";
    out.instance = "urn:uuid:1";
    out.next_hop = "192.0.2.1:5061";
    return out;
  }
  static sip::AgentConfig service() {
    auto out = ue();
    out.identity = "sip:tracker@d.test";
    out.instance.clear();
    out.listen = "192.0.2.7:5071";
    out.require_client_certificate = true;
    out.trusted_names = {"core.d.test"};
    return out;
  }

  // The connection that the agent dialled, up.
  sip::ConnectionId open_link() {
    SEALCAST_ASSERT(!wire.dialled.empty());
    const auto id = wire.dialled.back().first;
    open(id, "192.0.2.1:5061", {"core.d.test"});
    return id;
  }
  sip::ConnectionId linked() {
    agent.at(now).reach([](const std::string&) {});
    return open_link();
  }
  // Somebody who dials in.
  sip::ConnectionId incoming(std::vector<std::string> subjects) {
    const auto id = ++wire.last;
    wire.open.insert(id);
    open(id, "198.51.100.1:" + std::to_string(20000 + id), std::move(subjects));
    return id;
  }
  void close(sip::ConnectionId id, const std::string& why = "closed by the other side") {
    wire.open.erase(id);
    agent.closed(id, why, now);
  }
  void feed(sip::ConnectionId id, const std::string& octets) {
    if (wire.open.contains(id)) agent.received(id, view_of(octets), now);
  }
  void pass(Duration time) {
    for (const auto end = now + time; now < end;) {
      now += std::min<Duration>(end - now, 250ms);
      agent.tick(now, stops);
    }
  }
  // The next message to `id`; empty: none.
  std::string next(sip::ConnectionId id) { return wire.take(id); }
  // "METHOD URI" or "SIP/2.0 CODE PHRASE", and nothing more; empty: none.
  std::string next_line(sip::ConnectionId id) {
    const auto message = next(id);
    const auto line = message.substr(0, message.find("\r\n"));
    return line.ends_with(" SIP/2.0") ? line.substr(0, line.size() - 8) : line;
  }
  // What the owner was told; empty: nothing.
  std::string told() {
    if (reports.empty()) return {};
    auto out = std::move(reports.front());
    reports.pop_front();
    return out;
  }

  std::string request(const std::string& method, const std::string& branch, const std::string& more = {},
                      const std::string& to_tag = {}, int number = 1, const std::string& call_id = {}) {
    return method + " sip:tracker@d.test SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK" + branch +
           "\r\nMax-Forwards: 70\r\nFrom: <sip:bob@d.test>;tag=f\r\nTo: <sip:tracker@d.test>" +
           (to_tag.empty() ? "" : ";tag=" + to_tag) + "\r\nCall-ID: " + (call_id.empty() ? "c-" + branch : call_id) +
           "\r\nCSeq: " + std::to_string(number) + " " + method + "\r\nContact: <sip:bob@192.0.2.1:5061>\r\n" + more +
           "Content-Length: 0\r\n\r\n";
  }
  // To a request of the agent's; a To without tag gets one.
  static std::string reply(const std::string& request, int status, const std::string& more = {},
                           const std::string& tag = "t") {
    auto lines = lines_of(request, {"Via", "Record-Route", "From", "Call-ID", "CSeq"});
    auto to = header_of(request, "To");
    if (to.find(";tag=") == std::string::npos && !tag.empty()) to += ";tag=" + tag;
    return "SIP/2.0 " + std::to_string(status) + " X\r\n" + lines + "To: " + to + "\r\n" + more +
           "Content-Length: 0\r\n\r\n";
  }
  static std::string tag_of(const std::string& header) {
    const auto at = header.find(";tag=");
    return at == std::string::npos ? std::string() : header.substr(at + 5);
  }
  static std::string branch_of(const std::string& message) {
    const auto via = header_of(message, "Via");
    return via.substr(via.find("branch=") + 7);
  }

  const sip::AgentConfig config;
  sip::Library library;
  SeededRandom random{1};
  MemoryWire wire;
  Instant now{std::chrono::hours(1)};
  std::uint64_t stops = 0;
  std::deque<std::string> reports;
  sip::Request last_request;  // that the owner was told of
  sip::RegistrationState registration;
  sip::UserAgent agent{config, random, wire, [this](sip::UserAgent::Report report) { report(*this); }};

 private:
  void open(sip::ConnectionId id, const std::string& remote, std::vector<std::string> subjects) {
    sip::ConnectionFacts facts;
    facts.tls = true;
    facts.remote = remote;
    facts.own = "192.0.2.9:40000";
    facts.subjects = std::move(subjects);
    agent.opened(id, std::move(facts), now);
  }
  void say(const char* what, std::uint64_t id, const std::string& more) {
    reports.push_back(std::string(what) + " " + std::to_string(id) + " " + more);
  }
  static std::string text_of(const sip::Response& response) {
    return std::to_string(response.status) + " " + response.reason;
  }
  void response_arrived(std::uint64_t id, const sip::Response& response) override {
    say("response", id, text_of(response));
  }
  void request_arrived(sip::RequestId id, const sip::Request& request) override {
    last_request = request;
    say("request", id, request.method);
  }
  void registration_due() override { reports.push_back("registration due"); }
  void registration_changed(const sip::RegistrationState& state) override {
    registration = state;
    reports.push_back(std::string(state.registered ? "registered " : "not registered: ") + state.reason);
  }
  void invite_arrived(sip::CallId id, const sip::Request& request) override {
    last_request = request;
    say("invite", id, request.uri);
  }
  void reinvite_arrived(sip::CallId id, const sip::Request&) override { say("reinvite", id, {}); }
  void call_failed(sip::CallId id, const sip::Response& response) override { say("failed", id, text_of(response)); }
  void call_ended(sip::CallId id, const std::string& reason) override { say("ended", id, reason); }
  void call_refused(sip::CallId id) override { say("refused", id, {}); }
  void notify_arrived(sip::SubscriptionId id, const sip::Request& request) override {
    last_request = request;
    say("notify", id, request.event);
  }
  void subscription_over(sip::SubscriptionId id, const sip::Response& response) override {
    say("over", id, text_of(response));
  }
  void subscribe_arrived(sip::SubscriptionId id, const sip::Request& request, bool first) override {
    last_request = request;
    say("subscribe", id, first ? "first" : "again");
  }
  void subscription_ended(sip::SubscriptionId id) override { say("unsubscribed", id, {}); }
};

}  // namespace sealcast::test
