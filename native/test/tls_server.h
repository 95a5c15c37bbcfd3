// A scripted HTTPS server: OpenSSL's own blocking calls over test::Server, as a peer of ours.
#pragma once

#include <functional>
#include <string>

#include "secure/openssl.h"
#include "test/certificates.h"
#include "test/http_server.h"

namespace sluice::test {

/** One connection, after its handshake. */
class TlsPeer {
 public:
  TlsPeer(Peer& peer, SSL_CTX* context) : peer_(peer), ssl_(SSL_new(context)) {
    const timeval patience{5, 0};
    setsockopt(peer.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL_set_fd(ssl_.get(), peer.fd());
    accepted_ = SSL_accept(ssl_.get()) == 1;
  }
  [[nodiscard]] bool accepted() const { return accepted_; }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  [[nodiscard]] std::string name() const {
    const char* const name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }
  std::string read_head() {
    std::string head;
    char c = 0;
    while (head.find("\r\n\r\n") == std::string::npos) {
      if (SSL_read(ssl_.get(), &c, 1) != 1) return "";
      head.push_back(c);
    }
    return head;
  }
  bool send(const std::string& bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  /** Says that nothing more comes. */
  void end() { (void)SSL_shutdown(ssl_.get()); }
  /** The connection below. */
  Peer& peer() { return peer_; }

 private:
  Peer& peer_;
  secure::SslPtr ssl_;
  bool accepted_ = false;
};

/** For Server: shakes hands and serves each connection. */
inline std::function<void(Peer&, int)> over_tls(const Identity& identity,
                                                std::function<void(TlsPeer&, int)> serve) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  REQUIRE(identity.install(context.get()));
  return [context, serve = std::move(serve)](Peer& peer, int index) {
    TlsPeer tls(peer, context.get());
    if (tls.accepted()) serve(tls, index);
    ERR_clear_error();
  };
}

}  // namespace sluice::test
