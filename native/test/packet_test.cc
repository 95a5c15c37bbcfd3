#include "codec/packet.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "codec/packet_filter.h"
#include "test/capture_maker.h"

using namespace sluice::codec;
using namespace sluice::test;

namespace {

/** A copy with one byte changed. */
Buffer with(Buffer packet, std::size_t at, std::uint8_t value) {
  packet[at] = value;
  return packet;
}

LinkView link_of(const Buffer& packet, std::uint32_t link_type = kLinkEthernet) {
  const auto link = parse_link(packet, link_type);
  REQUIRE(link);
  return *link;
}

Prefix prefix4(std::uint32_t address, std::uint8_t bits) {
  Prefix prefix{4, {}, bits};
  store32(prefix.address.data(), address);
  return prefix;
}

/** One's complement sum over 16-bit words (RFC 1071): 0xffff over what carries its right checksum. */
std::uint32_t sum_of(Bytes bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); i++) sum += std::uint32_t{bytes[i]} << (i % 2 == 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

}  // namespace

TEST_CASE("packet: UDP is found below every link type") {
  const std::vector<std::pair<std::uint32_t, Buffer>> cases = {
      {1, kEthernet}, {1, kTagged},     {113, kCooked}, {276, kCooked2}, {101, {}}, {12, {}},
      {14, {}},       {0, kNullLittle}, {0, kNullBig},  {108, kNullBig}, {228, {}},
  };
  for (const auto& [link_type, header] : cases) {
    CAPTURE(link_type);
    const Buffer packet = header + kIpv4 + kUdp + Buffer(6, 0);
    UdpDatagram datagram;
    REQUIRE(find_udp(packet, link_type, datagram) == UdpFind::udp);
    CHECK(datagram.version == 4);
    CHECK(load32(datagram.source.data()) == 0xc0000201);
    CHECK(load32(datagram.destination.data()) == 0xef010101);
    CHECK(datagram.source_port == 40000);
    CHECK(datagram.destination_port == 5000);
    // Ethernet's padding is not payload.
    CHECK(Buffer(datagram.payload.begin(), datagram.payload.end()) == Buffer{0xde, 0xad, 0xbe, 0xef});
    for (std::size_t size = 0; size < packet.size() - 6; size++) {
      CHECK(find_udp(Bytes(packet).first(size), link_type, datagram) == UdpFind::cut);
    }
  }
}

TEST_CASE("packet: UDP is found behind IPv6 extension headers") {
  const Buffer packet = kIpv6 + kUdp;
  UdpDatagram datagram;
  REQUIRE(find_udp(packet, 101, datagram) == UdpFind::udp);
  CHECK(datagram.version == 6);
  CHECK(datagram.destination[0] == 0xff);
  CHECK(datagram.payload.size() == 4);
  for (std::size_t size = 0; size < packet.size(); size++) {
    CHECK(find_udp(Bytes(packet).first(size), 101, datagram) == UdpFind::cut);
  }
}

TEST_CASE("packet: fragments and other protocols are told apart") {
  UdpDatagram datagram;
  const Buffer ipv4 = kIpv4 + kUdp;
  const Buffer ipv6 = kIpv6 + kUdp;
  CHECK(find_udp(with(ipv4, 6, 0x20), 101, datagram) == UdpFind::fragment);
  CHECK(find_udp(with(ipv4, 7, 0x01), 101, datagram) == UdpFind::fragment);
  CHECK(find_udp(with(ipv6, 40, 44), 101, datagram) == UdpFind::fragment);
  CHECK(find_udp(with(ipv4, 9, 6), 101, datagram) == UdpFind::other);
  CHECK(find_udp(with(ipv4, 0, 0x44), 101, datagram) == UdpFind::other);
  CHECK(find_udp(with(ipv4, 0, 0x15), 101, datagram) == UdpFind::other);
  CHECK(find_udp(with(ipv4, 25, 7), 101, datagram) == UdpFind::other);
  CHECK(find_udp(with(ipv4, 25, 13), 101, datagram) == UdpFind::cut);
  CHECK(find_udp(with(ipv4, 0, 0x4f), 101, datagram) == UdpFind::other);
}

TEST_CASE("packet: VLAN tags, IEEE 802.3 and what is not known are told apart") {
  const LinkView tagged = link_of(kTagged + kIpv4 + kUdp);
  CHECK(tagged.tag_count == 2);
  CHECK(tagged.tags[0] == 100);
  CHECK(tagged.tags[1] == 10);
  CHECK(tagged.ethertype == kEtherIpv4);
  const Buffer spanning_tree = {0x01, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 38, 0x42, 0x42, 3};
  const LinkView llc = link_of(spanning_tree);
  CHECK(llc.is_llc());
  CHECK_FALSE(llc.is_ip());
  CHECK_FALSE(parse_link(spanning_tree, 105));
  UdpDatagram datagram;
  CHECK(find_udp(spanning_tree, kLinkEthernet, datagram) == UdpFind::other);
  CHECK(find_udp(spanning_tree, 105, datagram) == UdpFind::other);
  // More tags than are looked through: the rest is something else, not an error.
  Buffer deep(kTagged.begin(), kTagged.begin() + 12);
  for (int i = 0; i < 6; i++) deep = deep + Buffer{0x81, 0x00, 0x00, 0x01};
  CHECK(link_of(deep + Buffer{0x08, 0x00} + kIpv4 + kUdp).tag_count == 4);
}

TEST_CASE("packet: headers made anew carry right checksums and are read back") {
  for (const std::uint8_t version : {4, 6}) {
    for (const std::size_t size : {0, 1, 7, 1316}) {
      UdpHeaders headers;
      headers.ttl = 9;
      headers.traffic_class = 0xb8;
      UdpDatagram& d = headers.datagram;
      d.version = version;
      const std::size_t length = version == 4 ? 4 : 16;
      for (std::size_t i = 0; i < length; i++) {
        d.source[i] = static_cast<std::uint8_t>(i + 1);
        d.destination[i] = static_cast<std::uint8_t>(0xe0 + i);
      }
      d.source_port = 40000;
      d.destination_port = 5000;
      const Buffer payload(size, 0x47);
      d.payload = payload;
      std::array<std::uint8_t, kMostUdpHeaders> head{};
      const std::size_t head_size = write_udp_headers(headers, head);
      REQUIRE(head_size == (version == 4 ? 28 : 48));
      const Buffer packet =
          Buffer(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(head_size)) + payload;
      UdpDatagram read;
      REQUIRE(find_udp(packet, kLinkRaw, read) == UdpFind::udp);
      CHECK(read.source == d.source);
      CHECK(read.destination == d.destination);
      CHECK(read.source_port == 40000);
      CHECK(read.destination_port == 5000);
      CHECK(Buffer(read.payload.begin(), read.payload.end()) == payload);
      if (version == 4) CHECK(sum_of(Bytes(packet).first(20)) == 0xffff);
      const std::uint32_t pseudo =
          sum_of(Bytes(d.destination).first(length), sum_of(Bytes(d.source).first(length)));
      const auto udp_length = static_cast<std::uint32_t>(8 + size);
      CHECK(sum_of(Bytes(packet).subspan(head_size - 8), pseudo + 17 + udp_length) == 0xffff);
    }
  }
  UdpHeaders large;
  const Buffer payload(65'508, 0);
  large.datagram.payload = payload;
  std::array<std::uint8_t, kMostUdpHeaders> head{};
  CHECK(write_udp_headers(large, head) == 0);
}

TEST_CASE("packet: cooked headers and groups' Ethernet addresses") {
  Buffer packet(kCooked2Header);
  write_cooked2({kEtherIpv4, 2, 1, 2, 6, {2, 0, 0, 0, 0, 1}}, packet.data());
  CHECK(packet == kCooked2);
  CHECK(link_of(packet + kIpv4, kLinkCooked2).is_ip());
  CHECK(group_hardware_address(4, {239, 129, 2, 3}) ==
        std::array<std::uint8_t, 6>{0x01, 0x00, 0x5e, 0x01, 0x02, 0x03});
  CHECK(group_hardware_address(6, {0xff, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 1}) ==
        std::array<std::uint8_t, 6>{0x33, 0x33, 0x80, 0, 0, 1});
}

TEST_CASE("packet filter: groups, hosts, ports, protocols and VLANs, through tags and fragments") {
  const Buffer packet = kTagged + kIpv4 + kUdp;  // 192.0.2.1:40000 to 239.1.1.1:5000, VLANs 100 and 10
  const auto matches = [](const PacketFilter& filter, const Buffer& bytes) {
    return filter.matches(link_of(bytes));
  };
  const auto group = [](Prefix prefix) { return PacketFilter{{prefix}, {}, {}, {}, {}}; };
  const auto host = [](Prefix prefix) { return PacketFilter{{}, {prefix}, {}, {}, {}}; };
  const auto port = [](std::uint16_t number) { return PacketFilter{{}, {}, {number}, {}, {}}; };
  const auto protocol = [](const char* name) {
    const auto found = protocol_of(name);
    REQUIRE(found);
    return PacketFilter{{}, {}, {}, {*found}, {}};
  };
  const auto vlan = [](std::uint16_t id) { return PacketFilter{{}, {}, {}, {}, {id}}; };
  CHECK(PacketFilter{}.empty());
  CHECK(matches({}, packet));
  CHECK(matches(group(prefix4(0xef010101, 32)), packet));
  CHECK_FALSE(matches(group(prefix4(0xef010102, 32)), packet));
  CHECK(matches(group(prefix4(0xef010102, 30)), packet));
  CHECK_FALSE(matches(group(prefix4(0xef010104, 30)), packet));
  CHECK(matches(group(prefix4(0, 0)), packet));
  CHECK_FALSE(matches(group({6, {}, 0}), packet));
  CHECK_FALSE(matches(group(prefix4(0xc0000201, 32)), packet));
  CHECK(matches(host(prefix4(0xc0000201, 32)), packet));
  CHECK(matches(host(prefix4(0xef010101, 32)), packet));
  CHECK(matches(port(5000), packet));
  CHECK(matches(port(40000), packet));
  CHECK_FALSE(matches(port(5001), packet));
  CHECK(matches(vlan(100), packet));
  CHECK(matches(vlan(10), packet));
  CHECK_FALSE(matches(vlan(11), packet));
  CHECK(matches(protocol("udp"), packet));
  for (const char* other : {"tcp", "igmp", "mld", "pim", "icmp", "rtp", "rtcp"})
    CHECK_FALSE(matches(protocol(other), packet));
  CHECK_FALSE(protocol_of("ipx"));
  // All kinds must fit.
  PacketFilter both = port(5000);
  both.vlans = {11};
  CHECK_FALSE(matches(both, packet));
  // A later fragment has no ports, yet belongs to the group and protocol.
  const Buffer fragment = with(kEthernet + kIpv4 + kUdp, 14 + 7, 1);
  CHECK_FALSE(matches(port(5000), fragment));
  CHECK(matches(group(prefix4(0xef010101, 32)), fragment));
  CHECK(matches(protocol("udp"), fragment));
  const Buffer raw = kIpv4 + kUdp;
  for (const auto& [name, number] : {std::pair{"igmp", 2}, {"pim", 103}, {"tcp", 6}, {"icmp", 1}})
    CHECK(protocol(name).matches(link_of(with(raw, 9, static_cast<std::uint8_t>(number)), kLinkRaw)));
  const Buffer media = with(kIpv4, 3, 40) + Buffer{0x9c, 0x40, 0x13, 0x88, 0, 20, 0, 0} +
                       Buffer{0x80, 33, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3};
  CHECK(protocol("rtp").matches(link_of(media, kLinkRaw)));
  CHECK_FALSE(protocol("rtcp").matches(link_of(media, kLinkRaw)));
  CHECK(protocol("rtcp").matches(link_of(with(media, 29, 200), kLinkRaw)));
  // MLDv2 report (RFC 3810 section 5.2) behind the hop-by-hop options that it must have.
  Buffer mld = kIpv6;
  mld[40] = 58;
  mld[5] = 16;
  mld.resize(48);
  mld = mld + Buffer{143, 0, 0, 0, 0, 0, 0, 0};
  CHECK(protocol("mld").matches(link_of(mld, kLinkRaw)));
  CHECK(protocol("icmp").matches(link_of(mld, kLinkRaw)));
  CHECK_FALSE(protocol("mld").matches(link_of(with(mld, 48, 135), kLinkRaw)));
}

TEST_CASE("packet: random bytes neither crash nor are read past their end") {
  std::mt19937 random(20261120);
  PacketFilter everything;
  everything.ports = {5000};
  everything.protocols = {Protocol::rtp, Protocol::mld};
  for (int round = 0; round < 50'000; round++) {
    Buffer packet(random() % 120);
    for (auto& byte : packet) byte = static_cast<std::uint8_t>(random());
    const Buffer& begin = round % 4 == 0 ? kIpv6 : kIpv4;
    if (packet.size() > 60 && round % 2 == 0) std::copy(begin.begin(), begin.end() - 8, packet.begin());
    for (const std::uint32_t link_type : {0U, 1U, 101U, 113U, 276U}) {
      UdpDatagram datagram;
      const auto found = find_udp(packet, link_type, datagram);
      if (found == UdpFind::udp)
        CHECK(datagram.payload.data() + datagram.payload.size() <= packet.data() + packet.size());
      if (const auto link = parse_link(packet, link_type)) static_cast<void>(everything.matches(*link));
    }
  }
}
