#include "codec/packet.h"

#include <algorithm>

#include "codec/ip_header.h"

namespace sluice::codec {

namespace {

constexpr std::uint8_t kUdp = 17;
constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kIpv6Header = 40;

/** Takes a header of `size` bytes off; false when there are fewer. */
bool skip(Bytes& rest, std::size_t size) noexcept {
  if (rest.size() < size) return false;
  rest = rest.subspan(size);
  return true;
}

bool is_tag(std::uint16_t type) noexcept {
  return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/** [tag(16)] EtherType(16) as often as there are tags; `link.ethertype` is that before the first. */
bool skip_tags(LinkView& link) noexcept {
  while (is_tag(link.ethertype) && link.tag_count < link.tags.size()) {
    if (link.network.size() < 4) return false;
    link.tags[link.tag_count++] = load16(link.network.data());
    link.ethertype = load16(link.network.data() + 2);
    link.network = link.network.subspan(4);
  }
  return true;
}

/** A header of `size` bytes whose EtherType is at `at`. */
bool skip_header(LinkView& link, std::size_t size, std::size_t at) noexcept {
  if (link.network.size() < size) return false;
  link.ethertype = load16(link.network.data() + at);
  link.network = link.network.subspan(size);
  return skip_tags(link);
}

/** The address family before each packet; AF_INET6 has another number on every BSD and on Linux. */
bool skip_loopback(LinkView& link) noexcept {
  if (link.network.size() < 4) return false;
  // In the byte order of the machine that captured (LINKTYPE_NULL) or of the network (LINKTYPE_LOOP): small
  // either way.
  const std::uint32_t raw = load32(link.network.data());
  const std::uint32_t family = raw < 0x10000 ? raw : __builtin_bswap32(raw);
  link.network = link.network.subspan(4);
  const bool v6 = family == 10 || family == 24 || family == 28 || family == 30;
  link.ethertype = family == 2 ? kEtherIpv4 : v6 ? kEtherIpv6 : std::uint16_t{0};
  return true;
}

bool read_raw(LinkView& link) noexcept {
  if (link.network.empty()) return false;
  const unsigned version = link.network[0] >> 4;
  link.ethertype = version == 4 ? kEtherIpv4 : version == 6 ? kEtherIpv6 : std::uint16_t{0};
  return true;
}

}  // namespace

bool is_known_link_type(std::uint32_t link_type) noexcept {
  switch (link_type) {
    case kLinkNull:
    case kLinkEthernet:
    case kLinkRawBsd:
    case kLinkRawOpenBsd:
    case kLinkRaw:
    case kLinkLoop:
    case kLinkCooked:
    case kLinkIpv4:
    case kLinkIpv6:
    case kLinkCooked2:
      return true;
    default:
      return false;
  }
}

std::optional<LinkView> parse_link(Bytes packet, std::uint32_t link_type) noexcept {
  if (!is_known_link_type(link_type)) return std::nullopt;
  LinkView link;
  link.network = packet;
  bool whole = false;
  switch (link_type) {
    case kLinkEthernet:  // destination(48) source(48) type(16)
      whole = skip_header(link, 14, 12);
      break;
    case kLinkCooked:  // packet type(16) device type(16) address length(16) address(64) protocol(16)
      whole = skip_header(link, 16, 14);
      break;
    case kLinkCooked2:  // protocol(16) reserved(16) interface(32) device type(16) packet type(8) length(8)
                        // address(64)
      whole = skip_header(link, 20, 0);
      break;
    case kLinkNull:
    case kLinkLoop:
      whole = skip_loopback(link);
      break;
    default:
      whole = read_raw(link);
  }
  return whole ? std::optional(link) : std::nullopt;
}

LinkView parse_network(std::uint16_t ethertype, Bytes network) noexcept {
  LinkView link;
  link.ethertype = ethertype;
  link.network = network;
  static_cast<void>(skip_tags(link));
  return link;
}

void write_cooked2(const CookedFacts& facts, std::uint8_t* out) noexcept {
  store16(out, facts.ethertype);
  store16(out + 2, 0);
  store32(out + 4, facts.interface);
  store16(out + 8, facts.device_type);
  out[10] = facts.packet_type;
  out[11] = facts.address_length;
  std::copy(facts.address.begin(), facts.address.end(), out + 12);
}

std::array<std::uint8_t, 6> group_hardware_address(std::uint8_t version,
                                                   const std::array<std::uint8_t, 16>& group) noexcept {
  if (version == 6) return {0x33, 0x33, group[12], group[13], group[14], group[15]};
  return {0x01, 0x00, 0x5e, static_cast<std::uint8_t>(group[1] & 0x7fU), group[2], group[3]};
}

namespace {

/** RFC 791 section 3.1. */
IpFind parse_ipv4(Bytes rest, IpView& out) noexcept {
  if (rest.size() < 20) return IpFind::cut;
  const std::size_t header = (rest[0] & 0x0fU) * 4U;
  if (rest[0] >> 4 != 4 || header < 20) return IpFind::other;
  // A total length of 0 is what a batch that the device cuts up later shows on the sending host.
  const std::size_t total = load16(rest.data() + 2) == 0 ? rest.size() : load16(rest.data() + 2);
  if (total < header) return IpFind::other;
  if (header > rest.size()) return IpFind::cut;
  out.version = 4;
  std::copy_n(rest.data() + 12, 4, out.source.begin());
  std::copy_n(rest.data() + 16, 4, out.destination.begin());
  out.protocol = rest[9];
  out.hops = rest[8];
  out.router_alert = has_router_alert4(rest.subspan(20, header - 20));
  out.fragment = (load16(rest.data() + 6) & 0x3fff) != 0;
  out.later_fragment = (load16(rest.data() + 6) & 0x1fff) != 0;
  out.cut = total > rest.size();
  out.transport = rest.subspan(header, std::min(total, rest.size()) - header);
  return IpFind::ip;
}

/** RFC 8200 section 4: the chain of extension headers up to the transport. */
IpFind skip_extensions(Bytes& rest, std::uint8_t next, IpView& out) noexcept {
  constexpr std::uint8_t kHopByHop = 0;
  constexpr std::uint8_t kRouting = 43;
  constexpr std::uint8_t kFragment = 44;
  constexpr std::uint8_t kDestination = 60;
  for (int headers = 0; headers < 8; headers++) {
    out.protocol = next;
    const bool fragment = next == kFragment;
    if (!fragment && next != kHopByHop && next != kRouting && next != kDestination) return IpFind::ip;
    if (rest.size() < 8) return IpFind::cut;
    if (fragment) {
      out.fragment = true;
      out.later_fragment = (load16(rest.data() + 2) & 0xfff8) != 0;
    }
    if (next == kHopByHop) out.router_alert = has_router_alert6(rest);
    next = rest[0];
    if (!skip(rest, fragment ? 8U : 8U + rest[1] * 8U)) return IpFind::cut;
    if (out.later_fragment) {
      out.protocol = next;
      return IpFind::ip;
    }
  }
  return IpFind::other;
}

/** RFC 8200 section 3. */
IpFind parse_ipv6(Bytes rest, IpView& out) noexcept {
  if (rest.size() < kIpv6Header) return IpFind::cut;
  if (rest[0] >> 4 != 6) return IpFind::other;
  const std::size_t there = rest.size() - kIpv6Header;
  const std::size_t length = load16(rest.data() + 4) == 0 ? there : load16(rest.data() + 4);
  out.version = 6;
  std::copy_n(rest.data() + 8, 16, out.source.begin());
  std::copy_n(rest.data() + 24, 16, out.destination.begin());
  out.cut = length > there;
  out.hops = rest[7];
  const std::uint8_t next = rest[6];
  rest = rest.subspan(kIpv6Header, std::min(length, there));
  const IpFind found = skip_extensions(rest, next, out);
  out.transport = rest;
  return found;
}

}  // namespace

IpFind parse_ip(const LinkView& link, IpView& out) noexcept {
  if (!link.is_ip()) return IpFind::other;
  IpView ip;
  const IpFind found =
      link.ethertype == kEtherIpv4 ? parse_ipv4(link.network, ip) : parse_ipv6(link.network, ip);
  if (found == IpFind::ip) out = ip;
  return found;
}

UdpFind find_udp(const IpView& ip, UdpDatagram& out) noexcept {
  if (ip.protocol != kUdp) return UdpFind::other;
  if (ip.fragment) return UdpFind::fragment;
  // RFC 768: source port(16) destination port(16) length(16) checksum(16)
  if (ip.cut || ip.transport.size() < kUdpHeader) return UdpFind::cut;
  const std::uint8_t* const header = ip.transport.data();
  const std::size_t length = load16(header + 4) == 0 ? ip.transport.size() : load16(header + 4);
  if (length < kUdpHeader) return UdpFind::other;
  if (length > ip.transport.size()) return UdpFind::cut;
  out.version = ip.version;
  out.source = ip.source;
  out.destination = ip.destination;
  out.source_port = load16(header);
  out.destination_port = load16(header + 2);
  out.payload = ip.transport.subspan(kUdpHeader, length - kUdpHeader);
  return UdpFind::udp;
}

UdpFind find_udp(Bytes packet, std::uint32_t link_type, UdpDatagram& out) noexcept {
  if (!is_known_link_type(link_type)) return UdpFind::other;
  const auto link = parse_link(packet, link_type);
  if (!link) return UdpFind::cut;
  IpView ip;
  const IpFind found = parse_ip(*link, ip);
  if (found != IpFind::ip) return found == IpFind::cut ? UdpFind::cut : UdpFind::other;
  return find_udp(ip, out);
}

namespace {

void write_ipv4(const UdpHeaders& from, std::size_t udp_length, MutableBytes out) noexcept {
  Ipv4Header header{
      {IpAddress::v4(from.datagram.source.data()), IpAddress::v4(from.datagram.destination.data())}};
  header.protocol = kUdp;
  header.ttl = from.ttl;
  header.traffic_class = from.traffic_class;
  header.do_not_fragment = true;
  std::array<std::uint8_t, kMostIpv4Header> bytes;
  std::copy_n(bytes.begin(), write_ipv4_header(header, udp_length, bytes), out.begin());
}

void write_ipv6(const UdpHeaders& from, std::size_t udp_length, MutableBytes out) noexcept {
  store32(out.data(), 0x60000000U | std::uint32_t{from.traffic_class} << 20);
  store16(out.data() + 4, static_cast<std::uint16_t>(udp_length));
  out[6] = kUdp;
  out[7] = from.ttl;
  std::copy_n(from.datagram.source.begin(), 16, out.begin() + 8);
  std::copy_n(from.datagram.destination.begin(), 16, out.begin() + 24);
}

}  // namespace

std::size_t write_udp_headers(const UdpHeaders& from,
                              std::array<std::uint8_t, kMostUdpHeaders>& out) noexcept {
  const UdpDatagram& d = from.datagram;
  const std::size_t ip = d.version == 4 ? 20 : kIpv6Header;
  const std::size_t length = kUdpHeader + d.payload.size();
  if (length + (d.version == 4 ? ip : 0) > 0xffff) return 0;
  d.version == 4 ? write_ipv4(from, length, out) : write_ipv6(from, length, out);
  std::uint8_t* const udp = out.data() + ip;
  store16(udp, d.source_port);
  store16(udp + 2, d.destination_port);
  store16(udp + 4, static_cast<std::uint16_t>(length));
  store16(udp + 6, 0);
  // The pseudo header (RFC 768, RFC 8200 section 8.1): addresses, length, protocol.
  const std::size_t address = d.version == 4 ? 4 : 16;
  std::uint32_t sum = add_words(kUdp + static_cast<std::uint32_t>(length), Bytes(d.source).first(address));
  sum = add_words(sum, Bytes(d.destination).first(address));
  sum = add_words(add_words(sum, {udp, kUdpHeader}), d.payload);
  const std::uint16_t checksum = folded(sum);
  store16(udp + 6, checksum == 0 ? std::uint16_t{0xffff} : checksum);
  return ip + kUdpHeader;
}

}  // namespace sluice::codec
