#include "codec/pim_register.h"

#include "codec/ip_header.h"
#include "codec/pim_address.h"

namespace sluice::codec::pim {

namespace {

constexpr std::size_t kIpv6Header = 40;
constexpr std::uint8_t kBorder = 0x80;
constexpr std::uint8_t kNull = 0x40;

/** Takes addresses from a header, and cuts a packet to its length. A null register's header is only like one:
 * nothing but its checksum is looked at, and that only where there is one. */
bool read_ipv4(Register& out) noexcept {
  const Bytes packet = out.packet;
  if (packet.size() < kLeastIpv4Header) return false;
  out.source = IpAddress::v4(packet.data() + 12);
  out.group = IpAddress::v4(packet.data() + 16);
  if (out.null)
    return load16(packet.data() + 10) == 0 || folded(add_words(0, packet.first(kLeastIpv4Header))) == 0;
  const std::size_t header = (packet[0] & 0x0fU) * 4U;
  const std::size_t total = load16(packet.data() + 2);
  if (packet[0] >> 4 != 4 || header < kLeastIpv4Header || total < header || total > packet.size())
    return false;
  out.packet = packet.first(total);
  return true;
}

bool read_ipv6(Register& out) noexcept {
  const Bytes packet = out.packet;
  if (packet.size() < kIpv6Header) return false;
  out.source = IpAddress::v6(packet.data() + 8);
  out.group = IpAddress::v6(packet.data() + 24);
  if (out.null) {
    const Bytes dummy = packet.subspan(kIpv6Header);
    if (packet[6] != kProtocol || dummy.size() < kHeaderSize) return true;
    const std::uint32_t pseudo = pseudo_header_sum({out.source, out.group}, kProtocol, kHeaderSize);
    return folded(add_words(pseudo, dummy.first(kHeaderSize))) == 0;
  }
  const std::size_t total = kIpv6Header + load16(packet.data() + 4);
  if (packet[0] >> 4 != 6 || total > packet.size()) return false;
  out.packet = packet.first(total);
  return true;
}

void put_register(Output& out, std::uint8_t flags) noexcept {
  put_header(out, Type::data_register);
  out.byte(flags);
  out.byte(0);
  out.half(0);
}

/** The dummy headers of section 4.9.3. */
void put_dummy_ipv4(Output& out, const IpEnds& inside) noexcept {
  Ipv4Header header{inside, kProtocol};
  header.traffic_class = 0;
  std::array<std::uint8_t, kMostIpv4Header> bytes;
  const std::size_t size = write_ipv4_header(header, 0, bytes);
  out.bytes(Bytes(bytes).first(size));
}

void put_dummy_ipv6(Output& out, const IpEnds& inside) noexcept {
  out.word(0x60000000);
  out.half(kHeaderSize);
  out.byte(kProtocol);
  out.byte(1);
  out.bytes(inside.source.wire());
  out.bytes(inside.destination.wire());
  out.half(0);
  out.half(folded(pseudo_header_sum(inside, kProtocol, kHeaderSize)));
}

}  // namespace

std::optional<Register> parse_register(const Message& message) noexcept {
  if (message.body.size() < 4) return std::nullopt;
  Register out;
  out.border = (message.body[0] & kBorder) != 0;
  out.null = (message.body[0] & kNull) != 0;
  out.packet = message.body.subspan(4);
  if (!(message.v4 ? read_ipv4(out) : read_ipv6(out))) return std::nullopt;
  const bool mapped = out.source.is_v4() != message.v4 || out.group.is_v4() != message.v4;
  if (mapped || !out.source.is_unicast() || !out.group.is_multicast()) return std::nullopt;
  return out;
}

std::size_t write_register_header(const IpEnds& ends, MutableBytes room) noexcept {
  Output out(room);
  put_register(out, 0);
  return finish(out, ends);
}

std::size_t write_null_register(const IpAddress& source, const IpAddress& group, const IpEnds& ends,
                                MutableBytes room) noexcept {
  Output out(room);
  put_register(out, kNull);
  const IpEnds inside{source, group};
  source.is_v4() ? put_dummy_ipv4(out, inside) : put_dummy_ipv6(out, inside);
  return finish(out, ends);
}

std::optional<RegisterStop> parse_register_stop(const Message& message) noexcept {
  Bytes rest = message.body;
  const auto group = take_group(rest, message.v4);
  if (!group) return std::nullopt;
  const auto source = take_unicast(rest, message.v4);
  if (!source || source->is_multicast()) return std::nullopt;
  return RegisterStop{*group, *source};
}

std::size_t write_register_stop(const RegisterStop& stop, const IpEnds& ends, MutableBytes room) noexcept {
  Output out(room);
  put_header(out, Type::register_stop);
  put_single(out, stop.group);
  put_unicast(out, stop.source);
  return finish(out, ends);
}

}  // namespace sluice::codec::pim
