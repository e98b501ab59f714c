#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/address.hpp"
#include "os/clock.hpp"
#include "os/descriptor.hpp"
#include "sip/agent.hpp"

namespace sealcast::sip {
namespace {

struct Clock : MonotonicClock {
  static Instant now() { return os::monotonic_now(); }
};
using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Connection = std::unique_ptr<SSL, decltype(&SSL_free)>;

struct Place {
  std::string host, port;
};

Result<Place> parse_place(const std::string& next_hop) {
  const auto colon = next_hop.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == next_hop.size()) {
    return fail(ErrorCode::usage, "the address of the core, " + next_hop + ", is not of the form host:port");
  }
  std::string host = next_hop.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return Place{host, next_hop.substr(colon + 1)};
}

// False when the time is over.
bool wait_for(int fd, short events, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    pollfd poll_fd{fd, events, 0};
    const int ready = ::poll(&poll_fd, 1, static_cast<int>(std::min<long>(left, 60000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

tl::unexpected<Error> cannot_connect(const std::string& next_hop, int error) {
  if (error == ECONNREFUSED)
    return fail(ErrorCode::network, "connection refused by " + next_hop + " (is the core running?)");
  if (error == ETIMEDOUT) return fail(ErrorCode::network, "no answer from " + next_hop + ": timed out");
  return fail(ErrorCode::network, "cannot connect to " + next_hop + ": " + std::strerror(error));
}

Result<os::Descriptor> connect_to(const Place& place, const std::string& next_hop, Clock::time_point until) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (const int error = ::getaddrinfo(place.host.c_str(), place.port.c_str(), &hints, &found); error != 0) {
    return fail(ErrorCode::network, "cannot find " + place.host + ": " + ::gai_strerror(error));
  }
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  int last_error = ETIMEDOUT;
  for (const auto* address = found; address != nullptr; address = address->ai_next) {
    os::Descriptor fd(::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) {
      last_error = errno;
      continue;
    }
    if (::connect(fd.get(), address->ai_addr, address->ai_addrlen) == 0) return fd;
    last_error = errno;
    if (last_error != EINPROGRESS) continue;
    last_error = ETIMEDOUT;
    if (!wait_for(fd.get(), POLLOUT, until)) continue;
    socklen_t size = sizeof last_error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &last_error, &size);
    if (last_error == 0) return fd;
  }
  return cannot_connect(next_hop, last_error);
}

Result<Context> make_context(const AgentConfig& config) {
  Context context(::SSL_CTX_new(::TLS_client_method()), &::SSL_CTX_free);
  if (!context) return fail("cannot make a TLS context");
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  if (config.verify_peer) {
    const auto ca = (std::filesystem::path(config.tls_directory) / "cafile.pem").string();
    if (::SSL_CTX_load_verify_locations(context.get(), ca.c_str(), nullptr) != 1)
      return fail(ErrorCode::network, "cannot read the CA certificate " + ca);
    ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  const auto own = (std::filesystem::path(config.tls_directory) / "agent.pem").string();
  std::error_code ignored;
  if (!std::filesystem::exists(own, ignored)) return context;
  if (::SSL_CTX_use_certificate_file(context.get(), own.c_str(), SSL_FILETYPE_PEM) != 1 ||
      ::SSL_CTX_use_PrivateKey_file(context.get(), own.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorCode::network, "cannot read certificate and key from " + own);
  }
  return context;
}

std::string verification_sentence(long verdict, const Place& place, const std::string& next_hop,
                                  const AgentConfig& config) {
  const std::string subject = "the certificate of " + next_hop;
  switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return subject + " has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return subject + " is not valid yet (is the clock right?)";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return subject + " is not for the name " + place.host;
    default:
      return subject + " is not signed by the CA in " +
             (std::filesystem::path(config.tls_directory) / "cafile.pem").string();
  }
}

// RFC 5922 wants a DNS or URI name; the stack compares the host of the next hop with DNS names as it is written,
// addresses too.
bool certificate_names(SSL* connection, const std::string& host) {
  std::unique_ptr<X509, decltype(&::X509_free)> certificate(::SSL_get1_peer_certificate(connection), &::X509_free);
  if (!certificate) return false;
  if (::X509_check_host(certificate.get(), host.c_str(), host.size(), 0, nullptr) == 1) return true;
  return ::X509_check_ip_asc(certificate.get(), host.c_str(), 0) == 1;
}

// Nothing was said against us: the other side is no longer there.
bool connection_was_lost() {
  const auto code = ::ERR_peek_error();
  return code == 0 || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

tl::unexpected<Error> lost(const std::string& next_hop) {
  ::ERR_clear_error();
  return fail(ErrorCode::network, "the connection to the core at " + next_hop +
                                      " was closed while TLS was agreed on (has it stopped, or is it starting?)");
}

std::string last_tls_error() {
  const auto code = ::ERR_get_error();
  ::ERR_clear_error();
  const char* text = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  return text == nullptr ? "the connection was closed" : text;
}

// Drives a handshake step (or a read) on the non-blocking socket; 1 done, 0 failed, -1 timed out.
template <class Step>
int drive(SSL* connection, int fd, Clock::time_point until, Step step) {
  for (;;) {
    const int result = step();
    if (result > 0) return 1;
    const int error = ::SSL_get_error(connection, result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return 0;
    if (!wait_for(fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until)) return -1;
  }
}

Status handshake(int fd, const Place& place, const std::string& next_hop, const AgentConfig& config,
                 Clock::time_point until) {
  SEALCAST_TRY_ASSIGN(auto context, make_context(config));
  Connection connection(::SSL_new(context.get()), &::SSL_free);
  if (!connection || ::SSL_set_fd(connection.get(), fd) != 1) return fail("cannot make a TLS connection");
  if (!parse_ip_address(place.host))
    ::SSL_set_tlsext_host_name(connection.get(), const_cast<char*>(place.host.c_str()));
  ::ERR_clear_error();
  const int result = drive(connection.get(), fd, until, [&] { return ::SSL_connect(connection.get()); });
  if (result < 0) return cannot_connect(next_hop, ETIMEDOUT);
  if (result == 0) {
    const auto verdict = ::SSL_get_verify_result(connection.get());
    if (verdict == X509_V_OK && connection_was_lost()) return lost(next_hop);
    const auto why = last_tls_error();
    if (config.verify_peer && verdict != X509_V_OK)
      return fail(ErrorCode::network, verification_sentence(verdict, place, next_hop, config));
    return fail(ErrorCode::network, "TLS with " + next_hop + " failed: " + why);
  }
  if (config.verify_peer && !certificate_names(connection.get(), place.host)) {
    return fail(ErrorCode::network, verification_sentence(X509_V_ERR_HOSTNAME_MISMATCH, place, next_hop, config));
  }
  // With TLS 1.3 the server judges our certificate after our side of the handshake has ended: its alert comes now, or
  // nothing does.
  char octet;
  const auto soon = std::min(until, Clock::now() + std::chrono::milliseconds(150));
  if (drive(connection.get(), fd, soon, [&] { return ::SSL_read(connection.get(), &octet, 1); }) == 0) {
    if (connection_was_lost()) return lost(next_hop);
    return fail(ErrorCode::network, next_hop + " refuses our certificate: " + last_tls_error());
  }
  ::SSL_shutdown(connection.get());
  return {};
}

}  // namespace

Status preflight(const std::string& next_hop, const AgentConfig& config, Duration timeout) {
  const auto until = Clock::now() + timeout;
  SEALCAST_TRY_ASSIGN(const auto place, parse_place(next_hop));
  SEALCAST_TRY_ASSIGN(const auto fd, connect_to(place, next_hop, until));
  return config.tls ? handshake(fd.get(), place, next_hop, config, until) : Status{};
}

}  // namespace sealcast::sip
