#include "codec/ip_header.h"

namespace sluice::codec {

namespace {

/** IPv4: end and no operation are single bytes, all others have a length (RFC 791 section 3.1). */
constexpr std::uint8_t kEnd = 0;
constexpr std::uint8_t kNoOperation = 1;
/** IPv6: Pad1 is a single byte (RFC 8200 section 4.2). */
constexpr std::uint8_t kPad1 = 0;
constexpr std::uint8_t kAlert6 = 5;

}  // namespace

bool has_router_alert4(Bytes options) noexcept {
  while (!options.empty() && options[0] != kEnd) {
    const bool single = options[0] == kNoOperation;
    if (!single && (options.size() < 2 || options[1] < 2)) return false;
    const std::size_t size = single ? 1 : options[1];
    if (size > options.size()) return false;
    if (options[0] == kRouterAlert4[0] && size == kRouterAlert4.size()) return true;
    options = options.subspan(size);
  }
  return false;
}

bool has_router_alert6(Bytes hop_by_hop) noexcept {
  if (hop_by_hop.size() < 8 || hop_by_hop.size() < 8U + hop_by_hop[1] * 8U) return false;
  Bytes options = hop_by_hop.subspan(2, 6U + hop_by_hop[1] * 8U);
  while (!options.empty()) {
    const bool single = options[0] == kPad1;
    if (!single && options.size() < 2) return false;
    const std::size_t size = single ? 1 : 2U + options[1];
    if (size > options.size()) return false;
    if (options[0] == kAlert6 && size == 4) return true;
    options = options.subspan(size);
  }
  return false;
}

std::size_t write_ipv4_header(const Ipv4Header& header, std::size_t payload,
                              std::array<std::uint8_t, kMostIpv4Header>& out) noexcept {
  const std::size_t size = header.router_alert ? kMostIpv4Header : kLeastIpv4Header;
  if (payload > 0xffff - size) return 0;
  out.fill(0);
  out[0] = static_cast<std::uint8_t>(0x40 | size / 4);
  out[1] = header.traffic_class;
  store16(out.data() + 2, static_cast<std::uint16_t>(size + payload));
  store16(out.data() + 6, header.do_not_fragment ? 0x4000 : 0);
  out[8] = header.ttl;
  out[9] = header.protocol;
  store32(out.data() + 12, header.ends.source.number());
  store32(out.data() + 16, header.ends.destination.number());
  if (header.router_alert)
    std::copy(kRouterAlert4.begin(), kRouterAlert4.end(), out.begin() + kLeastIpv4Header);
  store16(out.data() + 10, folded(add_words(0, Bytes(out).first(size))));
  return size;
}

}  // namespace sluice::codec
