// What both sides of TLS have in common here.
#pragma once

#include <array>

#include "secure/openssl.h"

namespace sluice::secure {

/** ALPN protocol list (RFC 7301 section 3.1): http/1.1. */
inline constexpr std::array<unsigned char, 9> kHttp11{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/** As OpenSSL's own, but AES with the shorter key first: safe enough for media, and cheaper per byte. */
inline constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
inline constexpr const char* kCiphers12 = "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20";

/** TLS 1.2 and 1.3, forward secrecy and AEAD only, keys of 112 bits of security at least (NIST SP 800-57). */
inline bool set_up(SSL_CTX* context) noexcept {
  SSL_CTX_set_security_level(context, 2);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_ciphersuites(context, kCiphers13) == 1 &&
         SSL_CTX_set_cipher_list(context, kCiphers12) == 1 &&
         SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1;
}

}  // namespace sluice::secure
