#include "crypto/certificate.hpp"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "crypto/openssl.hpp"

namespace sealcast::crypto {
namespace {

using X509Owner = std::unique_ptr<X509, decltype(&X509_free)>;

EvpKey read_key(const std::string& pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  return {PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free};
}

constexpr std::size_t k_longest_common_name = 64;  // X.520: ub-common-name

std::string short_name(const std::string& name) {
  if (name.size() <= k_longest_common_name) return name;
  return name.substr(0, std::min(name.find('.'), k_longest_common_name));
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
  auto common_name = short_name(request.common_name);
  return X509_set_version(certificate, 2) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), request.not_before) &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), request.not_after) &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1 &&
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

UnixSeconds seconds_of(const ASN1_TIME* time) {
  std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> epoch(ASN1_TIME_set(nullptr, 0), &ASN1_TIME_free);
  int days = 0, seconds = 0;
  if (!epoch || ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) return 0;
  return UnixSeconds{days} * 86400 + seconds;
}

std::string name_of(X509* certificate) {
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
            static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))};
  }
  char text[k_longest_common_name * 4 + 1] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof text);
  return text;
}

}  // namespace

Result<CertificateFacts> inspect_identity(const std::string& pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  X509Owner certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), &X509_free);
  if (!certificate) return fail(ErrorCode::usage, "it holds no certificate (PEM)");
  auto key = read_key(pem);
  if (!key) return fail(ErrorCode::usage, "it holds no private key (PEM)");
  if (X509_check_private_key(certificate.get(), key.get()) != 1)
    return fail(ErrorCode::usage, "the private key is not that of the certificate");
  return CertificateFacts{name_of(certificate.get()), seconds_of(X509_get0_notBefore(certificate.get())),
                          seconds_of(X509_get0_notAfter(certificate.get()))};
}

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
