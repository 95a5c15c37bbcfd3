#include "codec/control_ip.h"

namespace sluice::codec {

ControlIp control_ip(const IpView& ip) noexcept {
  const auto address = [&ip](const std::array<std::uint8_t, 16>& bytes) {
    return ip.version == 4 ? IpAddress::v4(bytes.data()) : IpAddress::v6(bytes.data());
  };
  return {{address(ip.source), address(ip.destination)}, ip.hops, ip.router_alert};
}

std::optional<Ipv4Packet> parse_ipv4(Bytes packet) noexcept {
  LinkView link;
  link.ethertype = kEtherIpv4;
  link.network = packet;
  IpView ip;
  if (parse_ip(link, ip) != IpFind::ip || ip.fragment || ip.cut) return std::nullopt;
  return Ipv4Packet{control_ip(ip), ip.protocol, ip.transport};
}

bool header_checksum_fits(Bytes packet) noexcept {
  if (packet.size() < kLeastIpv4Header) return false;
  const std::size_t header = (packet[0] & 0x0fU) * 4U;
  return header >= kLeastIpv4Header && header <= packet.size() &&
         folded(add_words(0, packet.first(header))) == 0;
}

}  // namespace sluice::codec
