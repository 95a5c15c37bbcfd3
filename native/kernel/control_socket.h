// Raw sockets of the protocols that routers and hosts speak about groups: IGMP, MLD and PIM.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "kernel/address.h"
#include "kernel/fd.h"
#include "kernel/result.h"
#include "kernel/upstream_joins.h"

namespace sluice::kernel {

enum class ControlProtocol : std::uint8_t {
  /** IPv4, protocol 2. */
  igmp,
  /** IPv6, ICMPv6 types 130, 131, 132 and 143. */
  mld,
  /** IPv4, protocol 103. */
  pim,
  /** IPv6, protocol 103. */
  pim6,
};

/** A message as it came; valid until the next call of receive(). */
struct ControlMessage {
  /** Behind the IP header and its options or extensions. */
  std::span<const std::uint8_t> payload;
  AddressBytes source{};
  AddressBytes destination{};
  /** Of the link that it came by; that of the bridge where it came by one of its ports. */
  unsigned interface_index = 0;
  /** TTL or hop limit. */
  std::uint8_t hop_limit = 0;
  /** RFC 2113, RFC 2711. */
  bool router_alert = false;
  /** No message, but a question of the kernel to a multicast router (RoutingSocket): `payload` is a struct
   * igmpmsg or mrt6msg and what is behind it. Nobody else can send one. */
  bool upcall = false;
};

/** A message to be sent. */
struct ControlSend {
  unsigned interface_index = 0;
  /** An address of this machine; 0.0.0.0 or :: for the kernel's choice. MLD wants a link-local one. */
  AddressBytes source{};
  AddressBytes destination{};
  /** 1 to 255. PIM's unicast messages (registers) go further than a link. */
  std::uint8_t hop_limit = 1;
  /** From its first byte, with its checksum; that of MLD is filled in by the kernel. */
  std::span<const std::uint8_t> payload;
};

/** Receives and sends messages of one protocol on all interfaces that are joined. For one thread. */
class ControlSocket {
 public:
  /** Most messages of one receive(). */
  static constexpr std::size_t kBatch = 64;

  /** With `keeper`, which outlives this, it has what was joined kept, as of `table`; the socket itself is
   * kept by whoever wants it. ROUTING_REFUSED without CAP_NET_RAW; SYSTEM_CALL. */
  static Result<std::unique_ptr<ControlSocket>> open(ControlProtocol protocol,
                                                     DescriptorStore* keeper = nullptr,
                                                     std::uint32_t table = 0);
  /** One that open() made in another process and a keeper held. SYSTEM_CALL when it is something else. */
  static Result<std::unique_ptr<ControlSocket>> adopt(ControlProtocol protocol, Fd fd,
                                                      DescriptorStore* keeper = nullptr,
                                                      std::uint32_t table = 0);
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;
  ~ControlSocket() = default;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] ControlProtocol protocol() const noexcept { return protocol_; }
  /** AF_INET or AF_INET6. */
  [[nodiscard]] int family() const noexcept;
  /**
   * Takes what is sent to the routers' groups on this interface: 224.0.0.2 and 224.0.0.22, ff02::2 and
   * ff02::16, 224.0.0.13, ff02::d. Reports to other groups (IGMPv1 and v2, MLDv1) come where the interface is
   * one of a RoutingSocket; of IGMP to that socket only. Errors as of UpstreamJoins::join().
   */
  std::optional<Error> join(unsigned interface_index);
  void leave(unsigned interface_index);
  /** What has joined: sockets of before a restart are adopted there, and let go when join() was called anew.
   */
  [[nodiscard]] UpstreamJoins& joins() noexcept { return joins_; }
  /** What is there, without waiting: one recvmmsg. Only checksums of MLD have been looked at. */
  [[nodiscard]] std::span<const ControlMessage> receive() noexcept;
  /** True when the last receive() filled every buffer: there may be more. */
  [[nodiscard]] bool more() const noexcept { return more_; }
  /** 0, or errno. With a router alert for IGMP and MLD; never looped back to this machine. */
  int send(const ControlSend& message) noexcept;
  /** Messages that the socket's buffer had no room for (SO_RXQ_OVFL). */
  [[nodiscard]] std::uint64_t drops() const noexcept { return drops_; }
  /** Messages that were cut, or whose IPv4 header was wrong. */
  [[nodiscard]] std::uint64_t malformed() const noexcept { return malformed_; }

 private:
  static constexpr std::size_t kBufferSize = 65536;
  static constexpr std::size_t kControlSize = 256;
  struct Slot {
    iovec vector{};
    sockaddr_storage sender{};
    alignas(8) std::array<char, kControlSize> control{};
  };

  ControlSocket(ControlProtocol protocol, Fd socket, DescriptorStore* keeper, std::uint32_t table);
  void prepare(std::size_t i) noexcept;
  [[nodiscard]] bool read(std::size_t i, ControlMessage& out) noexcept;
  void read_control(msghdr& message, ControlMessage& out) noexcept;

  const ControlProtocol protocol_;
  bool more_ = false;
  std::uint32_t last_overflow_ = 0;
  std::uint64_t drops_ = 0;
  std::uint64_t malformed_ = 0;
  std::size_t used_ = kBatch;
  Fd socket_;
  UpstreamJoins joins_;
  std::unique_ptr<std::uint8_t[]> buffers_;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<Slot, kBatch> slots_{};
  std::array<ControlMessage, kBatch> out_{};
};

/** Takes the IPv4 header off a packet as a raw socket gives it, and what it says into `out`. False when the
 * lengths do not fit each other. */
[[nodiscard]] bool read_ipv4(std::span<const std::uint8_t> packet, ControlMessage& out) noexcept;
/** Whether the options of an IPv4 header have a router alert (RFC 2113). */
[[nodiscard]] bool ipv4_router_alert(std::span<const std::uint8_t> options) noexcept;
/** Whether a hop-by-hop header, from its first byte, has a router alert (RFC 2711). */
[[nodiscard]] bool ipv6_router_alert(std::span<const std::uint8_t> header) noexcept;

}  // namespace sluice::kernel
