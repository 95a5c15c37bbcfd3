// What the kernel tells a multicast router: upcalls, and its tables by rtnetlink. No system calls.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel/address.h"

namespace sluice::kernel {

/** A question or news of the kernel. */
struct Upcall {
  enum class Kind : std::uint8_t {
    /** Packets wait for a route (up to four, ten seconds). */
    no_route = 1,
    /** A packet came by `vif`, which is not the route's; at most one for a route every three seconds. */
    wrong_interface = 2,
    /** A packet was routed to the register interface. */
    whole_packet = 3,
    /** As wrong_interface, with the packet. */
    wrong_interface_packet = 4,
  };
  Kind kind = Kind::no_route;
  /** Where it came in, 0 to 31; of a whole packet the register interface. */
  std::uint16_t vif = 0;
  AddressBytes source{};
  AddressBytes group{};
  /** With its IP header; empty for the first two kinds. */
  std::span<const std::uint8_t> packet;
};

/** `message`: a struct igmpmsg or mrt6msg and what follows it. None when it is too short or says
 * what cannot be. */
[[nodiscard]] std::optional<Upcall> parse_upcall(int family, std::span<const std::uint8_t> message) noexcept;

/** A route as RTM_NEWROUTE of RTNL_FAMILY_IPMR or RTNL_FAMILY_IP6MR tells it, by indexes of interfaces. */
struct MulticastRouteMessage {
  int family = 0;
  std::uint32_t table = 0;
  AddressBytes source{};
  AddressBytes group{};
  /** 0 where it has none yet, or its interface is gone. */
  unsigned incoming = 0;
  std::vector<unsigned> outgoing;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t wrong_interface = 0;
  bool unresolved = false;
};

[[nodiscard]] std::optional<MulticastRouteMessage> parse_multicast_route(std::span<const std::uint8_t> body);

/** An interface of a table, as RTM_NEWLINK of RTNL_FAMILY_IPMR tells it. */
struct VifMessage {
  std::uint32_t vif = 0;
  /** 0 when its device is gone. */
  unsigned interface_index = 0;
  bool is_register = false;
};
struct VifTableMessage {
  std::uint32_t table = 0;
  std::vector<VifMessage> vifs;
};

[[nodiscard]] std::optional<VifTableMessage> parse_vif_table(std::span<const std::uint8_t> body);

/** A rule that says which table is asked about a device, as RTM_NEWRULE tells it. */
struct RuleMessage {
  std::uint32_t priority = 0;
  std::uint32_t table = 0;
  /** FRA_IIFNAME: what comes in by it; FRA_OIFNAME: what this machine sends by it; 0: about no device. */
  std::uint16_t direction = 0;
  std::string device;
};

[[nodiscard]] std::optional<RuleMessage> parse_rule(std::span<const std::uint8_t> body);

}  // namespace sluice::kernel
