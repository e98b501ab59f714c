#pragma once
// The core's logic without sockets and clocks: connections are numbers, time passes when the test says so.
#include <map>
#include <set>
#include <string>

#include "sip/core/impl.hpp"
#include "sip/digest.hpp"
#include "sip/library.hpp"
#include "tests/support/memory_wire.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::test {

class BenchSubscribers final : public sip::SubscriberDirectory {
 public:
  Result<std::optional<sip::SubscriberCredentials>> find(const std::string& user) override {
    if (broken) return fail("the database is locked");
    if (gone.contains(user)) return std::nullopt;
    auto& ha1 = known_[user];
    if (ha1.empty()) ha1 = sip::digest_ha1(sip::DigestAlgorithm::sha256, user + "@d.test", "d.test", "p");
    return sip::SubscriberCredentials{ha1, "", ""};
  }
  Result<std::string> device_of(const std::string&) override {
    if (broken) return fail("the database is locked");
    return std::string();
  }
  Result<bool> enrol_device(const std::string&, const std::string&) override { return true; }
  std::uint64_t revision() override { return changes; }

  std::set<std::string> gone;
  std::uint64_t changes = 0;
  bool broken = false;

 private:
  std::map<std::string, std::string> known_;
};

class CoreBench {
 public:
  CoreBench() : state(config(), subscribers, random, wire) {
    state.listening({"192.0.2.1:5061", "192.0.2.1:5060", "192.0.2.1:5070"});
  }

  sip::ConnectionId connect(const std::string& source = "198.51.100.1", bool service = false) {
    const auto id = ++wire.last;
    wire.open.insert(id);
    using Side = sip::ConnectionFacts::Side;
    state.opened(id,
                 {service ? Side::service : Side::ue, true, source + ":" + std::to_string(20000 + id % 40000), source,
                  service ? "192.0.2.1:5070" : "192.0.2.1:5061",
                  service ? std::vector<std::string>{"tracker.d.test"} : std::vector<std::string>{}},
                 now);
    return id;
  }
  void close(sip::ConnectionId id) {
    wire.open.erase(id);
    state.closed(id, "closed by the other side", now);
  }
  void feed(sip::ConnectionId id, const std::string& octets) {
    if (wire.open.contains(id)) state.received(id, view_of(octets), now);
  }
  void pass(Duration time) {
    for (const auto end = now + time; now < end;) {
      now += std::min<Duration>(end - now, 500ms);
      state.tick(now);
    }
  }
  // The next message to `id`; empty: none.
  std::string next(sip::ConnectionId id) { return wire.take(id); }
  // The next final answer; what comes before it is dropped.
  int answer(sip::ConnectionId id) {
    for (;;) {
      const auto message = next(id);
      if (message.empty() || status_of(message) >= 200) return message.empty() ? 0 : status_of(message);
    }
  }

  std::string request(const std::string& method, const std::string& uri, const std::string& user,
                      const std::string& branch, const std::string& more = {}, const std::string& cseq_method = {},
                      int cseq = 1) {
    return method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/TLS 198.51.100.1:5061;branch=z9hG4bK" + branch +
           via_parameters + "\r\nMax-Forwards: 70\r\nFrom: <sip:" + user + "@d.test>;tag=f\r\nTo: <" + uri +
           ">\r\nCall-ID: c-" + branch + "\r\nCSeq: " + std::to_string(cseq) + " " +
           (cseq_method.empty() ? method : cseq_method) + "\r\n" + more + "Content-Length: 0\r\n\r\n";
  }
  std::string reply(const std::string& request, int status, const std::string& more = {}) {
    return "SIP/2.0 " + std::to_string(status) + " X\r\n" +
           lines_of(request, {"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"}) + more +
           "Content-Length: 0\r\n\r\n";
  }
  // Status of the last answer.
  int enter(sip::ConnectionId id, const std::string& user) {
    const auto text = [&](const std::string& more) {
      return request("REGISTER", "sip:d.test", user, "r" + std::to_string(++count_),
                     "Contact: <sip:x@198.51.100.1:" + std::to_string(id) + ">;expires=600\r\n" + more);
    };
    const auto with_own_to = [&](std::string message) {
      const auto at = message.find("To: <sip:d.test>");
      return message.replace(at, 16, "To: <sip:" + user + "@d.test>");
    };
    wire.inbox[id].clear();
    feed(id, with_own_to(text({})));
    const auto challenge = header_of(next(id), "WWW-Authenticate");
    auto at = challenge.find("nonce=\"");
    if (at == std::string::npos) return 0;
    at += 7;
    const auto nonce = challenge.substr(at, challenge.find('"', at) - at);
    const auto ha1 = sip::digest_ha1(sip::DigestAlgorithm::sha256, user + "@d.test", "d.test", "p");
    const auto response =
        sip::digest_response(sip::DigestAlgorithm::sha256, {ha1, nonce, "00000001", "c", "REGISTER", "sip:d.test"});
    feed(id, with_own_to(text("Authorization: Digest username=\"" + user + "@d.test\", realm=\"d.test\", nonce=\"" +
                              nonce + "\", uri=\"sip:d.test\", response=\"" + response +
                              "\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"c\"\r\n")));
    return answer(id);
  }
  sip::ConnectionId registered(const std::string& user, const std::string& source = "198.51.100.1") {
    const auto id = connect(source);
    SEALCAST_ASSERT(enter(id, user) == 200);
    return id;
  }

  static sip::CoreConfig config() {
    sip::CoreConfig out;
    out.domain = "d.test";
    out.services = {{"tracker", false, "192.0.2.7:5071", "tracker.d.test"},
                    {"peers.d.test", true, "192.0.2.7:5071", "tracker.d.test"}};
    return out;
  }

  sip::Library library;
  SeededRandom random{1};
  BenchSubscribers subscribers;
  MemoryWire wire;
  Instant now{std::chrono::hours(1)};
  sip::CoreState state;
  std::string via_parameters;

 private:
  int count_ = 0;
};

}  // namespace sealcast::test
