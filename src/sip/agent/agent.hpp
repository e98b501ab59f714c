#pragma once
// SIP user agent and application-server side: Signalling over TCP and TLS. Sockets, TLS and transactions are in a
// thread of its own; every call here is made on the owner's thread, and every callback comes back on it through the
// executor. After stop() no callback comes.
#include <memory>

#include "base/executor.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "sip/signalling.hpp"

namespace sealcast::sip {

struct AgentConfig {
  std::string identity;      // "sip:alice@sealcast.test" or a service identity
  std::string contact_user;  // random user part of Contact
  std::string instance;      // "urn:uuid:...", +sip.instance of registrations; empty: none
  // "127.0.0.1:0" (port chosen) or "[::1]:5070". Empty: nothing listens; requests come over the connection that we
  // opened to the next hop (RFC 5626), whose local address is our Contact.
  std::string listen;
  std::string next_hop;  // core: "127.0.0.1:5061"
  bool tls = true;       // false: TCP; bodies with key material are then refused by the caller's rules
  std::string
      tls_directory;        // agent.pem (certificate and key) and cafile.pem; a UE without certificate: cafile.pem only
  bool verify_peer = true;  // name and CA of the next hop
  bool require_client_certificate = false;  // application servers: only the core may connect
  std::vector<std::string> trusted_names;   // subjects of who is served, and whose P-Asserted-Identity is believed
                                            // (application servers); a UE believes its next hop
  std::string icsi =
      "urn:urn-7:3gpp-service.ims.icsi.p2pcds";  // in P-Preferred-Service of requests that begin something; empty: none
};

class Agent final : public Signalling {
 public:
  Agent(AgentConfig config, Executor& executor, Handler& handler);
  ~Agent() override;  // stop()

  // Starts the thread, and listens if it is to; the sentence of a failure names the address or file.
  Status start();
  void stop();                        // unregisters, ends dialogs, joins; at most 5 s
  std::string local_address() const;  // of the listener: "127.0.0.1:40123"; empty: none
  // Waits for the connection to the next hop. The sentence says why there is none: refused, wrong CA, wrong name,
  // expired, no answer.
  Status reach(Duration patience);
  // Reads the TLS files again, for connections from now on; what is connected stays.
  Status renew_certificates();

  void register_identity(Credentials credentials, int expires, std::function<std::vector<Header>()> headers,
                         std::function<void(const RegistrationState&)> on_change) override;
  void send(Request request, std::function<void(const Response&)> on_response) override;
  void reply(RequestId id, Response response) override;
  CallId invite(Request request, std::function<void(const Response&)> on_response) override;
  void reinvite(CallId id, Request request, std::function<void(const Response&)> on_response) override;
  void answer(CallId id, Response response) override;
  void probe(CallId id, std::function<void(const Response&)> on_response) override;
  void bye(CallId id, const std::string& reason) override;
  SubscriptionId subscribe(Request request, std::function<void(const Request&)> on_notify,
                           std::function<void(const Response&)> on_end) override;
  void unsubscribe(SubscriptionId id) override;
  void accept_subscription(SubscriptionId id, int status, std::string reason, int expires) override;
  void notify(SubscriptionId id, std::string content_type, std::string body, bool terminate) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::sip
