// A connected socket, plain or with TLS, behind one set of operations.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "codec/bytes.h"
#include "kernel/fd.h"
#include "secure/outcome.h"
#include "secure/session.h"

namespace sluice::secure {

/** Owns a connected socket that does not block. Plain ones cost one system call per operation, nothing else.
 */
class Transport {
 public:
  /** Most pieces of one write. */
  static constexpr std::size_t kMostPieces = 8;

  /** No socket. */
  Transport() noexcept = default;
  /** Plain until a session is given. */
  explicit Transport(kernel::Fd socket) noexcept : socket_(std::move(socket)) {}

  /** Speaks TLS from now on, as a server; false when memory has run out. */
  bool accept(std::shared_ptr<const ServerContext> context);
  /** Speaks TLS from now on, as a client of a host name or numeric address; false when it is neither. */
  bool connect(std::shared_ptr<ClientContext> context, const std::string& server);
  /** Again after `wants_read` and `wants_write`, until `done`; at once without TLS. */
  Outcome handshake() noexcept;
  /** `done` with 1 to `into.size()` bytes, else none. Look at pending() before waiting for the socket. */
  Outcome read(codec::MutableBytes into) noexcept;
  /** At most kMostPieces; see Outcome::bytes. None: sends on what waits. */
  Outcome write(std::span<const codec::Bytes> pieces) noexcept;
  Outcome write(codec::Bytes piece) noexcept { return write(std::span(&piece, 1)); }
  /** Tells the peer that nothing more will be written; TLS: by close_notify before the end. Again after
   * `wants_write`. */
  Outcome finish() noexcept;

  [[nodiscard]] int get() const noexcept { return socket_.get(); }
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
  /** The next read() may give something though the socket stays silent. */
  [[nodiscard]] bool pending() const noexcept { return session_ != nullptr && session_->pending(); }
  /** Bytes that were taken wait here for the socket to be writable. */
  [[nodiscard]] bool unsent() const noexcept { return session_ != nullptr && session_->unsent(); }
  /** Why an operation `failed`, for a person. */
  [[nodiscard]] std::string reason() const;
  /** Null without TLS. */
  [[nodiscard]] const Session* session() const noexcept { return session_.get(); }
  /** Closes the socket, without a word to the peer. */
  void reset() noexcept;

 private:
  Outcome write_plain(std::span<const codec::Bytes> pieces) noexcept;

  kernel::Fd socket_;
  std::unique_ptr<Session> session_;
  int error_ = 0;
};

}  // namespace sluice::secure
