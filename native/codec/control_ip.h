// What control messages' receivers look at in the IP header before they believe them.
#pragma once

#include <optional>

#include "codec/ip_header.h"
#include "codec/packet.h"

namespace sluice::codec {

/** What a receiver of control messages knows of the IP header. */
struct ControlIp {
  IpEnds ends;
  /** TTL or hop limit. */
  std::uint8_t hops = 0;
  bool router_alert = false;
};

/** What is wrong with it; which of it matters the receiver decides. */
struct ControlFaults {
  /** It may have come from beyond the link. */
  bool hops = false;
  /** There is no router alert where the message must have one. */
  bool router_alert = false;
  bool source = false;
  bool destination = false;

  constexpr bool operator==(const ControlFaults&) const noexcept = default;
};

ControlIp control_ip(const IpView& ip) noexcept;

/** An IPv4 packet, as raw sockets give it. */
struct Ipv4Packet {
  ControlIp ip;
  std::uint8_t protocol = 0;
  /** As long as the header says. */
  Bytes payload;
};

/** None for what is not a whole packet, or one of several fragments. The header's checksum is not looked at:
 * the kernel has done that, and in packets that it gives to a router's daemon it may have used the field
 * otherwise. */
std::optional<Ipv4Packet> parse_ipv4(Bytes packet) noexcept;
/** Whether the checksum of an IPv4 header is right; false for what is none. */
bool header_checksum_fits(Bytes packet) noexcept;

}  // namespace sluice::codec
