#include "secure/client_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>

#include "secure/pem.h"
#include "secure/settings.h"

namespace sluice::secure {

namespace {

/** One `recv` brings what has come of a segment, not one record of it. */
constexpr std::size_t kReadAhead = 64 * 1024;

bool is_address(const std::string& text) noexcept {
  std::array<unsigned char, 16> bytes{};
  return inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

struct FreedText {
  void operator()(char* text) const noexcept { OPENSSL_free(text); }
};

/** Whom the certificate must be for (RFC 9110 section 4.3.4, RFC 6125). */
bool expect(SSL* ssl, const std::string& server) noexcept {
  X509_VERIFY_PARAM* const param = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_address(server)) return X509_VERIFY_PARAM_set1_ip_asc(param, server.c_str()) == 1;
  return SSL_set1_host(ssl, server.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, server.c_str()) == 1;
}

}  // namespace

std::string expected_server(SSL* ssl) {
  X509_VERIFY_PARAM* const param = SSL_get0_param(ssl);
  if (const char* host = X509_VERIFY_PARAM_get0_host(param, 0)) return host;
  const std::unique_ptr<char, FreedText> address(X509_VERIFY_PARAM_get1_ip_asc(param));
  return address ? address.get() : "";
}

kernel::Result<std::shared_ptr<ClientContext>> ClientContext::create(const ClientOptions& options) {
  // NOLINTNEXTLINE(modernize-make-shared): the constructor is private
  std::shared_ptr<ClientContext> made(new ClientContext);
  ERR_clear_error();
  made->context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!made->context_ || !made->configure(options))
    return kernel::Error{"TLS_CERTIFICATE", "TLS cannot be set up: " + take_error("out of memory")};
  if (options.authorities.empty()) return made;
  auto authorities = read_certificates(options.authorities);
  if (!authorities.ok()) return authorities.error();
  X509_STORE* const store = SSL_CTX_get_cert_store(made->context_.get());
  for (const CertificatePtr& one : authorities.value()) {
    if (X509_STORE_add_cert(store, one.get()) != 1)
      return kernel::Error{"TLS_CERTIFICATE", "an authority cannot be used: " + take_error("unknown reason")};
  }
  return made;
}

bool ClientContext::configure(const ClientOptions& options) {
  SSL_CTX* const context = context_.get();
  insecure_ = options.insecure;
  SSL_CTX_set_verify(context, insecure_ ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  // A pinned authority need not be a root.
  X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, remember);
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadAhead);
  return set_up(context) && SSL_CTX_set_alpn_protos(context, kHttp11.data(), kHttp11.size()) == 0;
}

SslPtr ClientContext::open(const std::string& server) {
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl || !expect(ssl.get(), server)) {
    ERR_clear_error();
    return nullptr;
  }
  SSL_set_connect_state(ssl.get());
  resume(ssl.get(), server);
  return ssl;
}

/** A session of TLS 1.3 is used once only (RFC 8446 appendix C.4). */
void ClientContext::resume(SSL* ssl, const std::string& server) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(server);
  if (found == sessions_.end()) return;
  SSL_set_session(ssl, found->second.get());
  if (SSL_SESSION_get_protocol_version(found->second.get()) >= TLS1_3_VERSION) sessions_.erase(found);
}

int ClientContext::remember(SSL* ssl, SSL_SESSION* session) noexcept {
  auto* const self = static_cast<ClientContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const std::string server = expected_server(ssl);
  const std::lock_guard lock(self->mutex_);
  if (self->sessions_.size() >= kMostSessions) self->sessions_.erase(self->sessions_.begin());
  // 1 takes over the reference.
  self->sessions_[server].reset(session);
  return 1;
}

}  // namespace sluice::secure
