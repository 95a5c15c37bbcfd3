// What a TLS server is: its certificates and how it negotiates.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel/result.h"
#include "secure/openssl.h"
#include "secure/ticket_keys.h"

namespace sluice::secure {

/** One identity of the server. */
struct ServerCertificate {
  /** PEM: the server's certificate first, then those that lead to the authority. */
  std::string chain;
  /** PEM, without a passphrase. */
  std::string key;
};

/**
 * Certificates, ticket keys and settings, unchangeable: to renew a certificate make another context with the
 * ticket keys of this one for the connections to come; those that there are keep theirs. TLS 1.2 (forward
 * secrecy and AEAD only) and 1.3, ALPN http/1.1, stateless session tickets, no renegotiation, no compression,
 * no early data. Any thread.
 */
class ServerContext {
 public:
  /**
   * @param certificates at least one; the first that is for the name that the client asked for (RFC 6066
   *   section 3) is shown, the first of all where none is
   * @param tickets null for new keys
   * @returns TLS_CERTIFICATE with a sentence when one of the certificates or keys cannot be used
   */
  static kernel::Result<std::shared_ptr<const ServerContext>> create(
      const std::vector<ServerCertificate>& certificates, std::shared_ptr<TicketKeys> tickets = nullptr);

  [[nodiscard]] const std::shared_ptr<TicketKeys>& tickets() const noexcept { return tickets_; }
  /** A server's half of a connection; null when memory has run out. */
  [[nodiscard]] SslPtr open() const noexcept;

 private:
  ServerContext() = default;
  bool configure(SSL_CTX* context);
  static int choose(SSL* ssl, int* alert, void* self) noexcept;

  std::shared_ptr<TicketKeys> tickets_;
  /** One per certificate. */
  std::vector<SslContextPtr> contexts_;
};

}  // namespace sluice::secure
