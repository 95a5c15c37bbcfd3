// Frames from and to a device, past the IP stack: packet(7). Needs CAP_NET_RAW.
#pragma once

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "kernel/fd.h"
#include "kernel/result.h"

namespace sluice::kernel {

/** What stands before IP on a device. */
enum class LinkLayer : std::uint8_t {
  ethernet,
  /** Nothing: TUN and other tunnels. */
  raw,
  /** Each frame's own device tells: all devices at once (those with Ethernet or no link header), or one of
   * another kind. */
  cooked,
};

struct PacketRxOptions {
  /** Empty for all devices. */
  std::string interface_name;
  /** Also frames that are for others. */
  bool promiscuous = true;
  /** Bytes kept of each frame. */
  std::uint32_t snaplen = 262'144;
  /** Asked for with SO_RCVBUFFORCE, else SO_RCVBUF (capped by net.core.rmem_max). */
  int receive_buffer = 32 << 20;
  /** Which frames the kernel takes at all (bpf(4), classic); none: all. To be there until open() returns. */
  std::span<const sock_filter> filter = {};
};

/** One frame; valid until the next call of PacketRx::receive(). */
struct Frame {
  /** With its link header where the layer is Ethernet, else from the network header on. */
  std::span<const std::uint8_t> data;
  /** On the wire, `data` may be shorter; without the VLAN tag that the kernel took out. */
  std::uint32_t original_length = 0;
  /** When the kernel took it, nanoseconds since 1970, UTC. */
  std::int64_t wall = 0;
  /** The outermost VLAN tag, which the kernel keeps beside the frame; `tpid` is 0 where there is none. */
  std::uint16_t tpid = 0;
  std::uint16_t tci = 0;
  /** The device it passed and, for cooked layers, what its header says. */
  sockaddr_ll from{};
};

/** A socket that captures. Owns its memory: batches of the snap length each. */
class PacketRx {
 public:
  /** INTERFACE_UNKNOWN or SYSTEM_CALL with a sentence that names what is missing. */
  static Result<std::unique_ptr<PacketRx>> open(const PacketRxOptions& options);
  PacketRx(const PacketRx&) = delete;
  PacketRx& operator=(const PacketRx&) = delete;
  ~PacketRx() = default;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] LinkLayer layer() const noexcept { return layer_; }
  /** What is there, without waiting: one recvmmsg. */
  [[nodiscard]] std::span<const Frame> receive() noexcept;
  /** True when the last receive() filled every buffer. */
  [[nodiscard]] bool more() const noexcept { return more_; }
  /** Frames that the socket's buffer had no room for, since it was opened (PACKET_STATISTICS). */
  [[nodiscard]] std::uint64_t drops() noexcept;

 private:
  static constexpr std::size_t kBatch = 32;
  struct Control {
    alignas(8) std::array<char, 128> bytes;
  };

  PacketRx(Fd socket, LinkLayer layer, bool all, std::uint32_t snaplen);
  [[nodiscard]] bool read_frame(std::size_t i, Frame& out) noexcept;
  void read_control(msghdr& message, Frame& out) noexcept;

  Fd socket_;
  LinkLayer layer_;
  const bool all_;
  /** Index of the loopback device: it shows every frame twice. */
  int loopback_;
  std::size_t snaplen_;
  bool more_ = false;
  std::uint64_t drops_ = 0;
  std::unique_ptr<std::uint8_t[]> buffers_;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<sockaddr_ll, kBatch> senders_{};
  std::array<Control, kBatch> controls_{};
  std::array<Frame, kBatch> frames_{};
};

/** What became of a frame. */
struct PacketTxOutcome {
  bool sent = false;
  /** The device's queue is full; try later. */
  bool full = false;
  int error = 0;
};

/** A socket that injects frames into one device as they are. */
class PacketTx {
 public:
  /** INTERFACE_UNKNOWN or SYSTEM_CALL with a sentence that names what is missing. */
  static Result<PacketTx> open(const std::string& interface_name);

  [[nodiscard]] LinkLayer layer() const noexcept { return layer_; }
  /** Of the device; zeros where it has none. */
  [[nodiscard]] const std::array<std::uint8_t, 6>& hardware_address() const noexcept { return address_; }
  /**
   * One frame from its pieces, with its link header where the device has one.
   * @param ethertype the protocol; of a tagged frame that of the outermost tag
   */
  PacketTxOutcome send(std::span<iovec> pieces, std::uint16_t ethertype) noexcept;

 private:
  Fd socket_;
  int index_ = 0;
  LinkLayer layer_ = LinkLayer::ethernet;
  std::array<std::uint8_t, 6> address_{};
};

}  // namespace sluice::kernel
