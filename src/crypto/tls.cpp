#include "crypto/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include "base/address.hpp"
#include "base/assert.hpp"
#include "crypto/openssl.hpp"

namespace sealcast::crypto {
namespace {

using X509Owner = std::unique_ptr<X509, decltype(&X509_free)>;
using ContextOwner = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using SessionOwner = std::unique_ptr<SSL, decltype(&SSL_free)>;

Bio reading(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all};
}

// No terminal is asked for the passphrase of an encrypted key.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

bool load_own(SSL_CTX* context, const std::string& pem, std::string& why) {
  auto bio = reading(pem);
  X509Owner own(PEM_read_bio_X509(bio.get(), nullptr, &no_passphrase, nullptr), &X509_free);
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) {
    why = "holds no certificate that can be read";
    return false;
  }
  while (auto* above = PEM_read_bio_X509(bio.get(), nullptr, &no_passphrase, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, above) != 1) X509_free(above);
  }
  bio = reading(pem);
  EvpKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_passphrase, nullptr), &EVP_PKEY_free);
  ERR_clear_error();
  if (key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1) return true;
  why = "holds no private key that fits its certificate";
  return false;
}

bool load_trust(SSL_CTX* context, const std::string& pem, bool server) {
  auto bio = reading(pem);
  int found = 0;
  for (;; ++found) {
    X509Owner ca(PEM_read_bio_X509_AUX(bio.get(), nullptr, &no_passphrase, nullptr), &X509_free);
    if (!ca || X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get()) != 1) break;
    if (server) SSL_CTX_add_client_CA(context, ca.get());
  }
  ERR_clear_error();
  return found > 0;
}

// A name with a NUL in it was made to be read in two ways.
void add_name(std::vector<std::string>& names, const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size <= 0) return;
  std::string name(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  if (name.find('\0') != name.npos || std::find(names.begin(), names.end(), name) != names.end()) return;
  names.push_back(std::move(name));
}

std::string address_text(const ASN1_OCTET_STRING* octets) {
  const auto* data = ASN1_STRING_get0_data(octets);
  const int size = ASN1_STRING_length(octets);
  IpAddress address;
  if (size != 4 && size != 16) return {};
  address.family = size == 4 ? IpAddress::Family::v4 : IpAddress::Family::v6;
  std::copy_n(data, size, address.octets.begin());
  return address.text();
}

std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> names;
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> others(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  for (int i = 0; others && i < sk_GENERAL_NAME_num(others.get()); ++i) {
    const auto* each = sk_GENERAL_NAME_value(others.get(), i);
    if (each->type == GEN_DNS) add_name(names, each->d.dNSName);
    if (each->type == GEN_URI) {
      std::vector<std::string> uri;
      add_name(uri, each->d.uniformResourceIdentifier);
      const auto colon = uri.empty() ? std::string::npos : uri[0].find(':');
      if (colon != std::string::npos) names.push_back(uri[0].substr(colon + 1));
    }
    if (each->type == GEN_IPADD) {
      if (auto text = address_text(each->d.iPAddress); !text.empty()) names.push_back(std::move(text));
    }
  }
  const auto* subject = X509_get_subject_name(certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
    add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  return names;
}

// RFC 5922 wants a DNS or URI name; an address counts as a DNS name, too, as the SIP library writes it.
bool certificate_is_for(SSL* connection, const std::string& host) {
  X509Owner certificate(SSL_get1_peer_certificate(connection), &X509_free);
  if (!certificate) return false;
  if (X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1) return true;
  return X509_check_ip_asc(certificate.get(), host.c_str(), 0) == 1;
}

std::string verification_text(long verdict) {
  switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the certificate is not valid yet (is the clock right?)";
    case X509_V_ERR_INVALID_PURPOSE:
      return "the certificate is not for this use";
    default:
      return "the certificate is not signed by the CA that is trusted";
  }
}

}  // namespace

struct TlsContext::Impl {
  ContextOwner context{nullptr, &SSL_CTX_free};
  TlsSettings::Side side = TlsSettings::Side::server;
  TlsSettings::Verify verify = TlsSettings::Verify::none;
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const TlsSettings& settings) {
  const bool server = settings.side == TlsSettings::Side::server;
  auto impl = std::make_unique<Impl>();
  impl->side = settings.side;
  impl->verify = settings.verify;
  impl->context.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  auto* context = impl->context.get();
  SEALCAST_ASSERT(context != nullptr);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  std::string why;
  if ((server || !settings.own.empty()) && !load_own(context, settings.own, why))
    return fail(Error{ErrorCode::usage, std::move(why), {}, "own"});
  const bool trusts = load_trust(context, settings.trust, server);
  if (!trusts && settings.verify == TlsSettings::Verify::required)
    return fail(Error{ErrorCode::usage, "holds no certificate of a CA that can be read", {}, "trust"});
  if (settings.verify == TlsSettings::Verify::required)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(impl)));
}

struct TlsSession::Impl {
  std::shared_ptr<const TlsContext> context;
  std::string expected_name;
  SessionOwner connection{nullptr, &SSL_free};
  BIO* in = nullptr;  // belongs to the connection, as does the next
  BIO* out = nullptr;
  Bytes plaintext;
  std::vector<std::string> names;
  std::string error;
  bool done = false, goodbye = false;

  bool handshake();
  bool read();
  bool failed(std::string why) {
    if (error.empty()) error = std::move(why);
    return false;
  }
  std::string reason() const;
};

std::string TlsSession::Impl::reason() const {
  const auto verdict = SSL_get_verify_result(connection.get());
  const auto code = ERR_peek_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  if (context->impl_->verify == TlsSettings::Verify::required && verdict != X509_V_OK && !done)
    return verification_text(verdict);
  return std::string("TLS: ") + (text == nullptr ? "the connection was broken off" : text);
}

bool TlsSession::Impl::handshake() {
  const int result = SSL_do_handshake(connection.get());
  if (result != 1) {
    const int error_kind = SSL_get_error(connection.get(), result);
    return error_kind == SSL_ERROR_WANT_READ || error_kind == SSL_ERROR_WANT_WRITE || failed(reason());
  }
  if (context->impl_->verify == TlsSettings::Verify::required) {
    if (SSL_get_verify_result(connection.get()) != X509_V_OK) return failed(reason());
    if (context->impl_->side == TlsSettings::Side::client && !certificate_is_for(connection.get(), expected_name))
      return failed("the certificate is not for the name " + expected_name);
    X509Owner certificate(SSL_get1_peer_certificate(connection.get()), &X509_free);
    if (!certificate) return failed("no certificate came");
    names = names_of(certificate.get());
  }
  done = true;
  return true;
}

bool TlsSession::Impl::read() {
  std::uint8_t piece[16 << 10];
  for (;;) {
    const int got = SSL_read(connection.get(), piece, sizeof piece);
    if (got > 0) {
      plaintext.insert(plaintext.end(), piece, piece + got);
      continue;
    }
    const int kind = SSL_get_error(connection.get(), got);
    if (kind == SSL_ERROR_ZERO_RETURN) goodbye = true;
    return kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE || goodbye || failed(reason());
  }
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, std::string expected_name)
    : impl_(std::make_unique<Impl>()) {
  SEALCAST_ASSERT(context != nullptr);
  impl_->context = std::move(context);
  impl_->expected_name = std::move(expected_name);
  const auto& shared = *impl_->context->impl_;
  impl_->connection.reset(SSL_new(shared.context.get()));
  impl_->in = BIO_new(BIO_s_mem());
  impl_->out = BIO_new(BIO_s_mem());
  SEALCAST_ASSERT(impl_->connection && impl_->in && impl_->out);
  BIO_set_mem_eof_return(impl_->in, -1);
  BIO_set_mem_eof_return(impl_->out, -1);
  auto* connection = impl_->connection.get();
  SSL_set_bio(connection, impl_->in, impl_->out);
  if (shared.side == TlsSettings::Side::server) {
    SSL_set_accept_state(connection);
    return;
  }
  SSL_set_connect_state(connection);
  if (!impl_->expected_name.empty() && !parse_ip_address(impl_->expected_name))
    SSL_set_tlsext_host_name(connection, impl_->expected_name.c_str());
}

TlsSession::~TlsSession() = default;
TlsSession::TlsSession(TlsSession&&) noexcept = default;
TlsSession& TlsSession::operator=(TlsSession&&) noexcept = default;

bool TlsSession::feed(ByteView ciphertext) {
  if (!impl_->error.empty()) return false;
  if (impl_->goodbye) return true;  // what comes after a goodbye is nobody's
  ERR_clear_error();
  if (!ciphertext.empty()) {
    SEALCAST_ASSERT(ciphertext.size() <= std::numeric_limits<int>::max());
    const int size = static_cast<int>(ciphertext.size());
    if (BIO_write(impl_->in, ciphertext.data(), size) != size) return impl_->failed("TLS: no memory");
  }
  if (!impl_->done && !impl_->handshake()) return false;
  return !impl_->done || impl_->read();
}

bool TlsSession::write(ByteView plaintext) {
  if (!impl_->done || !impl_->error.empty()) return false;
  if (plaintext.empty()) return true;
  ERR_clear_error();
  std::size_t written = 0;
  // A memory BIO takes everything at once.
  if (SSL_write_ex(impl_->connection.get(), plaintext.data(), plaintext.size(), &written) == 1) return true;
  return impl_->failed(impl_->reason());
}

void TlsSession::close() {
  ERR_clear_error();
  if (impl_->done && impl_->error.empty()) SSL_shutdown(impl_->connection.get());
}

Bytes TlsSession::take_output() {
  Bytes out(BIO_ctrl_pending(impl_->out));
  if (!out.empty()) {
    const int got = BIO_read(impl_->out, out.data(), static_cast<int>(out.size()));
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  return out;
}

Bytes TlsSession::take_plaintext() {
  return std::exchange(impl_->plaintext, {});
}

bool TlsSession::handshake_done() const {
  return impl_->done;
}
bool TlsSession::closed() const {
  return impl_->goodbye;
}
const std::vector<std::string>& TlsSession::peer_names() const {
  return impl_->names;
}
const std::string& TlsSession::error() const {
  return impl_->error;
}

bool has_name(const std::vector<std::string>& names, std::string_view wanted) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::equal(name.begin(), name.end(), wanted.begin(), wanted.end(),
                      [&](char a, char b) { return lower(a) == lower(b); });
  });
}

}  // namespace sealcast::crypto
