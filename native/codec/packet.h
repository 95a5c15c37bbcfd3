// What is in a captured packet: link header with VLAN tags, IP, UDP.
#pragma once

#include <array>
#include <optional>

#include "codec/bytes.h"
#include "codec/capture_format.h"

namespace sluice::codec {

constexpr std::uint16_t kEtherIpv4 = 0x0800;
constexpr std::uint16_t kEtherIpv6 = 0x86dd;

/** Whether packets of this link type can be looked into: Ethernet, Linux cooked v1 and v2, raw IP, BSD
 * loopback. */
[[nodiscard]] bool is_known_link_type(std::uint32_t link_type) noexcept;

/** A packet without its link header. */
struct LinkView {
  /** Below 0x600 it is the length of an IEEE 802.3 frame, whose LLC header follows; 0 where nothing tells. */
  std::uint16_t ethertype = 0;
  /** Tag control information (priority, VLAN id) of IEEE 802.1Q and 802.1ad tags, the outermost first. */
  std::array<std::uint16_t, 4> tags{};
  std::uint8_t tag_count = 0;
  /** What follows the link header; on Ethernet with its padding. */
  Bytes network;

  [[nodiscard]] bool is_ip() const noexcept { return ethertype == kEtherIpv4 || ethertype == kEtherIpv6; }
  [[nodiscard]] bool is_llc() const noexcept { return ethertype > 0 && ethertype < 0x600; }
};

/** What follows a link header that said `ethertype`: its VLAN tags are taken off, as far as they are whole.
 */
[[nodiscard]] LinkView parse_network(std::uint16_t ethertype, Bytes network) noexcept;

/** What the header of Linux cooked mode v2 is made from (LINKTYPE_LINUX_SLL2). */
struct CookedFacts {
  std::uint16_t ethertype = 0;
  std::uint32_t interface = 0;
  /** ARPHRD_ value. */
  std::uint16_t device_type = 0;
  /** To us, broadcast, multicast, to others, from us: 0 to 4. */
  std::uint8_t packet_type = 0;
  std::uint8_t address_length = 0;
  std::array<std::uint8_t, 8> address{};
};
constexpr std::size_t kCooked2Header = 20;

/** Writes kCooked2Header bytes. */
void write_cooked2(const CookedFacts& facts, std::uint8_t* out) noexcept;

/** The Ethernet address of a multicast group (RFC 1112 section 6.4, RFC 2464 section 7). */
std::array<std::uint8_t, 6> group_hardware_address(std::uint8_t version,
                                                   const std::array<std::uint8_t, 16>& group) noexcept;

/** Takes the link header off; none when the packet is too short or the link type is not a known one. */
[[nodiscard]] std::optional<LinkView> parse_link(Bytes packet, std::uint32_t link_type) noexcept;

/** IPv4 (RFC 791) or IPv6 (RFC 8200) up to the transport header. */
struct IpView {
  /** 4 or 6. */
  std::uint8_t version = 4;
  /** Network byte order; IPv4 uses the first four bytes. */
  std::array<std::uint8_t, 16> source{};
  std::array<std::uint8_t, 16> destination{};
  /** Of the transport: behind the extension headers of IPv6. */
  std::uint8_t protocol = 0;
  /** TTL or hop limit. */
  std::uint8_t hops = 0;
  /** It bears the option that makes routers look at it (RFC 2113, RFC 2711). */
  bool router_alert = false;
  /** One of several fragments (RFC 791 section 3.2, RFC 8200 section 4.5). */
  bool fragment = false;
  /** Not the first of them: it has no transport header. */
  bool later_fragment = false;
  /** The datagram reaches past the captured bytes. */
  bool cut = false;
  Bytes transport;

  [[nodiscard]] bool to_group() const noexcept {
    return version == 4 ? destination[0] >> 4 == 14 : destination[0] == 0xff;
  }
};

enum class IpFind : std::uint8_t { ip, other, cut };

/** Reads the IP header; `out` is set for IpFind::ip only. Checksums are not verified: on the sending host
 * they are filled in by the device, after the capture. */
IpFind parse_ip(const LinkView& link, IpView& out) noexcept;

/** A UDP datagram; `payload` points into the packet. */
struct UdpDatagram {
  std::uint8_t version = 4;
  std::array<std::uint8_t, 16> source{};
  std::array<std::uint8_t, 16> destination{};
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  Bytes payload;
};

enum class UdpFind : std::uint8_t {
  udp,
  /** Something else than UDP over IP. */
  other,
  /** A fragment of a datagram: not put together. */
  fragment,
  /** A length reaches past the captured bytes. */
  cut,
};

/** Looks for a UDP datagram in a packet. `out` is set for UdpFind::udp only. */
UdpFind find_udp(Bytes packet, std::uint32_t link_type, UdpDatagram& out) noexcept;
/** The same behind an IP header. */
UdpFind find_udp(const IpView& ip, UdpDatagram& out) noexcept;

/** Room for the headers that write_udp_headers() makes. */
constexpr std::size_t kMostUdpHeaders = 48;

/** What the headers of a datagram are made from; addresses as in UdpDatagram. */
struct UdpHeaders {
  UdpDatagram datagram;
  std::uint8_t ttl = 64;
  /** DSCP and ECN (RFC 2474, RFC 3168). */
  std::uint8_t traffic_class = 0;
};

/**
 * IP and UDP headers, checksums included, for a datagram whose own ones are not known any more.
 * @return their length: 28 or 48; 0 when the payload is too long for a datagram
 */
std::size_t write_udp_headers(const UdpHeaders& from,
                              std::array<std::uint8_t, kMostUdpHeaders>& out) noexcept;

}  // namespace sluice::codec
