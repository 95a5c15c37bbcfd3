// Certificates and keys as text (RFC 7468).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/result.h"
#include "secure/openssl.h"

namespace sluice::secure {

/** Every certificate of a PEM text, in its order; TLS_CERTIFICATE when there is none or one cannot be read.
 */
kernel::Result<std::vector<CertificatePtr>> read_certificates(std::string_view pem);

/** The private key of a PEM text, without a passphrase; else TLS_CERTIFICATE. */
kernel::Result<KeyPtr> read_key(std::string_view pem);

/** For whom a certificate is, for a person: `a.example, *.b.example, 192.0.2.1`; at most 8 names. */
std::string names_of(const X509& certificate);

/** The oldest entry of OpenSSL's error queue as a phrase, or `otherwise`; the queue is empty afterwards. */
std::string take_error(const char* otherwise);

}  // namespace sluice::secure
