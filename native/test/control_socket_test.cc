// IGMP, MLD and PIM as real kernels speak them.
#include "kernel/control_socket.h"

#include <doctest/doctest.h>

#include <sstream>

#include "kernel/multicast_routing.h"
#include "kernel/packet_socket.h"
#include "test/namespaces.h"

using namespace sluice;
using kernel::AddressBytes;
using kernel::ControlMessage;
using kernel::ControlProtocol;
using kernel::ControlSend;
using kernel::ControlSocket;
using kernel::RoutingSocket;
using test::bytes_of;
using test::eventually;
using test::Listener;
using test::Network;
using test::Star;

namespace {

/** A message with bytes of its own. */
struct Heard {
  ControlMessage message;
  std::vector<std::uint8_t> bytes;
};

/** A router that listens to its hosts by the routing socket. */
struct Router {
  std::unique_ptr<RoutingSocket> routing;
  std::vector<Heard> heard;
  unsigned left = 0;

  Router(const Network& network, int family, std::initializer_list<const char*> devices) {
    network.in([&] {
      auto opened = RoutingSocket::open({family, 0, false, nullptr});
      REQUIRE(opened.ok());
      routing = std::move(opened.value());
      for (const char* device : devices) {
        REQUIRE(routing->add_interface(if_nametoindex(device)).ok());
        REQUIRE_FALSE(routing->control().join(if_nametoindex(device)));
      }
    });
  }
  void read() {
    for (const ControlMessage& m : routing->receive().messages)
      heard.push_back({m, {m.payload.begin(), m.payload.end()}});
  }
  /** The first message of this type from an address. */
  const Heard* find(std::uint8_t type, const std::string& destination) {
    for (const Heard& h : heard)
      if (!h.bytes.empty() && h.bytes[0] == type && h.message.destination == bytes_of(destination)) return &h;
    return nullptr;
  }
  /** The first message of this type that names a group. */
  const Heard* about(std::uint8_t type, const AddressBytes& group) {
    const auto* const from = group.data() + (kernel::is_v4(group) ? 12 : 0);
    for (const Heard& h : heard)
      if (h.bytes[0] == type &&
          std::search(h.bytes.begin(), h.bytes.end(), from, group.data() + group.size()) != h.bytes.end())
        return &h;
    return nullptr;
  }
  bool hears(std::uint8_t type, const std::string& destination) {
    return eventually([&] {
      read();
      return find(type, destination) != nullptr;
    });
  }
};

std::string link_local(const Network& network, const std::string& device) {
  // ADDRESS INDEX BITS SCOPE FLAGS NAME; scope 20 is a link.
  std::istringstream lines(network.read("/proc/net/if_inet6"));
  std::string address, index, bits, scope, flags, name;
  while (lines >> address >> index >> bits >> scope >> flags >> name) {
    if (name != device || scope != "20") continue;
    std::string text;
    for (std::size_t i = 0; i < 32; i += 4) text += (i == 0 ? "" : ":") + address.substr(i, 4);
    return text;
  }
  return "::";
}

/** A general query; its checksum is right. */
std::vector<std::uint8_t> general_query(int family) {
  // IGMPv3, 0.1 s, robustness 2, interval 125 s; MLDv2 likewise, whose checksum the kernel computes.
  if (family == AF_INET) return {0x11, 1, 0xec, 0x81, 0, 0, 0, 0, 2, 125, 0, 0};
  std::vector<std::uint8_t> query(28);
  query[0] = 130;
  query[5] = 100;
  query[24] = 2;
  query[25] = 125;
  return query;
}

/** Sends a general query by a device, from its own address. */
int ask(ControlSocket& control, const Network& network, const std::string& device,
        const AddressBytes& source) {
  const auto query = general_query(control.family());
  ControlSend send;
  send.interface_index = network.index(device);
  send.source = source;
  send.destination = bytes_of(control.family() == AF_INET ? "224.0.0.1" : "ff02::1");
  send.payload = query;
  return control.send(send);
}

}  // namespace

TEST_CASE("control: reports of IGMPv2 and MLDv1, which hosts send to the group itself, reach the router") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    const Star star;
    REQUIRE(star.ok);
    star.left.set("ipv4/conf/e/force_igmp_version", "2");
    star.left.set("ipv6/conf/e/force_mld_version", "1");
    Router router(star.router, family, {"up0", "left0"});
    const std::string group = Star::group(family);
    auto host = std::make_unique<Listener>(star.left, group);
    REQUIRE(host->ok());
    const std::uint8_t report = family == AF_INET ? 0x16 : 131;
    REQUIRE(router.hears(report, group));
    const Heard& h = *router.find(report, group);
    CHECK(h.message.interface_index == star.router.index("left0"));
    CHECK(h.message.hop_limit == 1);
    CHECK(h.message.router_alert);
    CHECK(h.message.source ==
          bytes_of(family == AF_INET ? Star::host(family, 2) : link_local(star.left, "e")));
    CHECK(h.bytes.size() == (family == AF_INET ? 8 : 24));
    // The leave goes to all routers.
    host.reset();
    CHECK(router.hears(family == AF_INET ? 0x17 : 132, family == AF_INET ? "224.0.0.2" : "ff02::2"));
    CHECK(router.routing->control().drops() == 0);
    CHECK(router.routing->control().malformed() == 0);
  }
}

TEST_CASE("control: IGMPv3 and MLDv2 hosts report, and answer a query, which has all that it must") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    const Star star;
    Router router(star.router, family, {"up0", "left0"});
    auto listening = star.left.in([&] {
      return ControlSocket::open(family == AF_INET ? ControlProtocol::igmp : ControlProtocol::mld);
    });
    REQUIRE(listening.ok());
    const Listener host(star.left, Star::group(family), Star::host(family, 1));
    const std::uint8_t report = family == AF_INET ? 0x22 : 143;
    const std::string all = family == AF_INET ? "224.0.0.22" : "ff02::16";
    REQUIRE(router.hears(report, all));
    // The unsolicited reports are over when nothing has come for a while; the next is the answer.
    CHECK(router.find(report, all)->message.router_alert);
    CHECK(router.find(report, all)->message.hop_limit == 1);

    const AddressBytes own =
        bytes_of(family == AF_INET ? Star::gateway(family, 2) : link_local(star.router, "left0"));
    REQUIRE(ask(router.routing->control(), star.router, "left0", own) == 0);
    std::vector<Heard> at_host;
    REQUIRE(eventually([&] {
      for (const ControlMessage& m : listening.value()->receive())
        if (m.payload[0] == (family == AF_INET ? 0x11 : 130)) at_host.push_back({m, {}});
      return !at_host.empty();
    }));
    CHECK(at_host[0].message.source == own);
    CHECK(at_host[0].message.hop_limit == 1);
    CHECK(at_host[0].message.router_alert);
    CHECK(at_host[0].message.interface_index == star.left.index("e"));
    // A current-state record (1, 2) of our group; unsolicited ones tell changes (3 to 6).
    const auto current = [&](const Heard& h) {
      const std::size_t first = 8;
      return h.bytes.size() > first && h.bytes[0] == report && (h.bytes[first] == 1 || h.bytes[first] == 2);
    };
    CHECK(eventually([&] {
      router.read();
      return std::any_of(router.heard.begin(), router.heard.end(), current);
    }));
    // What we send does not come back to us.
    CHECK(std::none_of(router.heard.begin(), router.heard.end(),
                       [&](const Heard& h) { return h.message.source == own && h.bytes[0] != report; }));
  }
}

TEST_CASE("control: PIM between two routers, to all of the link and to one") {
  SLUICE_NEEDS_NETWORKS();
  for (const auto protocol : {ControlProtocol::pim, ControlProtocol::pim6}) {
    const int family = protocol == ControlProtocol::pim ? AF_INET : AF_INET6;
    CAPTURE(family);
    const Star star;
    const auto open = [&](const Network& network, const char* device) {
      return network.in([&] {
        auto opened = ControlSocket::open(protocol);
        REQUIRE(opened.ok());
        REQUIRE_FALSE(opened.value()->join(if_nametoindex(device)));
        return std::move(opened.value());
      });
    };
    const auto here = open(star.router, "left0");
    const auto there = open(star.left, "e");
    // A hello without options, and the checksum of nobody: it is the caller's.
    const std::vector<std::uint8_t> hello{0x20, 0, 0xab, 0xcd};
    const AddressBytes own =
        bytes_of(family == AF_INET ? Star::gateway(family, 2) : link_local(star.router, "left0"));
    for (const bool to_all : {true, false}) {
      CAPTURE(to_all);
      ControlSend send;
      send.interface_index = star.router.index("left0");
      send.source = own;
      send.destination =
          to_all ? bytes_of(family == AF_INET ? "224.0.0.13" : "ff02::d") : bytes_of(Star::host(family, 2));
      send.hop_limit = to_all ? 1 : 64;
      send.payload = hello;
      REQUIRE(here->send(send) == 0);
      Heard h;
      REQUIRE(eventually([&] {
        for (const ControlMessage& m : there->receive()) h = {m, {m.payload.begin(), m.payload.end()}};
        return !h.bytes.empty();
      }));
      CHECK(h.bytes == hello);
      CHECK(h.message.source == own);
      CHECK(h.message.destination == send.destination);
      CHECK(h.message.hop_limit == send.hop_limit);
      CHECK_FALSE(h.message.router_alert);
      CHECK(h.message.interface_index == star.left.index("e"));
    }
    CHECK(here->receive().empty());
    ControlSend wrong;
    wrong.destination = bytes_of(family == AF_INET ? "ff02::d" : "224.0.0.13");
    wrong.payload = hello;
    CHECK(here->send(wrong) == EINVAL);
    // Left, nothing comes any more, and what is sent to one still does.
    star.left.in([&] { there->leave(if_nametoindex("e")); });
  }
}

TEST_CASE("control: more interfaces than a socket has joins") {
  SLUICE_NEEDS_NETWORKS();
  const Network router;
  for (int i = 0; i < 15; i++) {
    REQUIRE(router.ip("link add a" + std::to_string(i) + " type veth peer name b" + std::to_string(i)));
    REQUIRE(router.ip("link set a" + std::to_string(i) + " up"));
  }
  for (const auto protocol : {ControlProtocol::igmp, ControlProtocol::mld}) {
    router.in([&] {
      auto control = ControlSocket::open(protocol);
      REQUIRE(control.ok());
      for (int i = 0; i < 15; i++)
        CHECK_FALSE(control.value()->join(if_nametoindex(("a" + std::to_string(i)).c_str())));
      const auto error = control.value()->join(4'000'000);
      REQUIRE(error);
      CHECK(error->code == std::string("INTERFACE_UNKNOWN"));
    });
  }
}

namespace {

/** A router whose interface is a bridge that watches what its ports ask for, with a host on each of three
 * ports. */
struct Bridged {
  Network router;
  Network one;
  Network two;
  Network three;
  std::unique_ptr<kernel::PacketRx> at_two;

  Bridged() {
    REQUIRE(router.ip("link add bridge0 type bridge mcast_snooping 1 mcast_query_response_interval 1"));
    REQUIRE((port("port1", one) && port("port2", two) && port("port3", three)));
    REQUIRE((router.ip("link set bridge0 up") && router.ip("addr add 10.0.1.1/24 dev bridge0")));
    REQUIRE((one.ip("addr add 10.0.1.2/24 dev e") && three.ip("addr add 10.0.1.3/24 dev e")));
    // The bridge has a carrier when the kernel has got round to it; before that there is no IPv6.
    REQUIRE(eventually(
        [this] { return link_local(router, "bridge0") != "::" && link_local(three, "e") != "::"; }));
    auto opened = two.in([] { return kernel::PacketRx::open({"e"}); });
    REQUIRE(opened.ok());
    at_two = std::move(opened.value());
  }
  [[nodiscard]] bool port(const std::string& name, const Network& host) const {
    return router.connect(name, host, "e") && router.ip("link set " + name + " master bridge0");
  }
  /** UDP datagrams that have come to the second host meanwhile. */
  std::size_t seen_by_two(int family) {
    const std::size_t protocol = family == AF_INET ? 14 + 9 : 14 + 6;
    const std::uint8_t ethertype = family == AF_INET ? 0x08 : 0x86;
    std::size_t count = 0;
    for (auto frames = at_two->receive(); !frames.empty(); frames = at_two->receive())
      for (const auto& frame : frames)
        if (frame.data.size() > protocol && frame.data[12] == ethertype &&
            frame.data[protocol] == IPPROTO_UDP)
          count++;
    return count;
  }
  /** Who says that there is a querier: nobody, the third host, the router itself, or the bridge. */
  void let(const std::string& querier, int family, ControlSocket& control) {
    if (querier == "other") {
      auto other = three.in([&] {
        return ControlSocket::open(family == AF_INET ? ControlProtocol::igmp : ControlProtocol::mld);
      });
      REQUIRE(other.ok());
      const auto own = bytes_of(family == AF_INET ? "10.0.1.3" : link_local(three, "e"));
      REQUIRE(ask(*other.value(), three, "e", own) == 0);
    }
    if (querier == "router") {
      const auto own = bytes_of(family == AF_INET ? "10.0.1.1" : link_local(router, "bridge0"));
      REQUIRE(ask(control, router, "bridge0", own) == 0);
    }
    if (querier == "bridge") REQUIRE(router.ip("link set bridge0 type bridge mcast_querier 1"));
  }
  /** Whether the bridge keeps from the second host what nobody there asked for. */
  bool keeps_back(int family, test::Talker& talker) {
    return eventually([&] {
      seen_by_two(family);
      REQUIRE(talker.send());
      ::poll(nullptr, 0, 10);
      return seen_by_two(family) == 0;
    });
  }
};

}  // namespace

TEST_CASE("control: a bridge that snoops beneath us keeps no report from us, whoever is the querier") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    Bridged net;
    Router router(net.router, family, {"bridge0"});
    int number = 0;
    for (const std::string querier : {"nobody", "other", "router", "bridge"}) {
      for (const int version : {2, 3}) {
        CAPTURE(querier);
        CAPTURE(version);
        net.one.set("ipv4/conf/e/force_igmp_version", std::to_string(version));
        net.one.set("ipv6/conf/e/force_mld_version", std::to_string(version - 1));
        net.let(querier, family, router.routing->control());
        const std::string group = (family == AF_INET ? "239.7.7." : "ff35::7:") + std::to_string(++number);
        test::Talker talker(net.router, group, "bridge0");
        if (querier != "nobody") CHECK(net.keeps_back(family, talker));
        Listener host(net.one, group);
        const bool old = version == 2;
        const std::uint8_t type = family == AF_INET ? (old ? 0x16 : 0x22) : (old ? 131 : 143);
        const Heard* heard = nullptr;
        REQUIRE(eventually([&] {
          router.read();
          heard = router.about(type, bytes_of(group));
          return heard != nullptr;
        }));
        CHECK(heard->message.interface_index == net.router.index("bridge0"));
        net.seen_by_two(family);
        const auto before = host.count();
        REQUIRE(talker.send());
        CHECK(eventually([&] { return host.count() == before + 1; }));
        if (querier != "nobody") CHECK(net.seen_by_two(family) == 0);
      }
    }
  }
}
