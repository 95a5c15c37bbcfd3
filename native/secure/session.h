// One TLS connection over a socket that does not block.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "codec/bytes.h"
#include "secure/client_context.h"
#include "secure/outcome.h"
#include "secure/server_context.h"

namespace sluice::secure {

/**
 * TLS over a connected socket, which stays the caller's and must outlive it. Nothing throws, nothing waits.
 *
 * What is written is taken as far as the kernel takes it, and at most one batch (64 KiB) more: those bytes
 * are sealed and wait here, and the caller need not give them again. That makes it safe to give other bytes
 * the next time, as a viewer that jumps does. For one thread at a time.
 */
class Session {
 public:
  /** A server's end of `socket`; null when memory has run out. */
  static std::unique_ptr<Session> accept(std::shared_ptr<const ServerContext> context, int socket);
  /** A client's end, towards a host name or a numeric address without brackets; null also when it is
   * neither. */
  static std::unique_ptr<Session> connect(std::shared_ptr<ClientContext> context, int socket,
                                          const std::string& server);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /** Without a word to the peer: see shutdown(). */
  ~Session();

  /** Again after `wants_read` and `wants_write`, until `done`. */
  Outcome handshake() noexcept;
  /** `done` with 1 to `into.size()` bytes, else none. Look at pending() before waiting for the socket. */
  Outcome read(codec::MutableBytes into) noexcept;
  /** See Outcome::bytes. No pieces: sends what waits here. */
  Outcome write(std::span<const codec::Bytes> pieces) noexcept;
  /** Tells the peer that nothing more will be written (close_notify). */
  Outcome shutdown() noexcept;

  /** The next read() may give something though the socket stays silent. */
  [[nodiscard]] bool pending() const noexcept { return pending_; }
  /** Sealed bytes wait here for the socket to be writable. */
  [[nodiscard]] bool unsent() const noexcept { return unsent_at_ < unsent_.size(); }
  /** The handshake was an abbreviated one. Valid once it is done. */
  [[nodiscard]] bool resumed() const noexcept { return SSL_session_reused(ssl_.get()) == 1; }
  /** `TLSv1.3` */
  [[nodiscard]] const char* version() const noexcept { return SSL_get_version(ssl_.get()); }
  /** As OpenSSL names it: `TLS_AES_256_GCM_SHA384`. */
  [[nodiscard]] const char* cipher() const noexcept { return SSL_get_cipher_name(ssl_.get()); }
  /** What went wrong, for a person; empty until an operation has `failed`. */
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  static constexpr std::size_t kFirstBatch = 16 * 1024;
  static constexpr std::size_t kBatch = 64 * 1024;
  /** A peer that makes us answer and does not read the answers is not waited for beyond this. */
  static constexpr std::size_t kMostUnsent = 256 * 1024;

  Session(SslPtr ssl, std::shared_ptr<const void> context, int socket);
  bool attach();
  Outcome conclude(int result) noexcept;
  Outcome fail(std::string reason) noexcept;
  std::string why() const;
  codec::Bytes waiting() const noexcept;
  std::size_t seal(codec::Bytes bytes, bool& ok) noexcept;
  bool flush() noexcept;
  void emit(codec::Bytes sealed) noexcept;
  std::size_t send(codec::Bytes sealed) noexcept;
  static const BIO_METHOD* socket_method() noexcept;
  static int on_read(BIO* bio, char* into, int size) noexcept;
  static int on_write(BIO* bio, const char* from, int size) noexcept;
  static long on_control(BIO* bio, int command, long number, void* pointer) noexcept;

  /** Keeps alive what OpenSSL's callbacks point to. */
  std::shared_ptr<const void> context_;
  SslPtr ssl_;
  const int socket_;
  bool ended_ = false;
  bool failed_ = false;
  // What the peer sends right behind its part of the handshake has been read with it.
  bool pending_ = true;
  /** What ended a read that gave bytes: told by the next. */
  std::optional<Outcome> after_;
  int read_error_ = 0;
  int write_error_ = 0;
  std::size_t batch_ = kFirstBatch;
  std::string unsent_;
  std::size_t unsent_at_ = 0;
  std::string reason_;
};

}  // namespace sluice::secure
