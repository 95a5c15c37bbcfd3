#include "codec/packet_filter.h"

#include <algorithm>

#include "codec/rtp.h"

namespace sluice::codec {

namespace {

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kIgmp = 2;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmpv6 = 58;
constexpr std::uint8_t kPim = 103;

/** RFC 2710 section 3.1, RFC 3810 section 5.2. */
bool is_mld(const IpView& ip) noexcept {
  if (ip.protocol != kIcmpv6 || ip.later_fragment || ip.transport.empty()) return false;
  const std::uint8_t type = ip.transport[0];
  return (type >= 130 && type <= 132) || type == 143;
}

/** RTCP has packet types where RTP has the marker and the payload type (RFC 5761 section 4). */
bool is_realtime(const IpView& ip, bool control) noexcept {
  UdpDatagram datagram;
  if (find_udp(ip, datagram) != UdpFind::udp) return false;
  const Bytes payload = datagram.payload;
  if (payload.size() < 4 || payload[0] >> 6 != 2) return false;
  const bool rtcp = payload[1] >= 192 && payload[1] <= 223;
  return control ? rtcp : !rtcp && parse_rtp(payload).has_value();
}

bool is(Protocol protocol, const IpView& ip) noexcept {
  switch (protocol) {
    case Protocol::igmp:
      return ip.protocol == kIgmp;
    case Protocol::mld:
      return is_mld(ip);
    case Protocol::pim:
      return ip.protocol == kPim;
    case Protocol::icmp:
      return ip.protocol == (ip.version == 4 ? kIcmp : kIcmpv6);
    case Protocol::tcp:
      return ip.protocol == kTcp;
    case Protocol::udp:
      return ip.protocol == kUdp;
    default:
      return is_realtime(ip, protocol == Protocol::rtcp);
  }
}

bool has_port(const IpView& ip, const std::vector<std::uint16_t>& ports) noexcept {
  const bool ported = ip.protocol == kUdp || ip.protocol == kTcp;
  if (!ported || ip.later_fragment || ip.transport.size() < 4) return false;
  const std::uint16_t from = load16(ip.transport.data());
  const std::uint16_t to = load16(ip.transport.data() + 2);
  return std::any_of(ports.begin(), ports.end(), [=](std::uint16_t p) { return p == from || p == to; });
}

}  // namespace

bool Prefix::contains(std::uint8_t of_version, const std::array<std::uint8_t, 16>& other) const noexcept {
  if (version != of_version) return false;
  const std::size_t whole = bits / 8U;
  if (!std::equal(address.begin(), address.begin() + whole, other.begin())) return false;
  const unsigned rest = bits % 8U;
  return rest == 0 || ((address[whole] ^ other[whole]) & (0xff00U >> rest) & 0xffU) == 0;
}

std::optional<Protocol> protocol_of(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 8> kNames = {"igmp", "mld", "pim", "icmp",
                                                      "tcp",  "udp", "rtp", "rtcp"};
  const auto* const at = std::find(kNames.begin(), kNames.end(), name);
  if (at == kNames.end()) return std::nullopt;
  return static_cast<Protocol>(at - kNames.begin());
}

bool PacketFilter::empty() const noexcept {
  return groups.empty() && hosts.empty() && ports.empty() && protocols.empty() && vlans.empty();
}

bool PacketFilter::matches(const LinkView& link) const noexcept {
  const auto tagged = [&link](std::uint16_t vlan) {
    const auto end = link.tags.begin() + link.tag_count;
    return std::any_of(link.tags.begin(), end, [vlan](std::uint16_t tag) { return (tag & 0xfff) == vlan; });
  };
  if (!vlans.empty() && !std::any_of(vlans.begin(), vlans.end(), tagged)) return false;
  if (groups.empty() && hosts.empty() && ports.empty() && protocols.empty()) return true;
  IpView ip;
  if (parse_ip(link, ip) != IpFind::ip) return false;
  const auto to = [&ip](const Prefix& p) { return p.contains(ip.version, ip.destination); };
  const auto from_or_to = [&](const Prefix& p) { return p.contains(ip.version, ip.source) || to(p); };
  const auto of = [&ip](Protocol p) { return is(p, ip); };
  return (groups.empty() || std::any_of(groups.begin(), groups.end(), to)) &&
         (hosts.empty() || std::any_of(hosts.begin(), hosts.end(), from_or_to)) &&
         (ports.empty() || has_port(ip, ports)) &&
         (protocols.empty() || std::any_of(protocols.begin(), protocols.end(), of));
}

}  // namespace sluice::codec
