#include "codec/ip_address.h"

#include <doctest/doctest.h>

#include <unordered_set>

#include "codec/checksum.h"
#include "codec/control_ip.h"
#include "kernel/address.h"
#include "test/capture_maker.h"
#include "test/control_bytes.h"

using namespace sluice;
using namespace sluice::test;
using codec::Bytes;
using codec::IpAddress;

TEST_CASE("IP address: both families in one value, the same bytes as a socket's address has") {
  const IpAddress four = IpAddress::v4(0xc0000201);
  CHECK(four.is_v4());
  CHECK(octets(four.wire()) == Octets{192, 0, 2, 1});
  CHECK(four.number() == 0xc0000201);
  CHECK(four == ip("192.0.2.1"));
  CHECK(four.bytes() == kernel::Address::parse("192.0.2.1", 0)->bytes());
  const IpAddress six = ip("2001:db8::1");
  CHECK_FALSE(six.is_v4());
  CHECK(octets(six.wire()) == Octets{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  CHECK(six.bytes() == kernel::Address::parse("2001:db8::1", 0)->bytes());
  CHECK(IpAddress() == ip("::"));
  CHECK(IpAddress::any(true) == ip("0.0.0.0"));
  CHECK(IpAddress::any(true) != IpAddress::any(false));
  CHECK(ip("0.0.0.0").is_any());
  CHECK(ip("::").is_any());
  CHECK_FALSE(ip("::1").is_any());
  // As elections compare them: as numbers.
  CHECK(ip("9.255.255.255") < ip("10.0.0.1"));
  CHECK(ip("127.0.0.1") < ip("192.0.2.1"));
  CHECK(ip("fe80::1") < ip("fe80::100"));
}

TEST_CASE("IP address: what kind it is, at both ends of each range") {
  struct Case {
    const char* text;
    bool multicast;
    bool link_group;
    bool link_local;
  };
  for (const Case& c : {Case{"223.255.255.255", false, false, false},
                        {"224.0.0.0", true, true, false},
                        {"224.0.0.255", true, true, false},
                        {"224.0.1.0", true, false, false},
                        {"239.255.255.255", true, false, false},
                        {"240.0.0.0", false, false, false},
                        {"169.253.255.255", false, false, false},
                        {"169.254.0.0", false, false, true},
                        {"169.254.255.255", false, false, true},
                        {"169.255.0.0", false, false, false},
                        {"feff::1", false, false, false},
                        {"ff00::1", true, true, false},
                        {"ff01::1", true, true, false},
                        {"ff02::1", true, true, false},
                        {"ff32::1", true, true, false},
                        {"ff03::1", true, false, false},
                        {"ff3e::1", true, false, false},
                        {"fe7f::1", false, false, false},
                        {"fe80::1", false, false, true},
                        {"febf::1", false, false, true},
                        {"fec0::1", false, false, false}}) {
    CAPTURE(c.text);
    CHECK(ip(c.text).is_multicast() == c.multicast);
    CHECK(ip(c.text).is_link_scope_group() == c.link_group);
    CHECK(ip(c.text).is_link_local() == c.link_local);
    CHECK(ip(c.text).is_unicast() == !c.multicast);
  }
  CHECK_FALSE(ip("0.0.0.0").is_unicast());
  CHECK_FALSE(ip("::").is_unicast());
}

TEST_CASE("IP prefix: bits of its own family, what is beyond them does not count") {
  const codec::IpPrefix scoped{ip("239.255.3.7"), 16};
  CHECK(scoped.contains(ip("239.255.255.255")));
  CHECK_FALSE(scoped.contains(ip("239.254.255.255")));
  CHECK(codec::IpPrefix{ip("232.0.0.0"), 12}.contains(ip("232.15.0.1")));
  CHECK_FALSE(codec::IpPrefix{ip("232.0.0.0"), 12}.contains(ip("232.16.0.1")));
  CHECK(codec::IpPrefix{ip("0.0.0.0"), 0}.contains(ip("255.0.0.1")));
  CHECK_FALSE(codec::IpPrefix{ip("0.0.0.0"), 0}.contains(ip("::1")));
  CHECK_FALSE(codec::IpPrefix{ip("::"), 0}.contains(ip("10.0.0.1")));
  CHECK(codec::IpPrefix{ip("10.0.0.1"), 32}.contains(ip("10.0.0.1")));
  CHECK_FALSE(codec::IpPrefix{ip("10.0.0.1"), 32}.contains(ip("10.0.0.0")));
  CHECK(codec::IpPrefix{ip("ff30::"), 12}.contains(ip("ff3e::8000:1")));
  CHECK(codec::IpPrefix{ip("2001:db8::1"), 127}.contains(ip("2001:db8::")));
  CHECK_FALSE(codec::IpPrefix{ip("2001:db8::1"), 128}.contains(ip("2001:db8::")));
}

TEST_CASE("IP address: neighbours have different hashes, in every few bits of them") {
  std::unordered_set<std::size_t> low;
  std::unordered_set<std::size_t> high;
  for (std::uint32_t i = 0; i < 4096; i++) {
    const std::size_t hash = std::hash<IpAddress>{}(IpAddress::v4(0xe8010000 + i));
    low.insert(hash & 0xfff);
    high.insert(hash >> 52);
  }
  // Of 4096 throws into as many places 2589 are hit.
  CHECK(low.size() > 2400);
  CHECK(high.size() > 2400);
}

TEST_CASE("checksum: the example of RFC 1071 section 3, an odd length, and the pseudo header") {
  const Octets example{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  CHECK(codec::folded(codec::add_words(0, example)) == static_cast<std::uint16_t>(~0xddf2));
  CHECK(codec::add_words(7, Octets{1, 2, 3}) == 7 + 0x0102 + 0x0300);
  const codec::IpEnds ends{ip("192.0.2.1"), ip("224.0.0.13")};
  CHECK(codec::pseudo_header_sum(ends, 103, 20) == 0xc000 + 0x0201 + 0xe000 + 0x000d + 103 + 20);
}

TEST_CASE("router alert: found among other options, and not where they are damaged") {
  CHECK(codec::has_router_alert4(codec::kRouterAlert4));
  CHECK(codec::has_router_alert4(Octets{1, 1, 7, 3, 4, 0x94, 4, 0, 0}));
  CHECK_FALSE(codec::has_router_alert4({}));
  CHECK_FALSE(codec::has_router_alert4(Octets{0, 0x94, 4, 0, 0}));  // behind the end
  CHECK_FALSE(codec::has_router_alert4(Octets{7, 0, 0x94, 4, 0, 0}));
  CHECK_FALSE(codec::has_router_alert4(Octets{7, 9, 0x94, 4, 0, 0}));
  CHECK_FALSE(codec::has_router_alert4(Octets{0x94, 4, 0}));
  CHECK_FALSE(codec::has_router_alert4(Octets{0x94}));
  CHECK(codec::has_router_alert6(codec::kRouterAlert6));
  CHECK(codec::has_router_alert6(Octets{58, 1, 0, 1, 3, 0, 0, 0, 5, 2, 0, 0, 0, 0, 0, 0}));
  CHECK_FALSE(codec::has_router_alert6(Octets{58, 0, 1, 4, 0, 0, 0, 0}));
  CHECK_FALSE(codec::has_router_alert6(Octets{58, 1, 5, 2, 0, 0, 1, 0}));  // longer than it is
  CHECK_FALSE(codec::has_router_alert6(Octets{58, 0, 1, 9, 5, 2, 0, 0}));
  CHECK_FALSE(codec::has_router_alert6(Octets{58, 0, 5}));
}

TEST_CASE("IPv4 header: written as RFC 791 has it, and read as raw sockets give it") {
  const codec::Ipv4Header header{{ip("192.0.2.1"), ip("224.0.0.22")}, 2, 1, 0xc0, true, false};
  std::array<std::uint8_t, codec::kMostIpv4Header> room{};
  REQUIRE(codec::write_ipv4_header(header, 4, room) == 24);
  const Octets expected{
      0x46, 0xc0, 0x00, 0x1c,  // version 4, six words, class CS6, 28 bytes in all
      0x00, 0x00, 0x00, 0x00,  // identification, no fragment
      0x01, 0x02, 0x82, 0x04,  // TTL 1, IGMP, checksum
      0xc0, 0x00, 0x02, 0x01,  // source
      0xe0, 0x00, 0x00, 0x16,  // destination
      0x94, 0x04, 0x00, 0x00,  // router alert
  };
  CHECK(octets(room) == expected);
  CHECK(codec::header_checksum_fits(room));
  CHECK_FALSE(codec::header_checksum_fits(with(expected, 8, 2)));
  Octets packet = expected;
  for (const unsigned byte : {1, 2, 3, 4, 0, 0}) packet.push_back(static_cast<std::uint8_t>(byte));
  const auto read = codec::parse_ipv4(packet);
  REQUIRE(read.has_value());
  CHECK(read->ip.ends.source == ip("192.0.2.1"));
  CHECK(read->ip.ends.destination == ip("224.0.0.22"));
  CHECK(read->ip.hops == 1);
  CHECK(read->ip.router_alert);
  CHECK(read->protocol == 2);
  CHECK(octets(read->payload) == Octets{1, 2, 3, 4});
  CHECK_FALSE(codec::parse_ipv4(with(packet, 20, 7))->ip.router_alert);
  CHECK_FALSE(codec::parse_ipv4(with(packet, 6, 0x20)));  // a fragment
  CHECK_FALSE(codec::parse_ipv4(with(packet, 3, 31)));    // longer than it is
  CHECK_FALSE(codec::parse_ipv4(with(packet, 0, 0x66)));
  damaged(packet, [](const Octets& bytes) {
    const auto other = codec::parse_ipv4(bytes);
    if (other && !other->payload.empty()) {
      CHECK(other->payload.data() + other->payload.size() <= bytes.data() + bytes.size());
    }
    (void)codec::header_checksum_fits(bytes);
  });
  CHECK(codec::write_ipv4_header(header, 65'512, room) == 0);
  CHECK(codec::write_ipv4_header(header, 65'511, room) == 24);
}

TEST_CASE("control IP: a captured IPv6 packet's hop limit and router alert") {
  Buffer packet = kIpv6;
  packet.resize(48);
  std::copy(codec::kRouterAlert6.begin(), codec::kRouterAlert6.end(), packet.begin() + 40);
  packet[5] = 8;
  packet[7] = 1;
  const auto link = codec::parse_link(packet, codec::kLinkRaw);
  REQUIRE(link.has_value());
  codec::IpView view;
  REQUIRE(codec::parse_ip(*link, view) == codec::IpFind::ip);
  const codec::ControlIp found = codec::control_ip(view);
  CHECK(view.protocol == 58);
  CHECK(found.hops == 1);
  CHECK(found.router_alert);
  CHECK(found.ends.destination.is_multicast());
  CHECK_FALSE(found.ends.source.is_v4());
}
