#include "crypto/certificate.hpp"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/openssl.hpp"

namespace sealcast::crypto {
namespace {

using X509Owner = std::unique_ptr<X509, decltype(&X509_free)>;

EvpKey read_key(const std::string& pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  return {PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free};
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), &X509_EXTENSION_free);
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool fill_common(X509* certificate, const CertificateRequest& request, EVP_PKEY* key, RandomSource& random) {
  std::array<std::uint8_t, 16> serial;
  random.fill(serial);
  serial[0] &= 0x7f;  // positive
  Number number(BN_bin2bn(serial.data(), 16, nullptr), &BN_clear_free);
  auto* name = X509_get_subject_name(certificate);
  return X509_set_version(certificate, 2) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), request.not_before) &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), request.not_after) &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(request.common_name.data()),
                                    static_cast<int>(request.common_name.size()), -1, 0) == 1 &&
         X509_set_pubkey(certificate, key) == 1;
}

std::string pem_of(X509* certificate) {
  Bio bio(BIO_new(BIO_s_mem()), &BIO_free_all);
  PEM_write_bio_X509(bio.get(), certificate);
  char* data = nullptr;
  auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (auto& name : names) out += (out.empty() ? "" : ",") + name;
  return out;
}

}  // namespace

Result<Certificate> make_ca(const CertificateRequest& request, RandomSource& random) {
  auto key_pem = PrivateKey::generate(random).pem();
  auto key = read_key(key_pem);
  X509Owner certificate(X509_new(), &X509_free);
  auto* c = certificate.get();
  bool good = key && fill_common(c, request, key.get(), random) &&
              X509_set_issuer_name(c, X509_get_subject_name(c)) == 1 &&
              add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
              add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_extension(c, c, NID_subject_key_identifier, "hash") && X509_sign(c, key.get(), EVP_sha256()) > 0;
  if (!good) return fail("could not make a CA certificate for \"" + request.common_name + "\"");
  return Certificate{pem_of(c), key_pem};
}

Result<Certificate> issue(const CertificateRequest& request, const Certificate& ca, RandomSource& random) {
  Bio bio(BIO_new_mem_buf(ca.certificate_pem.data(), static_cast<int>(ca.certificate_pem.size())), &BIO_free_all);
  X509Owner issuer(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), &X509_free);
  auto issuer_key = read_key(ca.key_pem);
  if (!issuer || !issuer_key) return fail(ErrorCode::usage, "the CA's certificate or key cannot be read");
  auto key_pem = PrivateKey::generate(random).pem();
  auto key = read_key(key_pem);
  X509Owner certificate(X509_new(), &X509_free);
  auto* c = certificate.get();
  bool good = key && fill_common(c, request, key.get(), random) &&
              X509_set_issuer_name(c, X509_get_subject_name(issuer.get())) == 1 &&
              add_extension(c, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(c, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
              add_extension(c, issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth") &&
              (request.alternative_names.empty() ||
               add_extension(c, issuer.get(), NID_subject_alt_name, joined(request.alternative_names))) &&
              add_extension(c, issuer.get(), NID_subject_key_identifier, "hash") &&
              add_extension(c, issuer.get(), NID_authority_key_identifier, "keyid") &&
              X509_sign(c, issuer_key.get(), EVP_sha256()) > 0;
  if (!good) return fail("could not issue a certificate for \"" + request.common_name + "\"");
  return Certificate{pem_of(c), key_pem};
}

}  // namespace sealcast::crypto
