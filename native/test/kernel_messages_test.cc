// Messages of the kernel, cut at every length and with wrong lengths inside: read right or not at all.
#include <doctest/doctest.h>
#include <netinet/in.h>

// The C library's own addresses must be there before the kernel's.
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/mroute.h>
#include <linux/mroute6.h>

#include <cstring>
#include <vector>

#include "kernel/control_socket.h"
#include "kernel/multicast_messages.h"
#include "kernel/netlink.h"
#include "kernel/route_messages.h"

using namespace sluice;
using kernel::Address;
using kernel::Upcall;
using Block = std::vector<std::uint8_t>;

namespace {

template <class T>
Block bytes(const T& value) {
  Block out(sizeof value);
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

Block operator+(Block a, const Block& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/** An attribute with its padding. */
Block attribute(std::uint16_t type, const Block& value) {
  const rtattr head{static_cast<std::uint16_t>(sizeof(rtattr) + value.size()), type};
  Block out = bytes(head) + value;
  out.resize(RTA_ALIGN(out.size()));
  return out;
}

Block number(std::uint16_t type, std::uint32_t value) {
  return attribute(type, bytes(value));
}

Block four(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {a, b, c, d};
}

Block next_hop(int index, std::uint8_t flags, const Block& attributes) {
  rtnexthop head{};
  head.rtnh_len = static_cast<unsigned short>(sizeof head + attributes.size());
  head.rtnh_flags = flags;
  head.rtnh_ifindex = index;
  return bytes(head) + attributes;
}

Block route_message() {
  rtmsg head{};
  head.rtm_family = AF_INET;
  head.rtm_dst_len = 24;
  head.rtm_type = RTN_UNICAST;
  head.rtm_protocol = RTPROT_OSPF;
  return bytes(head) + attribute(RTA_DST, four(192, 0, 2, 0)) + number(RTA_PRIORITY, 30) +
         attribute(RTA_MULTIPATH, next_hop(4, 0, attribute(RTA_GATEWAY, four(10, 0, 1, 2))) +
                                      next_hop(5, RTNH_F_DEAD, attribute(RTA_GATEWAY, four(10, 0, 2, 2))));
}

Block multicast_route_message() {
  rtmsg head{};
  head.rtm_family = RTNL_FAMILY_IPMR;
  rta_mfc_stats stats{};
  stats.mfcs_packets = 7;
  return bytes(head) + number(RTA_TABLE, 253) + attribute(RTA_SRC, four(10, 0, 1, 2)) +
         attribute(RTA_DST, four(232, 1, 1, 1)) + number(RTA_IIF, 4) +
         attribute(RTA_MULTIPATH, next_hop(5, 0, {}) + next_hop(6, 0, {})) +
         attribute(RTA_MFC_STATS, bytes(stats));
}

Block vif_message() {
  ifinfomsg head{};
  head.ifi_family = RTNL_FAMILY_IPMR;
  const Block vif = number(IPMRA_VIFA_IFINDEX, 4) + number(IPMRA_VIFA_VIF_ID, 2) +
                    attribute(IPMRA_VIFA_FLAGS, bytes(std::uint16_t{VIFF_REGISTER}));
  const Block table = number(IPMRA_TABLE_ID, 77) + attribute(IPMRA_TABLE_VIFS, attribute(IPMRA_VIF, vif));
  return bytes(head) + attribute(IFLA_AF_SPEC, table);
}

Block link_message() {
  ifinfomsg head{};
  head.ifi_index = 4;
  head.ifi_flags = 1;
  const std::string name = "eth0";
  return bytes(head) + attribute(IFLA_IFNAME, Block(name.begin(), name.end()) + Block{0}) +
         number(IFLA_MTU, 1500) + attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, {'v', 'e', 't', 'h'}));
}

Block address_message() {
  ifaddrmsg head{};
  head.ifa_family = AF_INET;
  head.ifa_prefixlen = 32;
  head.ifa_index = 4;
  return bytes(head) + attribute(IFA_ADDRESS, four(10, 0, 1, 2)) + attribute(IFA_LOCAL, four(10, 0, 1, 1)) +
         number(IFA_FLAGS, IFA_F_SECONDARY);
}

/** In a block of its own size, so that the sanitizer sees what reads beyond it. */
template <class F>
void at_every_length(const Block& whole, F&& parse) {
  for (std::size_t size = 0; size < whole.size(); size++) {
    const Block part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    parse(part);
  }
  // Every length inside, made too long or too short.
  for (std::size_t at = 0; at < whole.size(); at++) {
    for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{0xff}}) {
      Block damaged = whole;
      damaged[at] = value;
      parse(damaged);
    }
  }
}

std::string host(const kernel::AddressBytes& address) {
  return Address::of(address, 0).host();
}

}  // namespace

TEST_CASE("kernel messages: a route with several ways") {
  const auto route = kernel::parse_route(route_message());
  REQUIRE(route);
  CHECK(host(route->prefix) == "192.0.2.0");
  CHECK(route->bits == 96 + 24);
  CHECK(route->metric == 30);
  CHECK(int{route->protocol} == RTPROT_OSPF);
  REQUIRE(route->next_hops.size() == 2);
  CHECK(route->next_hops[0].interface_index == 4);
  CHECK(host(route->next_hops[0].gateway) == "10.0.1.2");
  CHECK(route->next_hops[0].usable);
  CHECK_FALSE(route->next_hops[1].usable);
  at_every_length(route_message(), [](const Block& part) {
    const auto found = kernel::parse_route(part);
    CHECK((!found || found->next_hops.size() <= 2));
    CHECK((!found || found->bits <= 128));
  });
}

TEST_CASE("kernel messages: a multicast route and a table of interfaces") {
  const auto route = kernel::parse_multicast_route(multicast_route_message());
  REQUIRE(route);
  CHECK(route->family == AF_INET);
  CHECK(route->table == 253);
  CHECK(host(route->source) == "10.0.1.2");
  CHECK(host(route->group) == "232.1.1.1");
  CHECK(route->incoming == 4);
  CHECK(route->outgoing == std::vector<unsigned>{5, 6});
  CHECK(route->packets == 7);
  at_every_length(multicast_route_message(), [](const Block& part) {
    const auto found = kernel::parse_multicast_route(part);
    CHECK((!found || found->outgoing.size() <= 2));
  });
  const auto table = kernel::parse_vif_table(vif_message());
  REQUIRE(table);
  CHECK(table->table == 77);
  REQUIRE(table->vifs.size() == 1);
  CHECK(table->vifs[0].vif == 2);
  CHECK(table->vifs[0].interface_index == 4);
  CHECK(table->vifs[0].is_register);
  at_every_length(vif_message(), [](const Block& part) {
    const auto found = kernel::parse_vif_table(part);
    CHECK((!found || found->vifs.size() <= 1));
  });
}

TEST_CASE("kernel messages: links and addresses") {
  const auto link = kernel::parse_link(link_message());
  REQUIRE(link);
  CHECK(link->index == 4);
  CHECK(link->name == "eth0");
  CHECK(link->kind == "veth");
  CHECK(link->mtu == 1500);
  at_every_length(link_message(), [](const Block& part) {
    const auto found = kernel::parse_link(part);
    CHECK((!found || found->name.size() <= 5));
  });
  const auto address = kernel::parse_address(address_message());
  REQUIRE(address);
  // The other end's is not ours.
  CHECK(host(address->address) == "10.0.1.1");
  CHECK(address->flags == IFA_F_SECONDARY);
  at_every_length(address_message(), [](const Block& part) {
    const auto found = kernel::parse_address(part);
    CHECK((!found || kernel::is_v4(found->address) || found->address != kernel::AddressBytes{}));
  });
}

TEST_CASE("kernel messages: a datagram of several, whose lengths must fit") {
  nlmsghdr head{};
  head.nlmsg_len = sizeof head + 5;
  head.nlmsg_type = RTM_NEWROUTE;
  head.nlmsg_seq = 9;
  Block datagram = bytes(head) + Block{1, 2, 3, 4, 5, 0, 0, 0} + bytes(head) + Block{6, 7, 8, 9, 10};
  std::vector<Block> bodies;
  CHECK(kernel::each_message(datagram, [&](const kernel::NetlinkMessage& m) {
    CHECK(m.sequence == 9);
    bodies.emplace_back(m.body.begin(), m.body.end());
  }));
  CHECK(bodies == std::vector<Block>{{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}});
  at_every_length(datagram, [](const Block& part) {
    std::size_t total = 0;
    kernel::each_message(part, [&](const kernel::NetlinkMessage& m) { total += m.body.size(); });
    CHECK(total <= part.size());
  });
  // A length of nothing must not go on for ever.
  Block none(64);
  CHECK_FALSE(kernel::each_message(none, [](const auto&) { FAIL("there is no message"); }));
  CHECK_FALSE(kernel::each_attribute(none, [](const auto&) { FAIL("there is no attribute"); }));
}

TEST_CASE("kernel messages: upcalls of both families") {
  igmpmsg question{};
  question.im_msgtype = IGMPMSG_WHOLEPKT;
  question.im_vif = 5;
  std::memcpy(&question.im_src, four(10, 0, 1, 2).data(), 4);
  std::memcpy(&question.im_dst, four(232, 1, 1, 1).data(), 4);
  const Block packet{0x45, 1, 2, 3};
  const Block whole = bytes(question) + packet;
  const auto upcall = kernel::parse_upcall(AF_INET, whole);
  REQUIRE(upcall);
  CHECK(upcall->kind == Upcall::Kind::whole_packet);
  CHECK(upcall->vif == 5);
  CHECK(host(upcall->source) == "10.0.1.2");
  CHECK(host(upcall->group) == "232.1.1.1");
  CHECK(Block(upcall->packet.begin(), upcall->packet.end()) == packet);
  const auto with = [&](auto change) {
    igmpmsg other = question;
    change(other);
    return kernel::parse_upcall(AF_INET, bytes(other)).has_value();
  };
  CHECK_FALSE(with([](igmpmsg& m) { m.im_mbz = 2; }));
  CHECK_FALSE(with([](igmpmsg& m) { m.im_msgtype = 0; }));
  CHECK_FALSE(with([](igmpmsg& m) { m.im_msgtype = 5; }));
  CHECK_FALSE(with([](igmpmsg& m) { m.im_vif = 32; }));
  CHECK_FALSE(with([](igmpmsg& m) { m.im_vif_hi = 1; }));
  CHECK(with([](igmpmsg& m) { m.im_vif = 31; }));

  mrt6msg question6{};
  question6.im6_msgtype = MRT6MSG_NOCACHE;
  question6.im6_mif = 3;
  question6.im6_src.s6_addr[15] = 1;
  const Block whole6 = bytes(question6) + packet;
  const auto upcall6 = kernel::parse_upcall(AF_INET6, whole6);
  REQUIRE(upcall6);
  CHECK(upcall6->kind == Upcall::Kind::no_route);
  CHECK(upcall6->vif == 3);
  CHECK(host(upcall6->source) == "::1");
  CHECK(upcall6->packet.empty());
  question6.im6_mif = 32;
  CHECK_FALSE(kernel::parse_upcall(AF_INET6, bytes(question6)));
  for (const int family : {AF_INET, AF_INET6})
    at_every_length(family == AF_INET ? bytes(question) : bytes(question6), [&](const Block& part) {
      const auto found = kernel::parse_upcall(family, part);
      CHECK((!found || found->vif < 32));
    });
}

TEST_CASE("kernel messages: an IPv4 header with its options, and hop-by-hop options") {
  const Block packet{0x46, 0xc0, 0, 32, 0,    0, 0, 0, 1,    2, 0, 0, 10, 0, 1, 2,
                     224,  0,    0, 22, 0x94, 4, 0, 0, 0x22, 0, 0, 0, 0,  0, 0, 0};
  kernel::ControlMessage message;
  REQUIRE(kernel::read_ipv4(packet, message));
  CHECK(message.payload.size() == 8);
  CHECK(message.payload[0] == 0x22);
  CHECK(int{message.hop_limit} == 1);
  CHECK(message.router_alert);
  CHECK(host(message.destination) == "224.0.0.22");
  // Bytes behind the packet's length are not the message's.
  const Block longer = packet + Block{1, 2, 3};
  REQUIRE(kernel::read_ipv4(longer, message));
  CHECK(message.payload.size() == 8);
  at_every_length(packet, [](const Block& part) {
    kernel::ControlMessage m;
    if (kernel::read_ipv4(part, m)) CHECK(m.payload.size() <= part.size());
  });
  CHECK(kernel::ipv4_router_alert(Block{1, 1, 0x94, 4, 0, 0}));
  CHECK(kernel::ipv4_router_alert(Block{7, 3, 0, 0x94, 4, 0, 0}));
  CHECK_FALSE(kernel::ipv4_router_alert(Block{0, 0x94, 4, 0, 0}));
  CHECK_FALSE(kernel::ipv4_router_alert(Block{7, 0, 0x94, 4, 0, 0}));
  CHECK_FALSE(kernel::ipv4_router_alert(Block{0x94}));
  CHECK_FALSE(kernel::ipv4_router_alert(Block{0x94, 4, 0}));
  CHECK(kernel::ipv6_router_alert(Block{58, 0, 5, 2, 0, 0, 1, 0}));
  CHECK(kernel::ipv6_router_alert(Block{58, 0, 0, 0, 5, 2, 0, 0}));
  CHECK(kernel::ipv6_router_alert(Block{58, 1, 1, 4, 0, 0, 0, 0, 5, 2, 0, 0, 1, 2, 0, 0}));
  CHECK_FALSE(kernel::ipv6_router_alert(Block{58, 0, 1, 4, 5, 2, 0, 0}));
  CHECK_FALSE(kernel::ipv6_router_alert(Block{58, 0, 1, 0xff, 5, 2, 0, 0}));
  CHECK_FALSE(kernel::ipv6_router_alert(Block{58, 0, 1, 4, 0, 0, 0, 0, 5, 2, 0, 0, 1, 2, 0, 0}));
  at_every_length(Block{58, 1, 1, 4, 0, 0, 0, 0, 5, 2, 0, 0, 1, 2, 0, 0}, [](const Block& part) {
    const bool found = kernel::ipv6_router_alert(part);
    CHECK((!found || part.size() >= 8));
    CHECK((!kernel::ipv4_router_alert(part) || part.size() >= 4));
  });
}
