// Receiving datagrams: joins, batches, kernel time stamps, drops.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "kernel/address.h"
#include "kernel/fd.h"
#include "kernel/reactor.h"
#include "kernel/result.h"

namespace sluice::kernel {

struct UdpRxOptions {
  /** Group, own unicast address, or wildcard address to bind. */
  std::string address;
  /** 1 to 65535, or 0 for any (tests). */
  std::uint16_t port = 0;
  /** Source of a source-specific join (RFC 4607); for a unicast address, the only sender listened to. Empty
   * for any. */
  std::string source;
  /** Interface for the join; empty for the kernel's choice (its route to the group). */
  std::string interface_name;
  /** Asked for with SO_RCVBUFFORCE, else SO_RCVBUF (capped by net.core.rmem_max). */
  int receive_buffer = 8 << 20;
  /** Whether the kernel may hand over several datagrams of a sender as one, with one time stamp (UDP_GRO). */
  bool coalesce = false;
  /** Whether datagrams come with what their headers said. */
  bool headers = false;
  /** Whether a group is joined at once, or by UdpRx::join() later. */
  bool joins = true;
};

/** What the headers of a datagram said. */
struct DatagramHeaders {
  sockaddr_storage source{};
  sockaddr_storage destination{};
  /** TTL or hop limit; 0 where the kernel did not tell. */
  std::uint8_t ttl = 0;
  /** DSCP and ECN. */
  std::uint8_t traffic_class = 0;
  /** When the kernel took it from the device, nanoseconds since 1970, UTC. */
  std::int64_t wall = 0;
  /** IPv4 options (RFC 791), or the IPv6 destination options header (RFC 8200 section 4.6), as they came. */
  std::array<std::uint8_t, 40> options{};
  std::uint8_t options_size = 0;
};

/** One datagram; valid until the next call of UdpRx::receive() of any socket with the same inbox. */
struct Datagram {
  std::span<const std::uint8_t> data;
  /** When the kernel took it from the device, CLOCK_MONOTONIC. */
  Nanos arrival = 0;
  /** Who sent it. */
  const sockaddr_storage* sender = nullptr;
  /** Null unless UdpRxOptions::headers asks for it. */
  const DatagramHeaders* headers = nullptr;
};

/**
 * Memory for what is received, of one socket or shared by all of a loop: 64 KiB of address space for every
 * message, touched as datagrams grow.
 */
class UdpInbox {
 public:
  /** Of a coalesced message: 64 (UDP_GRO_CNT_MAX), 128 from a sender on this host (UDP_MAX_SEGMENTS). */
  static constexpr std::size_t kMaxSegments = 128;

  /** `messages` taken by one system call, 1 to 256. */
  explicit UdpInbox(std::size_t messages);
  UdpInbox(const UdpInbox&) = delete;
  UdpInbox& operator=(const UdpInbox&) = delete;
  ~UdpInbox() = default;

 private:
  friend class UdpRx;
  static constexpr std::size_t kBufferSize = 65536;
  static constexpr std::size_t kControlSize = 256;
  /** One message's place. */
  struct Slot {
    iovec vector{};
    sockaddr_storage sender{};
    alignas(8) std::array<char, kControlSize> control{};
    DatagramHeaders head;
  };
  /** For so long the wall clock is taken not to be set. */
  static constexpr Nanos kOffsetKept = kMillisecond;
  void prepare(std::size_t i) noexcept;
  /** CLOCK_MONOTONIC less CLOCK_REALTIME. */
  Nanos realtime_offset(Nanos now) noexcept;

  Nanos offset_ = 0;
  Nanos offset_at_ = -kOffsetKept - 1;
  const std::size_t size_;
  /** Messages that must be prepared anew before they are used. */
  std::size_t used_;
  std::unique_ptr<std::uint8_t[]> buffers_;
  std::unique_ptr<mmsghdr[]> messages_;
  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<Datagram[]> datagrams_;
};

/** A UDP socket that receives. */
class UdpRx {
 public:
  /**
   * ADDRESS_INVALID (not numeric, families that differ, a source that is a group), ADDRESS_IN_USE,
   * INTERFACE_UNKNOWN or SYSTEM_CALL, with a sentence that names the setting. Without `inbox` it has one of
   * its own; else `inbox` outlives it.
   */
  static Result<std::unique_ptr<UdpRx>> open(const UdpRxOptions& options, UdpInbox* inbox = nullptr);
  /** Joins what it was opened for without; errors as of open(). Nothing for a unicast address. */
  std::optional<Error> join(const UdpRxOptions& options);
  UdpRx(const UdpRx&) = delete;
  UdpRx& operator=(const UdpRx&) = delete;
  ~UdpRx() = default;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  /** The port bound. */
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /** As bound. */
  [[nodiscard]] const sockaddr_storage& bound() const noexcept { return bound_; }
  /** What is there, without waiting: one recvmmsg. Empty when there is nothing. */
  [[nodiscard]] std::span<const Datagram> receive() noexcept;
  /** True when the last receive() filled every buffer, or met an error: there may be more. False when nothing
   * was left. */
  [[nodiscard]] bool more() const noexcept { return more_; }
  /** When the last receive() that brought something returned, CLOCK_MONOTONIC. */
  [[nodiscard]] Nanos received_at() const noexcept { return received_at_; }
  /** Datagrams that the socket's buffer had no room for, since it was opened (SO_RXQ_OVFL). */
  [[nodiscard]] std::uint64_t drops() const noexcept { return drops_; }

 private:
  static constexpr std::size_t kBatch = 16;
  struct Facts {
    Nanos arrival = 0;
    std::size_t segment = 0;
  };

  UdpRx(Fd socket, bool headers, UdpInbox* inbox);
  Facts read_facts(msghdr& message, Nanos now, Nanos realtime_offset) noexcept;
  void read_headers(std::size_t i, Nanos wall) noexcept;
  void note_drops(std::uint32_t total) noexcept;
  [[nodiscard]] bool from_source(const sockaddr_storage& sender) const noexcept;
  std::size_t split(std::size_t i, const Facts& facts, std::size_t count) noexcept;

  // What every call needs stands together.
  Fd socket_;
  std::uint16_t port_ = 0;
  const bool headers_;
  bool more_ = false;
  bool one_source_ = false;
  std::uint32_t last_overflow_ = 0;
  std::uint64_t drops_ = 0;
  Nanos received_at_ = 0;
  std::unique_ptr<UdpInbox> own_;
  UdpInbox& inbox_;
  /** As bound: the destination of every datagram where it is no wildcard. */
  sockaddr_storage bound_{};
  /** Where the kernel does not choose by source. */
  sockaddr_storage only_source_{};
};

}  // namespace sluice::kernel
