#pragma once
// X.509 for the laboratory: a CA of our own and what it issues (P-256, SHA-256). Checking is the TLS library's work.
#include <vector>

#include "base/time.hpp"
#include "crypto/ec.hpp"

namespace sealcast::crypto {

struct Certificate {
  std::string certificate_pem;
  std::string key_pem;
};
struct CertificateRequest {
  std::string common_name;
  // SubjectAltName entries: "DNS:…", "IP:…", "URI:…". Some SIP stacks look for an IP address among the DNS
  // names only.
  std::vector<std::string> alternative_names;
  UnixSeconds not_before = 0;
  UnixSeconds not_after = 0;
};
// The common name holds at most 64 characters (X.520): a longer one is cut to its first label, and counts by its
// alternative names only.
Result<Certificate> make_ca(const CertificateRequest& request, RandomSource& random);
// Server and client authentication.
Result<Certificate> issue(const CertificateRequest& request, const Certificate& ca, RandomSource& random);

// What a PEM text with a certificate and its private key says. The key must be that of the first certificate.
struct CertificateFacts {
  std::string name;  // the first DNS name, else the common name
  UnixSeconds not_before = 0, not_after = 0;
};
Result<CertificateFacts> inspect_identity(const std::string& pem);

}  // namespace sealcast::crypto
