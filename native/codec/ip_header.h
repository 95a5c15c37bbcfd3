// IPv4 headers written, and the option that makes routers look at a packet (RFC 2113, RFC 2711).
#pragma once

#include "codec/checksum.h"

namespace sluice::codec {

/** The router alert option of IPv4: what IP_OPTIONS takes (RFC 2113 section 2.1). */
constexpr std::array<std::uint8_t, 4> kRouterAlert4{0x94, 4, 0, 0};

/** The hop-by-hop options header with a router alert for MLD (RFC 2711 section 2.1), filled up: what
 * IPV6_HOPOPTS takes, where the kernel sets the first byte, and in a packet that goes on with ICMPv6. */
constexpr std::array<std::uint8_t, 8> kRouterAlert6{58, 0, 5, 2, 0, 0, 1, 0};

/** Looks through the options of an IPv4 header, which are what follows its first 20 bytes. */
bool has_router_alert4(Bytes options) noexcept;
/** Looks through a hop-by-hop options header, its first two bytes included; of any value, MLD's or another.
 */
bool has_router_alert6(Bytes hop_by_hop) noexcept;

/** What an IPv4 header is made from (RFC 791 section 3.1). */
struct Ipv4Header {
  IpEnds ends;
  std::uint8_t protocol = 0;
  std::uint8_t ttl = 1;
  /** DSCP and ECN (RFC 2474, RFC 3168); control messages are of class CS6. */
  std::uint8_t traffic_class = 0xc0;
  bool router_alert = false;
  bool do_not_fragment = false;
};
constexpr std::size_t kLeastIpv4Header = 20;
constexpr std::size_t kMostIpv4Header = 24;

/** Writes 20 bytes, or with router alert 24, checksum included, for a payload of so many bytes; 0 when that
 * is too long. */
std::size_t write_ipv4_header(const Ipv4Header& header, std::size_t payload,
                              std::array<std::uint8_t, kMostIpv4Header>& out) noexcept;

}  // namespace sluice::codec
