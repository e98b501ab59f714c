#pragma once
// The embedded IMS core: registrar, digest authentication (RFC 8760, RFC 7616), stateful proxy, asserted identity (RFC
// 3325), Service-Route (RFC 3608), static routes to the service identities. One process, for laboratories and tests; a
// thread of its own.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"

namespace sealcast::sip {

// HA1 is as good as the password (RFC 7616 section 5.13).
struct SubscriberCredentials {
  std::string ha1_sha256;        // 64 hex digits, of "name@realm"
  std::string ha1_md5;           // 32 hex digits; old clients
  std::string bare_sha256 = {};  // of "name", for clients that answer without the domain; empty: not known
};

// Who may register. Called on the core's thread and never blocks for long: what cannot be said at once is an error, and
// an error is no verdict on anybody.
class SubscriberDirectory {
 public:
  virtual ~SubscriberDirectory() = default;
  virtual Result<std::optional<SubscriberCredentials>> find(const std::string& user) = 0;
  // Thumbprint of the enrolled device key, empty if none.
  virtual Result<std::string> device_of(const std::string& user) = 0;
  // Keeps the first thumbprint per user; false when another one is enrolled already.
  virtual Result<bool> enrol_device(const std::string& user, const std::string& thumbprint) = 0;
  // Another number when somebody else changed the directory: a subscriber may have been removed.
  virtual std::uint64_t revision() { return 0; }
};

// A service is known by the subject (CN or DNS name) of its certificate. What it sends carries the P-Asserted-Identity
// that it claims, if that URI is routed to it here (its own name, a name in its domain), else
// sip:<user_or_domain>@<domain> of its first route that is no domain.
struct ServiceRoute {
  std::string user_or_domain;  // "tracker" (sip:tracker@domain) or "peers.<domain>" (every user there)
  bool whole_domain = false;
  std::string address;           // "127.0.0.1:5071": TLS listener of the application server
  std::string certificate_name;  // subject that its client certificate must carry for its requests to be trusted
};

struct CoreConfig {
  std::string domain;          // "sealcast.test": realm and registrar
  std::string ue_listen;       // TLS, "127.0.0.1:5061"; port 0 = chosen
  std::string ue_listen_tcp;   // TCP for what carries no key; empty = off
  std::string service_listen;  // TLS with client certificates
  std::string tls_directory;   // agent.pem, cafile.pem
  std::vector<ServiceRoute> services;
  int min_expires = 30, default_expires = 600, max_expires = 3600;  // of bindings, seconds
  bool insecure_signalling = false;  // laboratories: inline keys are relayed over TCP too
};

struct CoreCounters {
  std::uint64_t registrations = 0, challenges = 0, refused = 0, relayed = 0, bindings = 0;
};

class Core {
 public:
  Core(CoreConfig config, SubscriberDirectory& subscribers);
  ~Core();
  Status start();  // listens, or says which address or file failed
  void stop();
  std::string ue_address() const;  // after start()
  std::string ue_tcp_address() const;
  std::string service_address() const;
  void set_services(std::vector<ServiceRoute> services);  // thread-safe
  // Reads the TLS files again, for connections from now on; what is connected stays. Any thread.
  Status renew_certificates();
  CoreCounters counters() const;
  json::Object status() const;  // tables and connections, as they were a moment ago

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::sip
