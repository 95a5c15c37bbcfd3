// What is about to be sent: datagrams to many destinations, handed to the kernel together.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "kernel/address.h"

namespace sluice::kernel {

/** How datagrams are handed to the kernel. */
enum class Handover : std::uint8_t {
  /** A system call for each. */
  one_by_one,
  /** sendmmsg. */
  many,
  /** sendmmsg of messages that the kernel cuts (UDP_SEGMENT). */
  segmented
};

/** Where datagrams go, and what their IP header says; made once for each receiver. */
class UdpTarget {
 public:
  UdpTarget() noexcept = default;
  /**
   * `source` has the family of `destination`, or is none; it is for sockets that are bound to a wildcard.
   * DSCP 0 to 63 (RFC 2474).
   */
  UdpTarget(const Address& destination, std::uint8_t dscp, const std::optional<Address>& source) noexcept;

  [[nodiscard]] int family() const noexcept { return destination_.sin6_family; }
  [[nodiscard]] Address destination() const noexcept;
  void set_port(std::uint16_t port) noexcept;

 private:
  friend class UdpOutbox;
  static constexpr std::size_t kControlSize =
      CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(std::uint16_t));
  void put(int level, int type, const void* data, std::size_t size) noexcept;

  /** Of either family: the one for IPv4 is the shorter. */
  sockaddr_in6 destination_{};
  std::uint8_t destination_size_ = 0;
  std::uint8_t control_size_ = 0;
  alignas(cmsghdr) std::array<char, kControlSize> control_{};
};

/**
 * Messages for one socket at a time, each of one datagram, or of several of one size that go to one
 * destination. Nothing is copied but headers; what pieces point to stays until flush(). Takes nothing from
 * the heap after it was made.
 */
class UdpOutbox {
 public:
  static constexpr std::size_t kMessages = 64;
  static constexpr std::size_t kPieces = 1024;
  /** UDP_MAX_SEGMENTS of kernels before 6.9. */
  static constexpr std::size_t kMostSegments = 64;
  /** A UDP payload over IPv4 ends at 65,507 bytes (RFC 768). */
  static constexpr std::size_t kMostBytes = 65000;

  /** Told what the kernel did not take as it was. */
  class Observer {
   public:
    /** The message with this tag: `error` is 0 when it went out, but only cut into datagrams beforehand. */
    virtual void on_refused(std::uint32_t tag, int error) noexcept = 0;

   protected:
    ~Observer() = default;
  };

  UdpOutbox();

  /** Whether a message with so many pieces of its own still finds room. */
  [[nodiscard]] bool has_room(std::size_t pieces) const noexcept {
    return count_ < kMessages && pieces_used_ + pieces <= kPieces;
  }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  /** Pieces for the next message; has_room() was true. */
  [[nodiscard]] std::span<iovec> pieces(std::size_t n) noexcept {
    const std::span<iovec> taken(pieces_.get() + pieces_used_, n);
    pieces_used_ += n;
    return taken;
  }
  /** Bytes for the header of the piece that was taken with this index: 12. */
  [[nodiscard]] std::uint8_t* header(const iovec& piece) noexcept {
    return headers_.get() + static_cast<std::size_t>(&piece - pieces_.get()) * kHeaderSize;
  }
  /** `segment` is the size of all datagrams but the last, which may be shorter; 0 for a single one. */
  void add(const UdpTarget& target, std::span<iovec> pieces, std::uint16_t segment,
           std::uint32_t tag) noexcept;
  /** Sends what is there. Returns the number of system calls. */
  std::size_t flush(int fd, Handover handover, Observer& observer) noexcept;

 private:
  static constexpr std::size_t kHeaderSize = 12;
  struct Message {
    alignas(cmsghdr) std::array<char, UdpTarget::kControlSize> control;
    std::uint32_t tag;
    std::uint16_t segment;
  };
  std::size_t send_many(int fd, Observer& observer) noexcept;
  std::size_t send_each(int fd, Observer& observer) noexcept;
  std::size_t send_cut(int fd, std::size_t i, int& error) noexcept;

  std::size_t count_ = 0;
  std::size_t pieces_used_ = 0;
  std::unique_ptr<mmsghdr[]> heads_;
  std::unique_ptr<Message[]> messages_;
  std::unique_ptr<iovec[]> pieces_;
  std::unique_ptr<std::uint8_t[]> headers_;
};

}  // namespace sluice::kernel
