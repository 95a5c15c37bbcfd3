// MLD versions 1 and 2 (RFC 2710 section 3, RFC 9777 section 5): ICMPv6 messages about groups.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   |     type      |     code      |           checksum            |
//   |       max response code       |           reserved            |
//   |                        group: 16 bytes                        |   a query of version 2 goes on
//
//   |   type 143    |   reserved    |           checksum            |
//   |           reserved            |       number of records       |   records
#pragma once

#include "codec/control_ip.h"
#include "codec/membership.h"

namespace sluice::codec::mld {

/** ICMPv6, in the last header before it. */
constexpr std::uint8_t kProtocol = 58;

namespace type {
constexpr std::uint8_t kQuery = 130;
constexpr std::uint8_t kReport1 = 131;
constexpr std::uint8_t kDone = 132;
constexpr std::uint8_t kReport2 = 143;
}  // namespace type

namespace detail {
constexpr IpAddress link_group(std::uint8_t last) noexcept {
  const std::array<std::uint8_t, 16> bytes{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last};
  return IpAddress::v6(bytes.data());
}
}  // namespace detail

constexpr IpAddress kAllNodes = detail::link_group(1);
constexpr IpAddress kAllRouters = detail::link_group(2);
/** All routers that speak version 2: where its reports go. */
constexpr IpAddress kReports = detail::link_group(0x16);

/** Whether the checksum of an ICMPv6 message is right; a raw ICMPv6 socket's kernel has seen to it. */
bool checksum_fits(Bytes message, const IpEnds& ends) noexcept;

/** Reads an ICMPv6 message, without bytes behind the packet's length. Its checksum is not looked at. */
MembershipMessage parse(Bytes message) noexcept;

/** What must not be so in the IP header of a query or report (RFC 9777 sections 5, 5.1.14 and 5.2.13):
 * routers discard messages from other than link-local addresses, or from further than the link. */
ControlFaults faults(const ControlIp& ip, const MembershipMessage& message) noexcept;

/** Where a query goes to (RFC 9777 section 5.1.15). */
IpAddress destination(const MembershipQuery& query) noexcept;

/**
 * Gives the length; 0 for what does not fit, or cannot be told in its version. Times are rounded down to what
 * can be told, at most to the longest. The checksum is computed, although a raw ICMPv6 socket's kernel does
 * so, too.
 */
std::size_t write_query(const MembershipQuery& query, const IpEnds& ends, MutableBytes out) noexcept;
/** The same; version 1 tells one record `is_exclude` or `to_include` without sources. */
std::size_t write_report(const MembershipReport& report, const IpEnds& ends, MutableBytes out) noexcept;

}  // namespace sluice::codec::mld
