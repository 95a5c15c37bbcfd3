// What a TLS client trusts, and the sessions that it can resume.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "kernel/result.h"
#include "secure/openssl.h"

namespace sluice::secure {

/** How a client tells servers apart. */
struct ClientOptions {
  /** Certificates of the authorities that are trusted, PEM, one after the other. Nobody else is. */
  std::string authorities;
  /** Takes any certificate: only where the configuration says so by name. */
  bool insecure = false;
};

/** Whom the certificate of a connection from ClientContext::open() must be for. */
std::string expected_server(SSL* ssl);

/**
 * Trust and settings of connections to servers, unchangeable; remembers the last session of each server. TLS
 * 1.2 (forward secrecy and AEAD only) and 1.3, ALPN http/1.1. Any thread.
 */
class ClientContext {
 public:
  /** TLS_CERTIFICATE with a sentence when the authorities cannot be read. */
  static kernel::Result<std::shared_ptr<ClientContext>> create(const ClientOptions& options);
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;
  ~ClientContext() = default;

  /**
   * A client's half of a connection to `server`, a host name or a numeric address without brackets: that
   * the certificate must be for, and that is asked for (names only, RFC 6066 section 3). Null when memory
   * has run out or the name is none.
   */
  [[nodiscard]] SslPtr open(const std::string& server);
  [[nodiscard]] bool insecure() const noexcept { return insecure_; }

 private:
  static constexpr std::size_t kMostSessions = 256;

  ClientContext() = default;
  bool configure(const ClientOptions& options);
  void resume(SSL* ssl, const std::string& server);
  static int remember(SSL* ssl, SSL_SESSION* session) noexcept;

  SslContextPtr context_;
  bool insecure_ = false;
  std::mutex mutex_;
  std::map<std::string, SslSessionPtr> sessions_;
};

}  // namespace sluice::secure
