#include "secure/server_context.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <cstring>

#include "secure/pem.h"
#include "secure/settings.h"

namespace sluice::secure {

namespace {

int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) noexcept {
  unsigned char* chosen = nullptr;
  const int found =
      SSL_select_next_proto(&chosen, size, kHttp11.data(), kHttp11.size(), offered, offered_size);
  *out = chosen;
  // RFC 7301 section 3.2: a client that speaks nothing of ours is told, not served something else.
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int use_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                   int seal) noexcept {
  auto* const keys = static_cast<TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const int answer = keys->use(name, iv, cipher, mac, seal == 1);
  // A ticket of TLS 1.3 is used once (RFC 8446 appendix C.4): the client gets another.
  const bool spent = seal == 0 && answer == 1 && SSL_version(ssl) >= TLS1_3_VERSION;
  return spent ? 2 : answer;
}

/** Gives the certificate, those above it and the key to the context; the sentence says what is wrong. */
std::string install(SSL_CTX* context, const ServerCertificate& certificate) {
  auto chain = read_certificates(certificate.chain);
  if (!chain.ok()) return chain.error().message;
  auto key = read_key(certificate.key);
  if (!key.ok()) return key.error().message;
  auto& certificates = chain.value();
  if (SSL_CTX_use_certificate(context, certificates.front().get()) != 1)
    return "the certificate cannot be used: " + take_error("unknown reason");
  if (SSL_CTX_use_PrivateKey(context, key.value().get()) != 1)
    return "the private key does not fit the certificate: " + take_error("unknown reason");
  for (std::size_t i = 1; i < certificates.size(); i++) {
    if (SSL_CTX_add1_chain_cert(context, certificates[i].get()) != 1)
      return "a certificate of the chain cannot be used: " + take_error("unknown reason");
  }
  return "";
}

}  // namespace

kernel::Result<std::shared_ptr<const ServerContext>> ServerContext::create(
    const std::vector<ServerCertificate>& certificates, std::shared_ptr<TicketKeys> tickets) {
  if (certificates.empty()) return kernel::Error{"TLS_CERTIFICATE", "expected at least one certificate"};
  // NOLINTNEXTLINE(modernize-make-shared): the constructor is private
  const std::shared_ptr<ServerContext> made(new ServerContext);
  made->tickets_ = tickets ? std::move(tickets) : std::make_shared<TicketKeys>();
  ERR_clear_error();
  for (const ServerCertificate& certificate : certificates) {
    SslContextPtr context(SSL_CTX_new(TLS_server_method()));
    if (!context || !made->configure(context.get()))
      return kernel::Error{"TLS_CERTIFICATE", "TLS cannot be set up: " + take_error("out of memory")};
    std::string wrong = install(context.get(), certificate);
    if (!wrong.empty()) return kernel::Error{"TLS_CERTIFICATE", std::move(wrong)};
    made->contexts_.push_back(std::move(context));
  }
  return std::shared_ptr<const ServerContext>(made);
}

bool ServerContext::configure(SSL_CTX* context) {
  if (!set_up(context)) return false;
  // A client without fast AES is better served by ChaCha20, which it then lists first.
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, TicketKeys::kPeriod / kernel::kSecond);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_app_data(context, tickets_.get());
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, use_ticket_key);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  SSL_CTX_set_tlsext_servername_callback(context, choose);
  SSL_CTX_set_tlsext_servername_arg(context, this);
  static constexpr unsigned char kScope[] = "sluice";
  return SSL_CTX_set_session_id_context(context, kScope, sizeof kScope - 1) == 1;
}

/** Shows the certificate for the name that the client asked for. */
int ServerContext::choose(SSL* ssl, int*, void* self) noexcept {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  for (const SslContextPtr& context : static_cast<ServerContext*>(self)->contexts_) {
    X509* const certificate = SSL_CTX_get0_certificate(context.get());
    if (X509_check_host(certificate, name, std::strlen(name), 0, nullptr) != 1) continue;
    SSL_set_SSL_CTX(ssl, context.get());
    break;
  }
  return SSL_TLSEXT_ERR_OK;
}

SslPtr ServerContext::open() const noexcept {
  SslPtr ssl(SSL_new(contexts_.front().get()));
  if (ssl) SSL_set_accept_state(ssl.get());
  return ssl;
}

}  // namespace sluice::secure
