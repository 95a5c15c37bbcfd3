#include "secure/pem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>

namespace sluice::secure {

namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;

constexpr int kMostNames = 8;

kernel::Error unusable(std::string sentence) {
  return {"TLS_CERTIFICATE", std::move(sentence)};
}

/** Without it OpenSSL would ask for a passphrase on the terminal. */
int no_passphrase(char*, int, int, void*) noexcept {
  return -1;
}

BioPtr reader(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/** Whether the reading ended because there is no further PEM block, which is no error. */
bool at_end() noexcept {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

std::string text_of(const GENERAL_NAME& name) {
  if (name.type == GEN_DNS) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(name.d.dNSName)),
            static_cast<std::size_t>(ASN1_STRING_length(name.d.dNSName))};
  }
  if (name.type != GEN_IPADD) return "";
  const int size = ASN1_STRING_length(name.d.iPAddress);
  if (size != 4 && size != 16) return "";
  std::array<char, INET6_ADDRSTRLEN> text{};
  const auto* bytes = ASN1_STRING_get0_data(name.d.iPAddress);
  if (inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes, text.data(), text.size()) == nullptr) return "";
  return text.data();
}

}  // namespace

kernel::Result<std::vector<CertificatePtr>> read_certificates(std::string_view pem) {
  ERR_clear_error();
  const BioPtr bio = reader(pem);
  std::vector<CertificatePtr> found;
  while (CertificatePtr one{PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)}) {
    found.push_back(std::move(one));
  }
  if (!at_end()) return unusable("a certificate cannot be read: " + take_error("unknown reason"));
  ERR_clear_error();
  if (found.empty()) return unusable("expected a certificate in PEM form, found none");
  return found;
}

kernel::Result<KeyPtr> read_key(std::string_view pem) {
  if (pem.find("PRIVATE KEY-----") == std::string_view::npos)
    return unusable("expected a private key in PEM form, found none");
  ERR_clear_error();
  const BioPtr bio = reader(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key) return key;
  return unusable("the private key cannot be read (one with a passphrase is not supported): " +
                  take_error("unknown reason"));
}

std::string names_of(const X509& certificate) {
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string text;
  const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
  for (int i = 0; i < count && i < kMostNames; i++) {
    const std::string one = text_of(*sk_GENERAL_NAME_value(names.get(), i));
    if (!one.empty()) text += (text.empty() ? "" : ", ") + one;
  }
  ERR_clear_error();
  return text.empty() ? "nobody" : text;
}

std::string take_error(const char* otherwise) {
  const unsigned long error = ERR_peek_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return reason == nullptr ? otherwise : reason;
}

}  // namespace sluice::secure
