#pragma once
// An embedded core with three subscribers and a fake tracker and cache around it, and raw UEs to talk to it.
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <map>
#include <mutex>
#include <set>

#include "crypto/certificate.hpp"
#include "sip/core/core.hpp"
#include "sip/digest.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/sip_client.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::test {

inline constexpr const char* k_domain = "sealcast.test";

class MemorySubscribers final : public sip::SubscriberDirectory {
 public:
  Result<std::optional<sip::SubscriberCredentials>> find(const std::string& user) override {
    std::lock_guard lock(mutex_);
    if (broken_) return fail("the database is locked");
    if ((user != "alice" && user != "bob" && user != "carol") || removed_.contains(user)) return std::nullopt;
    const auto full = user + "@" + k_domain;
    const auto ha1 = [&](const std::string& name) {
      return sip::digest_ha1(sip::DigestAlgorithm::sha256, name, k_domain, "secret-" + user);
    };
    return sip::SubscriberCredentials{ha1(full), "", ha1(user)};
  }
  Result<std::string> device_of(const std::string& user) override {
    std::lock_guard lock(mutex_);
    if (broken_) return fail("the database is locked");
    return devices_[user];
  }
  Result<bool> enrol_device(const std::string& user, const std::string& thumbprint) override {
    std::lock_guard lock(mutex_);
    if (devices_[user].empty()) devices_[user] = thumbprint;
    return devices_[user] == thumbprint;
  }
  std::uint64_t revision() override {
    std::lock_guard lock(mutex_);
    return revision_;
  }
  void remove(const std::string& user) {
    std::lock_guard lock(mutex_);
    removed_.insert(user);
    ++revision_;
  }
  void break_down(bool broken) {
    std::lock_guard lock(mutex_);
    broken_ = broken;
  }
  std::string device(const std::string& user) { return device_of(user).value_or(""); }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> devices_;
  std::set<std::string> removed_;
  bool broken_ = false;
  std::uint64_t revision_ = 0;
};

// What a test says in a request beside the mandatory headers.
struct RequestParts {
  std::string method, uri, from = {}, to = {};
  std::vector<std::string> headers = {};  // "Name: value"
  std::string type = {}, body = {};
  std::string call_id = {}, from_tag = "f1", branch = {};  // empty: fresh
  int cseq = 1;
  std::string cseq_method = {};
};

inline std::string fresh_word(const std::string& prefix) {
  static int count = 0;
  return prefix + std::to_string(++count) + "x" + std::to_string(::getpid());
}

inline std::string request_text(const SipConnection& connection, const RequestParts& parts) {
  std::string out = parts.method + " " + parts.uri + " SIP/2.0\r\nVia: SIP/2.0/" + connection.transport() + " " +
                    connection.local() + ";branch=" + (parts.branch.empty() ? fresh_word("z9hG4bK-") : parts.branch) +
                    "\r\nFrom: <" + parts.from + ">;tag=" + parts.from_tag + "\r\nTo: " + parts.to +
                    "\r\nCall-ID: " + (parts.call_id.empty() ? fresh_word("call-") : parts.call_id) +
                    "\r\nCSeq: " + std::to_string(parts.cseq) + " " +
                    (parts.cseq_method.empty() ? parts.method : parts.cseq_method) + "\r\n";
  bool hops = false;
  for (auto& each : parts.headers) {
    out += each + "\r\n";
    hops |= each.starts_with("Max-Forwards:");
  }
  if (!hops) out += "Max-Forwards: 70\r\n";
  if (!parts.type.empty()) out += "Content-Type: " + parts.type + "\r\n";
  return out + "Content-Length: " + std::to_string(parts.body.size()) + "\r\n\r\n" + parts.body;
}

inline std::string response_text(const SipMessage& request, int status, const std::string& reason,
                                 const std::string& to_tag, std::vector<std::string> headers = {},
                                 const std::string& type = {}, const std::string& body = {}) {
  std::string out = "SIP/2.0 " + std::to_string(status) + " " + reason + "\r\n";
  for (const char* name : {"Via", "Record-Route", "From", "Call-ID", "CSeq"}) {
    for (auto& value : request.all(name)) out += std::string(name) + ": " + value + "\r\n";
  }
  auto to = request.header("To");
  out += "To: " + to + (to.find("tag=") == std::string::npos && !to_tag.empty() ? ";tag=" + to_tag : "") + "\r\n";
  for (auto& each : headers) out += each + "\r\n";
  if (!type.empty()) out += "Content-Type: " + type + "\r\n";
  return out + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline std::string quoted_parameter(const std::string& text, const std::string& name) {
  auto at = text.find(name + "=\"");
  if (at == std::string::npos) return "";
  at += name.size() + 2;
  return text.substr(at, text.find('"', at) - at);
}

// "Authorization: Digest …" for a challenge.
inline std::string authorization(const std::string& challenge, const std::string& user, const std::string& password,
                                 const std::string& nc = "00000001", const std::string& method = "REGISTER") {
  auto realm = quoted_parameter(challenge, "realm"), nonce = quoted_parameter(challenge, "nonce"),
       uri = std::string("sip:") + k_domain;
  sip::DigestInput input{
      sip::digest_ha1(sip::DigestAlgorithm::sha256, user, realm, password), nonce, nc, "c0ffee", method, uri};
  return "Authorization: Digest username=\"" + user + "\", realm=\"" + realm + "\", nonce=\"" + nonce + "\", uri=\"" +
         uri + "\", algorithm=SHA-256, qop=auth, nc=" + nc + ", cnonce=\"c0ffee\", response=\"" +
         sip::digest_response(sip::DigestAlgorithm::sha256, input) + "\"";
}

// A raw user equipment.
struct TestUe {
  SipConnection connection;
  std::string name;
  std::string challenge = {};
  int cseq = 0;

  std::string impu() const { return "sip:" + name + "@" + k_domain; }
  std::string contact() const { return "sip:x-" + name + "@" + connection.local(); }
  std::string request(RequestParts parts) const {
    if (parts.from.empty()) parts.from = impu();
    if (parts.to.empty()) parts.to = "<" + parts.uri + ">";
    return request_text(connection, parts);
  }
  SipMessage ask(const RequestParts& parts) {
    connection.send(request(parts));
    return answer();
  }
  // Next final response, or an empty message.
  SipMessage answer() {
    for (;;) {
      auto message = connection.receive();
      if (!message) return {};
      if (message->status() >= 200) return *message;
    }
  }
  RequestParts registration(std::vector<std::string> headers, int expires = 600) {
    headers.push_back("Contact: <" + contact() + ">;expires=" + std::to_string(expires));
    return {"REGISTER",
            std::string("sip:") + k_domain,
            impu(),
            "<" + impu() + ">",
            std::move(headers),
            {},
            {},
            "reg-" + name,
            "f1",
            {},
            ++cseq,
            {}};
  }
  // Final answer of the whole exchange.
  SipMessage register_with(const std::string& password, int expires = 600,
                           const std::vector<std::string>& headers = {}) {
    auto first = ask(registration(headers, expires));
    if (first.status() != 401) return first;
    challenge = first.header("WWW-Authenticate");
    auto again = headers;
    again.push_back(authorization(challenge, name + "@" + k_domain, password));
    return ask(registration(again, expires));
  }
  SipMessage register_now() { return register_with("secret-" + name); }
};

class CoreTest : public testing::Test {
 protected:
  void SetUp() override {
    make_certificates();
    tracker_.emplace(directory("tracker"));
    cache_.emplace(directory("cache"));
    start_core({});
  }

  void start_core(sip::CoreConfig config) {
    config.domain = k_domain;
    config.ue_listen = config.ue_listen_tcp = config.service_listen = "127.0.0.1:0";
    config.tls_directory = directory("core");
    config.services = {{"tracker", false, tracker_->address(), "tracker.sealcast.test"},
                       {"peers.sealcast.test", true, tracker_->address(), "tracker.sealcast.test"},
                       {"cache", false, cache_->address(), "cache.sealcast.test"}};
    core_.reset();
    core_ = std::make_unique<sip::Core>(config, subscribers_);
    auto started = core_->start();
    ASSERT_TRUE(started) << started.error().message;
  }

  std::string directory(const std::string& name) const { return (files_.path() / name).string(); }

  TestUe ue(const std::string& name) { return {SipConnection::tls(core_->ue_address(), directory("ue")), name}; }
  TestUe ue_over_tcp(const std::string& name) { return {SipConnection::tcp(core_->ue_tcp_address()), name}; }
  TestUe registered(const std::string& name) {
    auto out = ue(name);
    EXPECT_EQ(out.register_now().status(), 200);
    return out;
  }
  // A service's own connection to the core.
  SipConnection service(const std::string& name) {
    return SipConnection::tls(core_->service_address(), directory(name));
  }

  TemporaryDirectory files_;
  MemorySubscribers subscribers_;
  std::optional<SipListener> tracker_, cache_;
  std::unique_ptr<sip::Core> core_;

 private:
  void make_certificates() {
    SeededRandom random(7);
    const UnixSeconds now = std::time(nullptr);
    auto ca = crypto::make_ca({"Sealcast test CA", {}, now - 60, now + 3600}, random);
    auto stranger = crypto::make_ca({"Another CA", {}, now - 60, now + 3600}, random);
    ASSERT_TRUE(ca && stranger);
    for (std::string name : {"core", "tracker", "cache", "other", "stranger"}) {
      auto issued = crypto::issue(
          {name + ".sealcast.test", {"DNS:" + name + ".sealcast.test", "DNS:127.0.0.1"}, now - 60, now + 3600},
          name == "stranger" ? *stranger : *ca, random);
      ASSERT_TRUE(issued);
      write(name, "agent.pem", issued->certificate_pem + issued->key_pem);
      write(name, "cafile.pem", ca->certificate_pem);
    }
    write("ue", "cafile.pem", ca->certificate_pem);
  }
  void write(const std::string& folder, const std::string& file, const std::string& text) {
    std::filesystem::create_directories(files_.path() / folder);
    std::ofstream(files_.path() / folder / file) << text;
  }
};

}  // namespace sealcast::test
