// A UDP socket that receives for many and sends for many.
#pragma once

#include <memory>

#include "kernel/fd.h"
#include "kernel/udp_rx.h"

namespace sluice::kernel {

struct UdpPortOptions {
  UdpRxOptions socket;
  /** TTL or hop limit of what is sent, 1 to 255. */
  std::uint8_t ttl = 64;
  /** Whether local sockets also get the multicast that is sent. */
  bool multicast_loop = false;
};

/** Bound, joined where its address is a group, and ready to send to anywhere. */
class UdpPort {
 public:
  /** Errors as of UdpRx::open(). `inbox` outlives the port. */
  static Result<std::unique_ptr<UdpPort>> open(const UdpPortOptions& options, UdpInbox& inbox);

  /** What is received on. */
  [[nodiscard]] int fd() const noexcept { return rx_->fd(); }
  /** What is sent from: fd(), or the socket that send_apart() has opened. */
  [[nodiscard]] int send_fd() const noexcept { return tx_ ? tx_.get() : fd(); }
  /**
   * Sends from a socket of the same address that receives nothing and that nobody watches: the kernel tells
   * whoever watches a socket of every datagram that has left, which is a tenth of what sending costs where
   * there is much to be sent. Where it cannot be had, nothing changes.
   */
  void send_apart() noexcept;
  [[nodiscard]] UdpRx& rx() noexcept { return *rx_; }
  [[nodiscard]] int family() const noexcept { return rx_->bound().ss_family; }
  /** Whether this kernel cuts what is sent into datagrams (UDP_SEGMENT), and puts together what comes
   * (UDP_GRO). */
  [[nodiscard]] bool segments() const noexcept { return segments_; }
  [[nodiscard]] bool coalesces() const noexcept { return coalesces_; }

 private:
  UdpPort(std::unique_ptr<UdpRx> rx, const UdpPortOptions& options) : rx_(std::move(rx)), options_(options) {}

  std::unique_ptr<UdpRx> rx_;
  Fd tx_;
  const UdpPortOptions options_;
  bool segments_ = false;
  bool coalesces_ = false;
};

}  // namespace sluice::kernel
