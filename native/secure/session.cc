#include "secure/session.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "secure/pem.h"

namespace sluice::secure {

using Kind = Outcome::Kind;

namespace {

/** Where sealed records are gathered, so that a batch leaves with one call; empty between operations. */
struct Gather {
  std::array<std::uint8_t, 72 * 1024> bytes;
  std::size_t size;
};

// Zeroed by the loader, and one per thread: sessions take turns.
thread_local Gather gather;

}  // namespace

Session::Session(SslPtr ssl, std::shared_ptr<const void> context, int socket)
    : context_(std::move(context)), ssl_(std::move(ssl)), socket_(socket) {}

std::unique_ptr<Session> Session::accept(std::shared_ptr<const ServerContext> context, int socket) {
  SslPtr ssl = context->open();
  if (!ssl) return nullptr;
  std::unique_ptr<Session> session(new Session(std::move(ssl), std::move(context), socket));
  return session->attach() ? std::move(session) : nullptr;
}

std::unique_ptr<Session> Session::connect(std::shared_ptr<ClientContext> context, int socket,
                                          const std::string& server) {
  SslPtr ssl = context->open(server);
  if (!ssl) return nullptr;
  std::unique_ptr<Session> session(new Session(std::move(ssl), std::move(context), socket));
  return session->attach() ? std::move(session) : nullptr;
}

Session::~Session() {
  // Else OpenSSL forgets the session, and with it the resumption of it, because it was not shut down here.
  if (!failed_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

bool Session::attach() {
  BIO* const bio = BIO_new(socket_method());
  if (bio == nullptr) return false;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  return true;
}

Outcome Session::handshake() noexcept {
  if (failed_) return {Kind::failed, 0};
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  const Outcome outcome = conclude(result);
  // Also what tells the peer why it failed.
  const bool sent = flush();
  if (outcome.kind == Kind::closed || outcome.kind == Kind::truncated) {
    reason_ = "the peer closed the connection within the TLS handshake";
    return fail("");
  }
  return sent || failed_ ? outcome : Outcome{Kind::wants_write, 0};
}

Outcome Session::read(codec::MutableBytes into) noexcept {
  if (after_) return *std::exchange(after_, std::nullopt);
  if (failed_) return {Kind::failed, 0};
  std::size_t filled = 0;
  int result = 1;
  ERR_clear_error();
  while (filled < into.size()) {
    const std::size_t room = std::min<std::size_t>(into.size() - filled, kBatch);
    result = SSL_read(ssl_.get(), into.data() + filled, static_cast<int>(room));
    if (result <= 0) break;
    filled += static_cast<std::size_t>(result);
  }
  const Outcome end = conclude(result);
  // Answers to the peer's messages (RFC 8446 section 4.6.3); what does not go out now goes with the next
  // write.
  (void)flush();
  pending_ = filled > 0 && end.kind != Kind::wants_read;
  if (filled == 0) return end;
  if (!end.done() && end.kind != Kind::wants_read) after_ = end;
  return {Kind::done, filled};
}

Outcome Session::write(std::span<const codec::Bytes> pieces) noexcept {
  if (failed_) return {Kind::failed, 0};
  ERR_clear_error();
  std::size_t taken = 0;
  std::size_t offered = 0;
  bool ok = true;
  (void)flush();
  for (codec::Bytes piece : pieces) {
    offered += piece.size();
    while (!piece.empty() && ok && !unsent()) {
      const std::size_t n = seal(piece, ok);
      piece = piece.subspan(n);
      taken += n;
    }
  }
  const bool sent = flush();
  if (write_error_ != 0) return fail(std::strerror(write_error_));
  if (!ok) return fail(why());
  return {sent && taken == offered ? Kind::done : Kind::wants_write, taken};
}

/** Seals up to a batch, and sends whole batches at once. */
std::size_t Session::seal(codec::Bytes bytes, bool& ok) noexcept {
  const std::size_t size = std::min(bytes.size(), batch_);
  ok = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(size)) == static_cast<int>(size);
  if (!ok) return 0;
  if (size == batch_ && flush()) batch_ = kBatch;
  return size;
}

Outcome Session::shutdown() noexcept {
  if (failed_) return {Kind::failed, 0};
  ERR_clear_error();
  if ((SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) == 0) (void)SSL_shutdown(ssl_.get());
  ERR_clear_error();
  const bool sent = flush();
  if (write_error_ != 0) return fail(std::strerror(write_error_));
  return {sent ? Kind::done : Kind::wants_write, 0};
}

/** What OpenSSL's answer means; its queue is empty afterwards. */
Outcome Session::conclude(int result) noexcept {
  if (result > 0) return {Kind::done, 0};
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {Kind::wants_read, 0};
    case SSL_ERROR_WANT_WRITE:
      return {Kind::wants_write, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {Kind::closed, 0};
    default:
      break;
  }
  if (!ended_) return fail(why());
  (void)fail("the connection ended without close_notify");
  return {Kind::truncated, 0};
}

Outcome Session::fail(std::string reason) noexcept {
  failed_ = true;
  if (reason_.empty()) reason_ = std::move(reason);
  ERR_clear_error();
  return {Kind::failed, 0};
}

/** The sentence about what OpenSSL could not do. */
std::string Session::why() const {
  const long verdict = SSL_get_verify_result(ssl_.get());
  const bool verifies = SSL_is_server(ssl_.get()) == 0 && SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE;
  if (verifies && (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)) {
    // What was shown is no peer's certificate before it has been accepted.
    const STACK_OF(X509)* const chain = SSL_get0_verified_chain(ssl_.get());
    const X509* const shown = chain == nullptr ? nullptr : sk_X509_value(chain, 0);
    return "host name mismatch: expected a certificate for " + expected_server(ssl_.get()) +
           ", got one for " + (shown == nullptr ? "nobody" : names_of(*shown));
  }
  if (verifies && verdict != X509_V_OK) return X509_verify_cert_error_string(verdict);
  if (read_error_ != 0) return std::strerror(read_error_);
  const bool handshaking = SSL_is_init_finished(ssl_.get()) == 0;
  if (handshaking && ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER)
    return "wrong version number: the peer does not speak TLS 1.2 or 1.3 here";
  return take_error("the TLS connection broke");
}

codec::Bytes Session::waiting() const noexcept {
  return {reinterpret_cast<const std::uint8_t*>(unsent_.data()) + unsent_at_, unsent_.size() - unsent_at_};
}

/** Gathers sealed bytes, or puts them behind those that wait. */
void Session::emit(codec::Bytes sealed) noexcept {
  while (!sealed.empty()) {
    if (gather.size == gather.bytes.size()) (void)flush();
    if (unsent()) {
      if (unsent_.size() > kMostUnsent) write_error_ = ENOBUFS;
      if (write_error_ == 0) unsent_.append(reinterpret_cast<const char*>(sealed.data()), sealed.size());
      return;
    }
    const codec::Bytes fits = sealed.first(std::min(sealed.size(), gather.bytes.size() - gather.size));
    std::copy(fits.begin(), fits.end(), gather.bytes.begin() + static_cast<std::ptrdiff_t>(gather.size));
    gather.size += fits.size();
    sealed = sealed.subspan(fits.size());
  }
}

/** Sends what waits, or what was gathered (never are there both); true when nothing waits any more. */
bool Session::flush() noexcept {
  if (unsent()) {
    unsent_at_ += send(waiting());
  } else {
    const codec::Bytes gathered(gather.bytes.data(), std::exchange(gather.size, 0));
    const std::size_t sent = send(gathered);
    if (sent == gathered.size()) return true;
    batch_ = kFirstBatch;
    unsent_.assign(gathered.begin() + static_cast<std::ptrdiff_t>(sent), gathered.end());
  }
  // An idle connection, and one that is broken, holds no buffer.
  if (unsent() && write_error_ == 0) return false;
  std::string().swap(unsent_);
  unsent_at_ = 0;
  return true;
}

/** How many bytes the kernel took. */
std::size_t Session::send(codec::Bytes sealed) noexcept {
  std::size_t at = 0;
  while (at < sealed.size() && write_error_ == 0) {
    const ssize_t n = ::send(socket_, sealed.data() + at, sealed.size() - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      at += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      write_error_ = errno;
    }
  }
  return at;
}

const BIO_METHOD* Session::socket_method() noexcept {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice socket");
    BIO_meth_set_read(made, on_read);
    BIO_meth_set_write(made, on_write);
    BIO_meth_set_ctrl(made, on_control);
    return made;
  }();
  return method;
}

int Session::on_read(BIO* bio, char* into, int size) noexcept {
  auto* const self = static_cast<Session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  ssize_t n = 0;
  do {
    n = ::recv(self->socket_, into, static_cast<std::size_t>(size), MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
  if (n < 0 && errno != EAGAIN) self->read_error_ = errno;
  if (n == 0) self->ended_ = true;
  return static_cast<int>(n);
}

/** Never blocks and takes all: what the kernel does not take waits in the session. */
int Session::on_write(BIO* bio, const char* from, int size) noexcept {
  auto* const self = static_cast<Session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  self->emit({reinterpret_cast<const std::uint8_t*>(from), static_cast<std::size_t>(size)});
  return size;
}

long Session::on_control(BIO* bio, int command, long, void*) noexcept {
  if (command == BIO_CTRL_EOF) return static_cast<Session*>(BIO_get_data(bio))->ended_ ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

}  // namespace sluice::secure
