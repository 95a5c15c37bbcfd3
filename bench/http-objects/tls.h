// A connection under TLS 1.3, by the system's OpenSSL: one cipher and one curve, so that all servers do the
// same work.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "transport.h"

namespace sluice::bench {

class Tls {
 public:
  /** The context: a server's with a certificate and its key, a client's without. */
  class Shared {
   public:
    Shared() : Shared(TLS_client_method(), false) {}
    Shared(const char* certificate, const char* key) : Shared(TLS_server_method(), true) {
      must(SSL_CTX_use_certificate_chain_file(context_.get(), certificate) == 1, certificate);
      must(SSL_CTX_use_PrivateKey_file(context_.get(), key, SSL_FILETYPE_PEM) == 1, key);
    }
    [[nodiscard]] SSL_CTX* context() const { return context_.get(); }
    [[nodiscard]] bool server() const { return server_; }

   private:
    Shared(const SSL_METHOD* method, bool server) : context_(SSL_CTX_new(method)), server_(server) {
      SSL_CTX* const context = context_.get();
      must(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1, "TLS 1.3");
      must(SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1, "cipher");
      must(SSL_CTX_set1_groups_list(context, "X25519") == 1, "curve");
      SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                    SSL_MODE_RELEASE_BUFFERS);
    }
    struct Free {
      void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    };
    std::unique_ptr<SSL_CTX, Free> context_;
    bool server_;
  };

  Tls(const Shared& shared, int fd) : plain_({}, fd), ssl_(SSL_new(shared.context())) {
    must(SSL_set_fd(ssl_.get(), fd) == 1, "SSL_set_fd");
    shared.server() ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  }

  [[nodiscard]] int fd() const { return plain_.fd(); }
  bool handshake() {
    return SSL_is_init_finished(ssl_.get()) == 1 || result(SSL_do_handshake(ssl_.get()), 1) > 0;
  }
  ssize_t read(void* to, std::size_t size) {
    std::size_t taken = 0;
    const int outcome = SSL_read_ex(ssl_.get(), to, size, &taken);
    return result(outcome, taken);
  }
  /** There is no way past the decryption. */
  ssize_t discard(std::size_t size) {
    static std::vector<std::uint8_t> scratch(1 << 16);
    return read(scratch.data(), std::min(size, scratch.size()));
  }
  ssize_t write(const void* from, std::size_t size) {
    std::size_t taken = 0;
    const int outcome = SSL_write_ex(ssl_.get(), from, size, &taken);
    return result(outcome, taken);
  }
  static constexpr bool kShortIsFull = false;

 private:
  ssize_t result(int outcome, std::size_t taken) {
    if (outcome == 1) return static_cast<ssize_t>(taken);
    const int why = SSL_get_error(ssl_.get(), outcome);
    ERR_clear_error();
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
  }
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  Plain plain_;
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace sluice::bench
