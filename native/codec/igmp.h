// IGMP versions 1, 2 and 3 (RFC 1112 appendix I, RFC 2236 section 2, RFC 9776 section 4).
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   |     type      | max resp code |           checksum            |
//   |                             group                             |   a query of version 3 goes on
//
//   |   type 0x22   |   reserved    |           checksum            |
//   |           reserved            |       number of records       |   records
#pragma once

#include "codec/control_ip.h"
#include "codec/membership.h"

namespace sluice::codec::igmp {

/** Protocol number in the IP header. */
constexpr std::uint8_t kProtocol = 2;

namespace type {
constexpr std::uint8_t kQuery = 0x11;
constexpr std::uint8_t kReport1 = 0x12;
constexpr std::uint8_t kReport2 = 0x16;
constexpr std::uint8_t kLeave = 0x17;
constexpr std::uint8_t kReport3 = 0x22;
}  // namespace type

constexpr IpAddress kAllSystems = IpAddress::v4(0xe0000001);
constexpr IpAddress kAllRouters = IpAddress::v4(0xe0000002);
/** All that speak version 3: where its reports go. */
constexpr IpAddress kReports = IpAddress::v4(0xe0000016);

/** Reads the payload of an IP packet, without bytes behind the packet's length. */
MembershipMessage parse(Bytes payload) noexcept;

/** What must not be so in the IP header of a query or report, which goes no further than its link (RFC 9776
 * sections 4 and 9); routers may be lenient about some of it. */
ControlFaults faults(const ControlIp& ip, const MembershipMessage& message) noexcept;

/** Where a query goes to (RFC 9776 section 4.1.12). */
IpAddress destination(const MembershipQuery& query) noexcept;

/**
 * Gives the length; 0 for what does not fit, or cannot be told in its version. Times are rounded down to what
 * can be told, at most to the longest; the time of version 2 is at least 100 ms, and that of version 1 is not
 * told.
 */
std::size_t write_query(const MembershipQuery& query, MutableBytes out) noexcept;
/** The same; versions 1 and 2 tell one record `is_exclude` or, but for version 1, `to_include`, without
 * sources. */
std::size_t write_report(const MembershipReport& report, MutableBytes out) noexcept;

}  // namespace sluice::codec::igmp
