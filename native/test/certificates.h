// Certificates made while the tests run: an authority and what it signs.
#pragma once

#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <string>

#include "secure/openssl.h"
#include "secure/server_context.h"

namespace sluice::test {

/** What a certificate says. */
struct CertificateOptions {
  /** As in openssl.cnf: `DNS:a.example,IP:127.0.0.1`; none when empty. */
  std::string names;
  /** Seconds from now. */
  long from = -3600;
  long until = 3600;
  bool authority = false;
  /** Bits of an RSA key; 0 for an elliptic curve's. */
  unsigned rsa = 0;
};

/** A key and the certificate for it, signed by another, or by itself. */
class Identity {
 public:
  explicit Identity(const CertificateOptions& options, const Identity* issuer = nullptr) {
    key_.reset(options.rsa > 0 ? EVP_RSA_gen(options.rsa) : EVP_EC_gen("P-256"));
    certificate_.reset(X509_new());
    X509* const c = certificate_.get();
    static long serial = 1;
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c), options.from);
    X509_gmtime_adj(X509_getm_notAfter(c), options.until);
    X509_set_pubkey(c, key_.get());
    const std::string name = "test " + std::to_string(serial);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(issuer == nullptr ? c : issuer->certificate_.get()));
    extend(NID_basic_constraints, options.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!options.names.empty()) extend(NID_subject_alt_name, options.names.c_str());
    const int size = X509_sign(c, issuer == nullptr ? key_.get() : issuer->key_.get(), EVP_sha256());
    REQUIRE(size > 0);
  }
  [[nodiscard]] std::string certificate() const {
    const secure::BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate_.get());
    return text(bio.get());
  }
  [[nodiscard]] std::string key(const char* passphrase = nullptr) const {
    const secure::BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key_.get(), passphrase == nullptr ? nullptr : EVP_aes_128_cbc(),
                             nullptr, 0, nullptr, const_cast<char*>(passphrase));
    return text(bio.get());
  }
  bool install(SSL_CTX* context) const {
    return SSL_CTX_use_certificate(context, certificate_.get()) == 1 &&
           SSL_CTX_use_PrivateKey(context, key_.get()) == 1;
  }
  [[nodiscard]] secure::ServerCertificate server() const { return {certificate(), key()}; }

 private:
  void extend(int nid, const char* value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    REQUIRE(extension != nullptr);
    X509_add_ext(certificate_.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  static std::string text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
  }
  secure::KeyPtr key_;
  secure::CertificatePtr certificate_;
};

/** An authority. */
inline CertificateOptions authority() {
  CertificateOptions options;
  options.authority = true;
  return options;
}

}  // namespace sluice::test
