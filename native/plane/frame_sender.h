// Captured packets back onto a device.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "codec/capture_reader.h"
#include "codec/packet.h"
#include "kernel/packet_socket.h"

namespace sluice::plane {

using HardwareAddress = std::array<std::uint8_t, 6>;

/** Frames into a device. */
struct FrameTarget {
  std::string interface_name;
  /** Whether Ethernet addresses are made fit: the source is the device's, the destination of a group the
   * group's. */
  bool rewrite = false;
  /** With `rewrite`: the destination of unicast packets; as captured where not given. */
  std::optional<HardwareAddress> unicast;
};

/** What became of a packet. */
enum class Sent : std::uint8_t {
  sent,
  /** The queue is full: try the same again later. */
  full,
  /** It cannot be sent: cut by the snap length, or of a kind that the device does not carry. */
  unsuitable,
  /** The kernel refused it; error() tells. */
  failed,
};

/**
 * Injects packets. Ethernet frames go as captured into an Ethernet device; others get an Ethernet header
 * (RFC 894, RFC 2464); a device without link header gets the IP packet.
 */
class FrameSender {
 public:
  /** Errors as of kernel::PacketTx::open(). */
  static kernel::Result<FrameSender> open(const FrameTarget& target);
  Sent send(const codec::CapturePacket& packet) noexcept;
  /** errno of the last failure. */
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  FrameSender(FrameTarget target, kernel::PacketTx socket)
      : target_(std::move(target)), socket_(std::move(socket)) {}
  void address(const codec::LinkView& link, std::uint8_t* out, bool captured) const noexcept;
  Sent hand_over(codec::Bytes head, codec::Bytes rest, std::uint16_t ethertype) noexcept;

  FrameTarget target_;
  kernel::PacketTx socket_;
  int error_ = 0;
};

}  // namespace sluice::plane
