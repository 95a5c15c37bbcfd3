#include "secure/transport.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::secure {

using Kind = Outcome::Kind;

bool Transport::accept(std::shared_ptr<const ServerContext> context) {
  session_ = Session::accept(std::move(context), socket_.get());
  return session_ != nullptr;
}

bool Transport::connect(std::shared_ptr<ClientContext> context, const std::string& server) {
  session_ = Session::connect(std::move(context), socket_.get(), server);
  return session_ != nullptr;
}

Outcome Transport::handshake() noexcept {
  return session_ ? session_->handshake() : Outcome{};
}

Outcome Transport::read(codec::MutableBytes into) noexcept {
  if (session_) return session_->read(into);
  const ssize_t n = ::recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT);
  if (n > 0) return {Kind::done, static_cast<std::size_t>(n)};
  if (n == 0) return {Kind::closed, 0};
  if (errno == EAGAIN || errno == EINTR) return {Kind::wants_read, 0};
  error_ = errno;
  return {Kind::failed, 0};
}

Outcome Transport::write(std::span<const codec::Bytes> pieces) noexcept {
  return session_ ? session_->write(pieces) : write_plain(pieces);
}

Outcome Transport::write_plain(std::span<const codec::Bytes> pieces) noexcept {
  std::array<iovec, kMostPieces> parts{};
  std::size_t offered = 0;
  std::size_t count = 0;
  for (const codec::Bytes& piece : pieces.first(std::min(pieces.size(), kMostPieces))) {
    parts[count++] = {const_cast<std::uint8_t*>(piece.data()), piece.size()};
    offered += piece.size();
  }
  if (offered == 0) return {};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = count;
  const ssize_t n = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n >= 0) {
    const auto taken = static_cast<std::size_t>(n);
    return {taken == offered ? Kind::done : Kind::wants_write, taken};
  }
  if (errno == EAGAIN || errno == EINTR) return {Kind::wants_write, 0};
  error_ = errno;
  return {Kind::failed, 0};
}

Outcome Transport::finish() noexcept {
  const Outcome told = session_ ? session_->shutdown() : Outcome{};
  if (told.done()) ::shutdown(socket_.get(), SHUT_WR);
  return told;
}

std::string Transport::reason() const {
  return session_ && !session_->reason().empty() ? session_->reason() : std::strerror(error_);
}

void Transport::reset() noexcept {
  session_.reset();
  socket_.reset();
  error_ = 0;
}

}  // namespace sluice::secure
