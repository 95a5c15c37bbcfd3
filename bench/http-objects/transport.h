// A connection in the clear. The programs of this bench take their transport as a template argument: this one
// or the one of tls.h.
#pragma once

#include <netinet/tcp.h>

#include "../lib/net.h"

namespace sluice::bench {

class Plain {
 public:
  /** What all connections of a program share: nothing here. */
  struct Shared {};

  Plain(const Shared&, int fd) : fd_(fd) { set(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"); }

  [[nodiscard]] int fd() const { return fd_; }
  /** Whether application data may be exchanged; goes on with the handshake, else false with errno. */
  bool handshake() { return true; }
  /** Bytes read, 0 at the end, or -1 with errno. Never waits, as all below. */
  ssize_t read(void* to, std::size_t size) const { return recv(fd_, to, size, MSG_DONTWAIT); }
  /** As `read`, but the bytes are dropped in the kernel. */
  ssize_t discard(std::size_t size) const { return recv(fd_, nullptr, size, MSG_DONTWAIT | MSG_TRUNC); }
  /** Bytes taken, or -1 with errno. */
  ssize_t write(const void* from, std::size_t size) const {
    return send(fd_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  /** Whether a write that took less than it was given means that no more can be taken now. */
  static constexpr bool kShortIsFull = true;

 private:
  int fd_;
};

}  // namespace sluice::bench
