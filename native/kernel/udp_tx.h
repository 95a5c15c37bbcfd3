// Sending datagrams: one at a time, or many as one segmented super-packet.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "kernel/address.h"
#include "kernel/fd.h"
#include "kernel/result.h"

namespace sluice::kernel {

struct UdpTxOptions {
  Address destination;
  /** Interface for multicast; empty for the route's. */
  std::string interface_name;
  /** Numeric source address; empty for the kernel's choice. */
  std::string source_address;
  std::uint16_t source_port = 0;
  std::uint8_t ttl = 1;
  /** DSCP, 0 to 63 (RFC 2474). */
  std::uint8_t dscp = 0;
  bool loop = true;
  /** Takes datagrams from anyone, too, as answers: see UdpTx::receive(). */
  bool answers = false;
  /** For answers: asked for with SO_RCVBUFFORCE, else SO_RCVBUF; 0 leaves it to the kernel. */
  int receive_buffer = 0;
};

/** What one call to the kernel did. */
struct UdpTxOutcome {
  bool sent = false;
  /** The kernel refuses segmentation on this path; the datagrams must go one by one. */
  bool no_segmentation = false;
  int error = 0;
};

/** A UDP socket for one destination. */
class UdpTx {
 public:
  static constexpr std::size_t kMostOptions = 40;

  /** INTERFACE_UNKNOWN, ADDRESS_INVALID, ADDRESS_IN_USE or SYSTEM_CALL with a sentence that names the
   * setting. */
  static Result<UdpTx> open(const UdpTxOptions& options);

  /** One datagram from its pieces. */
  UdpTxOutcome send(std::span<iovec> pieces) noexcept;
  /** The same with IPv4 options (RFC 791), or an IPv6 destination options header (RFC 8200 section 4.6), of
   * up to kMostOptions bytes; see may_send_options(). */
  UdpTxOutcome send_with_options(std::span<iovec> pieces, std::span<const std::uint8_t> options) noexcept;
  /** Whether this process may (CAP_NET_RAW). */
  [[nodiscard]] bool may_send_options(std::span<const std::uint8_t> options) const noexcept;
  /** Datagrams of `segment` bytes each (the last may be shorter) from their pieces, by UDP_SEGMENT. */
  UdpTxOutcome send_segmented(std::span<iovec> pieces, std::uint16_t segment) noexcept;
  /** The next datagram that is there, without waiting, as much of it as `room` holds; empty when there is
   * none. With UdpTxOptions::answers from anyone, else of a unicast destination only; watch fd(). */
  std::span<std::uint8_t> receive(std::span<std::uint8_t> room) noexcept;
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  /** Whether this kernel knows UDP_SEGMENT (since Linux 4.18). */
  [[nodiscard]] bool can_segment() const noexcept { return can_segment_; }

 private:
  UdpTxOutcome send_message(msghdr& message) noexcept;

  Fd socket_;
  /** Empty where the socket is connected: a connected one hears none but its destination. */
  sockaddr_storage destination_{};
  socklen_t destination_size_ = 0;
  bool can_segment_ = false;
  bool v6_ = false;
};

}  // namespace sluice::kernel
