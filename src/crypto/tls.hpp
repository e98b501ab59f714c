#pragma once
// TLS over memory: octets of the wire go in and come out, nothing here knows a socket. TLS 1.2 and 1.3.
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace sealcast::crypto {

// Texts of PEM files. A client may have no certificate of its own; a server must.
struct TlsSettings {
  enum class Side : std::uint8_t { server, client };
  // Of the other side. Servers: `none` asks for no certificate, `required` ends the handshake without one that `trust`
  // signed. Clients: `none` believes any server (tests only), `required` checks chain and name.
  enum class Verify : std::uint8_t { none, required };
  Side side = Side::server;
  Verify verify = Verify::none;
  std::string own;    // certificate, chain and private key
  std::string trust;  // CA certificates; may be empty with Verify::none
};

// What the sessions of one listener or dialler share. Never changes: renewed files are a new context, and the sessions
// of the old one live on with it. Any thread.
class TlsContext {
 public:
  // A failure is the end of a sentence ("holds no certificate that can be read") about Error::side, "own" or "trust".
  static Result<std::shared_ptr<const TlsContext>> make(const TlsSettings& settings);
  ~TlsContext();

 private:
  friend class TlsSession;
  struct Impl;
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// One connection. Memory is bounded by what feed() is given at once and by what take_output() has not taken.
class TlsSession {
 public:
  // `expected_name`: client with Verify::required: the host (name or IP address) that the certificate must be for.
  explicit TlsSession(std::shared_ptr<const TlsContext> context, std::string expected_name = {});
  ~TlsSession();
  TlsSession(TlsSession&&) noexcept;
  TlsSession& operator=(TlsSession&&) noexcept;

  // Octets from the wire. False: failed for good, error() says why; what take_output() then gives (an alert) may still
  // be sent. A client begins by feed() of nothing.
  bool feed(ByteView ciphertext);
  // False: not yet or not any more possible. Nothing of `plaintext` is kept then.
  bool write(ByteView plaintext);
  void close();            // says goodbye (close_notify) in take_output()
  Bytes take_output();     // for the wire
  Bytes take_plaintext();  // what came; only of a finished handshake

  bool handshake_done() const;
  bool closed() const;  // the other side said goodbye
  // Of a verified certificate of the other side: DNS names, URIs without their scheme, IP addresses, the common name.
  // Empty: no certificate, or nobody checked it.
  const std::vector<std::string>& peer_names() const;
  // A sentence's end: "the certificate has expired". Empty: nothing failed.
  const std::string& error() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// True: one of `names` is `wanted`, as host names are compared (ASCII case does not count).
bool has_name(const std::vector<std::string>& names, std::string_view wanted);

}  // namespace sealcast::crypto
