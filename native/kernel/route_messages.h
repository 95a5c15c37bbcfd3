// What rtnetlink tells of links, addresses and routes (rtnetlink(7)), as plain structs. No system calls.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel/address.h"

namespace sluice::kernel {

/** A link as RTM_NEWLINK tells it. */
struct LinkMessage {
  /** Of a bridge's own view of its port (AF_BRIDGE), which is no link of its own. */
  bool bridge_port = false;
  unsigned index = 0;
  std::string name;
  /** `bridge`, `veth`, `vlan`, …; empty for hardware. */
  std::string kind;
  std::uint32_t mtu = 0;
  /** Of the bridge or bond that it is part of; 0 for none. */
  unsigned master = 0;
  /** IFF_*. */
  unsigned flags = 0;
};

/** An address as RTM_NEWADDR tells it. */
struct AddressMessage {
  unsigned index = 0;
  AddressBytes address{};
  /** Of the prefix: 0 to 32 for IPv4, 0 to 128 for IPv6. */
  std::uint8_t bits = 0;
  /** IFA_F_*. */
  std::uint32_t flags = 0;
};

/** One way of a route. */
struct NextHop {
  unsigned interface_index = 0;
  /** Of its router, whose family may differ from the route's (RFC 8950); 0.0.0.0 or :: where the destination
   * is on the link. */
  AddressBytes gateway{};
  bool usable = true;
};

/** A route as RTM_NEWROUTE tells it. */
struct RouteMessage {
  int family = 0;
  AddressBytes prefix{};
  /** Of the prefix in AddressBytes: 96 more than written for IPv4. */
  unsigned bits = 0;
  /** RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE, … */
  std::uint8_t type = 0;
  /** RTPROT_KERNEL, RTPROT_STATIC, … */
  std::uint8_t protocol = 0;
  std::uint32_t table = 0;
  std::uint32_t metric = 0;
  /** Made by the kernel for one destination, from another route. */
  bool cloned = false;
  /** Empty where only a nexthop object's number is told (net.ipv4.nexthop_compat_mode=0). */
  std::vector<NextHop> next_hops;
};

/** None when it is too short or its attributes do not add up. */
[[nodiscard]] std::optional<LinkMessage> parse_link(std::span<const std::uint8_t> body);
[[nodiscard]] std::optional<AddressMessage> parse_address(std::span<const std::uint8_t> body);
[[nodiscard]] std::optional<RouteMessage> parse_route(std::span<const std::uint8_t> body);

/** An address attribute of 4 or 16 bytes, by `family`; none for other sizes. */
[[nodiscard]] std::optional<AddressBytes> address_of(int family,
                                                     std::span<const std::uint8_t> value) noexcept;

}  // namespace sluice::kernel
