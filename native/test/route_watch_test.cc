// Links, addresses and the way back to a source, while an administrator changes them.
#include "kernel/route_watch.h"

#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <set>

#include "test/namespaces.h"

using namespace sluice;
using kernel::AddressBytes;
using kernel::RouteWatch;
using kernel::RpfRoute;
using test::bytes_of;
using test::eventually;
using test::Network;
using Kind = kernel::RpfRoute::Kind;

namespace {

/** Writes down what it is told. */
class Told final : public kernel::RouteListener {
 public:
  void on_link(unsigned index) noexcept override { links.insert(index); }
  void on_routes(const AddressBytes& prefix, unsigned bits) noexcept override {
    routes.emplace_back(prefix, bits);
    all = all || bits == 0;
  }
  void clear() { *this = Told(); }

  std::set<unsigned> links;
  std::vector<std::pair<AddressBytes, unsigned>> routes;
  bool all = false;
};

/** A router with two links, and somebody at the other ends. */
struct Site {
  Network router;
  Network other;
  std::unique_ptr<RouteWatch> watch;
  Told told;

  explicit Site(const RouteWatch::Options& options = {}) {
    REQUIRE(router.connect("west0", other, "w"));
    REQUIRE(router.connect("east0", other, "x"));
    for (const char* address : {"10.0.1.1/24 dev west0", "10.0.2.1/24 dev east0", "fd00:1::1/64 dev west0",
                                "fd00:2::1/64 dev east0"})
      REQUIRE(router.ip(std::string("addr add ") + address));
    auto opened = router.in([&] { return RouteWatch::open(options); });
    REQUIRE(opened.ok());
    watch = std::move(opened.value());
    // What the kernel does by itself is over: carriers, and an address of the link beside the two of each.
    REQUIRE(eventually([this] {
      read();
      return settled("west0") && settled("east0");
    }));
    told.clear();
  }
  [[nodiscard]] bool settled(const char* device) const {
    const auto* const link = watch->link(router.index(device));
    return link != nullptr && link->running && link->addresses.size() == 3;
  }
  void read() { watch->receive(told); }
  RpfRoute to(const std::string& address) { return watch->lookup(bytes_of(address)); }
  RpfRoute route(const char* device, const std::string& next_hop, std::uint8_t preference,
                 std::uint32_t metric, unsigned bits) const {
    return {Kind::unicast, router.index(device), bytes_of(next_hop), preference, metric, bits};
  }
};

}  // namespace

TEST_CASE("routes: what the kernel would do for an address") {
  SLUICE_NEEDS_NETWORKS();
  Site site;
  const auto add = [&](const std::string& route) { REQUIRE(site.router.ip("route add " + route)); };
  add("192.0.2.0/24 via 10.0.1.2");
  add("192.0.2.128/25 via 10.0.2.2 proto ospf metric 30");
  add("198.51.100.0/24 proto bgp nexthop via 10.0.1.7 nexthop via 10.0.2.9 nexthop via 10.0.1.8");
  add("blackhole 203.0.113.0/24");
  add("unreachable 203.0.114.0/24");
  add("192.0.3.0/24 via inet6 fe80::9 dev east0");
  add("2001:db8:1::/48 via fd00:1::2 metric 7");
  add("2001:db8:2::/48 proto isis metric 9 nexthop via fd00:2::5 nexthop via fd00:1::6");
  add("blackhole 2001:db8:3::/48");
  CHECK(site.to("10.0.1.77") == site.route("west0", "0.0.0.0", 0, 0, 96 + 24));
  CHECK(site.to("192.0.2.5") == site.route("west0", "10.0.1.2", 1, 0, 96 + 24));
  CHECK(site.to("192.0.2.200") == site.route("east0", "10.0.2.2", 110, 30, 96 + 25));
  // Several ways: the highest next hop.
  CHECK(site.to("198.51.100.1") == site.route("east0", "10.0.2.9", 20, 0, 96 + 24));
  CHECK(site.to("192.0.3.1") == site.route("east0", "fe80::9", 1, 0, 96 + 24));
  CHECK(site.to("203.0.113.1").kind == Kind::none);
  CHECK(site.to("203.0.114.1").kind == Kind::none);
  CHECK(site.to("8.8.8.8").kind == Kind::none);
  CHECK(site.to("10.0.2.1").kind == Kind::local);
  CHECK(site.to("fd00:2::42") == site.route("east0", "::", 0, 256, 64));
  CHECK(site.to("2001:db8:1::1") == site.route("west0", "fd00:1::2", 1, 7, 48));
  CHECK(site.to("2001:db8:2::1") == site.route("east0", "fd00:2::5", 115, 9, 48));
  CHECK(site.to("2001:db8:3::1").kind == Kind::none);
  CHECK(site.to("2001:db8:4::1").kind == Kind::none);
  CHECK(site.to("fd00:1::1").kind == Kind::local);
  add("default via 10.0.1.3 proto static metric 5");
  site.read();
  CHECK(site.to("8.8.8.8") == site.route("west0", "10.0.1.3", 1, 5, 96));
}

TEST_CASE("routes: nexthop objects, also where the kernel shows only their number") {
  SLUICE_NEEDS_NETWORKS();
  Site site;
  REQUIRE(site.router.ip("nexthop add id 1 via 10.0.1.2 dev west0"));
  REQUIRE(site.router.ip("nexthop add id 2 via fd00:2::2 dev east0"));
  REQUIRE(site.router.ip("route add 192.0.2.0/24 nhid 1 metric 3"));
  REQUIRE(site.router.ip("route add 2001:db8::/32 nhid 2 metric 4"));
  for (const char* compatible : {"1", "0"}) {
    CAPTURE(compatible);
    site.router.set("ipv4/nexthop_compat_mode", compatible);
    site.router.ip("route add 192.0.9.0/24 via 10.0.1.9");
    site.read();
    CHECK(site.to("192.0.2.1") == site.route("west0", "10.0.1.2", 1, 3, 96 + 24));
    CHECK(site.to("2001:db8::1") == site.route("east0", "fd00:2::2", 1, 4, 32));
  }
  // One object, and all its routes lead elsewhere.
  REQUIRE(site.router.ip("nexthop replace id 1 via 10.0.2.2 dev east0"));
  site.read();
  CHECK(site.told.all);
  CHECK(site.to("192.0.2.1") == site.route("east0", "10.0.2.2", 1, 3, 96 + 24));
}

TEST_CASE("routes: a change is told where somebody had asked, and the next answer is the new one") {
  SLUICE_NEEDS_NETWORKS();
  Site site;
  REQUIRE(site.router.ip("route add 192.0.2.0/24 via 10.0.1.2"));
  REQUIRE(site.router.ip("route add 2001:db8::/32 via fd00:1::2"));
  site.read();
  CHECK(site.told.routes.empty());
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.1.2"));
  CHECK(site.to("2001:db8::1").next_hop == bytes_of("fd00:1::2"));
  const auto asked = site.watch->asked();
  for (int i = 0; i < 100; i++) CHECK(site.to("192.0.2.1").kind == Kind::unicast);
  CHECK(site.watch->asked() == asked);

  const auto changed = [&](const std::string& command) {
    site.told.clear();
    const auto before = site.watch->generation();
    REQUIRE(site.router.ip(command));
    site.read();
    CHECK(site.watch->generation() != before);
    return site.told.routes;
  };
  using Prefixes = std::vector<std::pair<AddressBytes, unsigned>>;
  CHECK(changed("route replace 192.0.2.0/24 via 10.0.2.2") == Prefixes{{bytes_of("192.0.2.0"), 96 + 24}});
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.2.2"));
  CHECK(changed("route add 192.0.2.0/25 via 10.0.1.3") == Prefixes{{bytes_of("192.0.2.0"), 96 + 25}});
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.1.3"));
  CHECK(changed("route add 192.0.2.128/25 via 10.0.1.3").empty());
  CHECK(changed("route del 192.0.2.0/25") == Prefixes{{bytes_of("192.0.2.0"), 96 + 25}});
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.2.2"));
  CHECK(changed("route replace 2001:db8::/32 via fd00:2::2") == Prefixes{{bytes_of("2001:db8::"), 32}});
  CHECK(site.to("2001:db8::1").next_hop == bytes_of("fd00:2::2"));
  // Another table, by a rule.
  REQUIRE(site.router.ip("route add 192.0.2.0/24 via 10.0.1.9 table 77"));
  changed("rule add to 192.0.2.0/24 lookup 77");
  CHECK(site.told.all);
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.1.9"));
}

TEST_CASE("routes: a link that goes takes its routes along, though IPv4 does not tell of them") {
  SLUICE_NEEDS_NETWORKS();
  Site site;
  const unsigned east = site.router.index("east0");
  // IPv6 would tell of addresses that go along.
  site.router.set("ipv6/conf/east0/disable_ipv6", "1");
  REQUIRE(site.router.ip("route add 192.0.2.0/24 via 10.0.2.2 metric 1"));
  REQUIRE(site.router.ip("route add 192.0.2.0/24 via 10.0.1.2 metric 2"));
  site.read();
  CHECK(site.to("192.0.2.1").interface_index == east);
  REQUIRE(site.watch->link(east) != nullptr);
  CHECK(site.watch->link(east)->running);
  CHECK(site.watch->link(east)->name == "east0");
  CHECK(site.watch->link(east)->kind == "veth");
  CHECK(site.watch->link(east)->mtu == 1500);

  REQUIRE(site.router.ip("link set east0 down"));
  site.read();
  CHECK(site.told.all);
  CHECK(site.told.links.contains(east));
  CHECK_FALSE(site.watch->link(east)->running);
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.1.2"));

  REQUIRE(site.router.ip("link del east0"));
  site.read();
  CHECK(site.watch->link(east) == nullptr);
}

TEST_CASE("routes: links and addresses follow the administrator") {
  SLUICE_NEEDS_NETWORKS();
  Site site;
  const unsigned west = site.router.index("west0");
  const auto has = [&](const std::string& address, unsigned bits, bool secondary) {
    const auto* link = site.watch->link(west);
    return link != nullptr && std::any_of(link->addresses.begin(), link->addresses.end(), [&](const auto& a) {
             return a.address == bytes_of(address) && a.bits == bits && a.secondary == secondary;
           });
  };
  CHECK(has("10.0.1.1", 24, false));
  CHECK(has("fd00:1::1", 64, false));
  REQUIRE(site.router.ip("addr add 10.0.1.99/24 dev west0"));
  REQUIRE(site.router.ip("addr del fd00:1::1/64 dev west0"));
  REQUIRE(site.router.ip("link set west0 mtu 1400"));
  site.read();
  CHECK(site.told.links == std::set<unsigned>{west});
  CHECK(has("10.0.1.99", 24, true));
  CHECK_FALSE(has("fd00:1::1", 64, false));
  CHECK(site.watch->link(west)->mtu == 1400);
  REQUIRE(site.router.ip("link add bridge0 type bridge"));
  REQUIRE(site.router.ip("link set west0 master bridge0"));
  REQUIRE(site.router.ip("link set bridge0 up"));
  site.read();
  const unsigned bridge = site.router.index("bridge0");
  REQUIRE(site.watch->link(bridge) != nullptr);
  CHECK(site.watch->link(bridge)->kind == "bridge");
  CHECK(site.watch->link(west)->master == bridge);
  // An address that is still looked for on the link is not ours yet.
  site.router.set("ipv6/conf/bridge0/accept_dad", "1");
  site.router.set("ipv6/conf/bridge0/dad_transmits", "1");
  REQUIRE(site.router.ip("addr add fd00:7::1/64 dev bridge0"));
  const auto found = [&] {
    site.read();
    const auto& list = site.watch->link(bridge)->addresses;
    return std::any_of(list.begin(), list.end(),
                       [](const auto& a) { return a.address == bytes_of("fd00:7::1"); });
  };
  CHECK_FALSE(found());
  CHECK(eventually(found));
}

TEST_CASE("routes: when more changes than there is room for, everything is looked at anew") {
  SLUICE_NEEDS_NETWORKS();
  Site site;
  CHECK(site.to("192.0.2.1").kind == Kind::none);
  // The kernel doubles it, and has a least size.
  const int small = 1;
  REQUIRE(setsockopt(site.watch->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
  for (int i = 0; i < 60; i++)
    REQUIRE(site.router.ip("route add 198.18." + std::to_string(i) + ".0/24 via 10.0.1.2"));
  REQUIRE(site.router.ip("link set east0 mtu 1300"));
  REQUIRE(site.router.ip("addr del 10.0.2.1/24 dev east0"));
  REQUIRE(site.router.ip("route add 192.0.2.0/24 via 10.0.1.2"));
  site.read();
  CHECK(site.watch->overruns() > 0);
  CHECK(site.told.all);
  const unsigned east = site.router.index("east0");
  CHECK(site.told.links.contains(east));
  CHECK(site.watch->link(east)->mtu == 1300);
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.1.2"));
}

TEST_CASE("routes: more addresses than are kept are answered, and every change is told then") {
  SLUICE_NEEDS_NETWORKS();
  RouteWatch::Options options;
  options.kept = 4;
  Site site(options);
  REQUIRE(site.router.ip("route add 192.0.2.0/24 via 10.0.1.2"));
  site.read();
  for (int i = 1; i < 10; i++) CHECK(site.to("192.0.2." + std::to_string(i)).kind == Kind::unicast);
  site.told.clear();
  REQUIRE(site.router.ip("route add 192.0.2.1/32 via 10.0.2.2"));
  site.read();
  REQUIRE(site.told.routes.size() == 1);
  CHECK(site.told.routes[0].first == bytes_of("192.0.2.1"));
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.2.2"));
}

TEST_CASE("routes: a mark chooses the table") {
  SLUICE_NEEDS_NETWORKS();
  RouteWatch::Options options;
  options.mark = 9;
  Site site(options);
  REQUIRE(site.router.ip("route add 192.0.2.0/24 via 10.0.1.2"));
  REQUIRE(site.router.ip("route add 192.0.2.0/24 via 10.0.2.2 table 88"));
  REQUIRE(site.router.ip("rule add fwmark 9 lookup 88"));
  site.read();
  CHECK(site.to("192.0.2.1").next_hop == bytes_of("10.0.2.2"));
}
