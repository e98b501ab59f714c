#pragma once
// SIP user agent and application-server side. The stack runs in a thread of its own; every call here is made on the
// owner's thread, and every callback comes back on it through the executor. After stop() no callback comes.
#include <memory>

#include "base/executor.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "sip/message.hpp"

namespace sealcast::sip {

using RequestId = std::uint64_t;
using CallId = std::uint64_t;          // an INVITE dialog, either side
using SubscriptionId = std::uint64_t;  // a SUBSCRIBE dialog, either side

struct AgentConfig {
  std::string identity;      // "sip:alice@sealcast.test" or a service identity
  std::string contact_user;  // random user part of Contact
  std::string instance;      // "urn:uuid:...", +sip.instance of registrations; empty: none
  // "127.0.0.1:0" (port chosen) or "[::1]:5070"; empty: our address towards the next hop, port chosen. Connections go
  // out from this address.
  std::string listen;
  std::string next_hop;  // core: "127.0.0.1:5061"
  bool tls = true;       // false: TCP; bodies with key material are then refused by the caller's rules
  std::string
      tls_directory;        // agent.pem (certificate and key) and cafile.pem; a UE without certificate: cafile.pem only
  bool verify_peer = true;  // name and CA of the next hop
  bool require_client_certificate = false;  // application servers: only the core may connect
  std::vector<std::string> trusted_names;  // subjects whose P-Asserted-Identity is believed (application servers); a UE
                                           // believes its next hop
  std::string icsi =
      "urn:urn-7:3gpp-service.ims.icsi.p2pcds";  // in P-Preferred-Service of requests that begin something; empty: none
};

struct Credentials {
  std::string user;  // digest username
  std::string realm;
  SecretBytes password;
};

struct RegistrationState {
  bool registered = false;
  int status = 0;      // last final answer; 0 = nobody answered
  std::string reason;  // sentence for people
  std::string associated_uri;
};

// Requests and dialogs that come in. Every request must be answered with Agent::reply / answer / accept_subscription:
// after 8 s (INVITE: 30 s) the agent answers 500 itself, and a later answer is ignored.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void on_request(RequestId id, const Request& request) = 0;  // MESSAGE, PUBLISH
  virtual void on_invite(CallId id, const Request& request) = 0;      // body = SDP offer
  virtual void on_reinvite(CallId id, const Request& request) = 0;
  // BYE, CANCEL, or the dialog is lost; once, and not after our own bye() or refusal.
  virtual void on_call_ended(CallId id, const std::string& reason) = 0;
  virtual void on_subscribe(SubscriptionId id, const Request& request) = 0;  // first and refresh
  // Server side: expired, unsubscribed, or a NOTIFY failed; once, and not after our own refusal or terminating
  // notify().
  virtual void on_subscription_ended(SubscriptionId id) = 0;
};

class Agent {
 public:
  Agent(AgentConfig config, Executor& executor, Handler& handler);
  ~Agent();  // stop()

  // Starts the thread and listens; the sentence of a failure names the address or file.
  Status start();
  void stop();                        // unregisters, ends dialogs, joins; at most 5 s
  std::string local_address() const;  // "127.0.0.1:40123"

  // REGISTER now, refreshed at half of expires, again when the connection is lost or nobody answers (pauses 1, 2, 4 ..
  // 15 s), not when the core refuses. on_change: told of each change. headers(): called on the owner's thread before
  // each attempt, not at stop(); an empty function means none.
  void register_identity(Credentials credentials, int expires, std::function<std::vector<Header>()> headers,
                         std::function<void(const RegistrationState&)> on_change);

  // MESSAGE or PUBLISH, out of dialog. Exactly one answer, within 10 s.
  void send(Request request, std::function<void(const Response&)> on_response);
  void reply(RequestId id, Response response);

  // Exactly one final answer; 2xx is acknowledged by the agent. Not 2xx: the call is over, without on_call_ended.
  CallId invite(Request request, std::function<void(const Response&)> on_response);
  void reinvite(CallId id, Request request, std::function<void(const Response&)> on_response);
  void answer(CallId id, Response response);  // 200 with SDP, or a refusal
  // OPTIONS inside of an established call: is the other side still there? Exactly one answer; 481: there is no such
  // call.
  void probe(CallId id, std::function<void(const Response&)> on_response);
  // Before the final answer of our INVITE: CANCEL, and on_response gets 487. Of theirs: 480.
  void bye(CallId id, const std::string& reason);

  // on_notify: each NOTIFY, its Subscription-State in headers; on_end: once, terminated (200, its reason), refused, 481
  // or no answer (0).
  SubscriptionId subscribe(Request request, std::function<void(const Request&)> on_notify,
                           std::function<void(const Response&)> on_end);
  void unsubscribe(SubscriptionId id);  // no callback of this subscription afterwards
  // expires: of a 423 Min-Expires, of a 503 Retry-After.
  void accept_subscription(SubscriptionId id, int status, std::string reason, int expires);
  void notify(SubscriptionId id, std::string content_type, std::string body, bool terminate);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Does a TLS handshake with our own OpenSSL to say in a sentence why the stack would fail: refused, wrong CA, wrong
// name, expired, time-out.
Status preflight(const std::string& next_hop, const AgentConfig& config, Duration timeout);

}  // namespace sealcast::sip
