// What a multicast router inherits of the one before it, and what it must not: real hosts, real packets.
#include <doctest/doctest.h>

#include <sstream>

#include "test/keeper.h"
#include "test/router_bed.h"

using namespace sluice;
using membership::Channel;
using membership::kNever;
using plane::MulticastRouter;
using plane::RouterInterfaceOptions;
using plane::UpstreamMode;
using test::Bed;
using test::hosts_on;
using test::ip;
using test::Listener;
using test::Network;
using test::Star;
using test::Talker;
using test::TurnedRouter;

namespace {

/** Routers that are killed, and begin anew with what a keeper has. */
struct Kept {
  Kept() {
    REQUIRE(keeper.up());
    auto connected = kernel::HolderStore::connect(keeper.path());
    REQUIRE(connected.ok());
    store = std::move(connected.value());
  }
  [[nodiscard]] MulticastRouter::Kept none() const { return {store.get()}; }
  [[nodiscard]] MulticastRouter::Kept all() const {
    auto found = store->all();
    REQUIRE(found.ok());
    return {store.get(), std::move(found.value())};
  }

  const test::Keeper keeper;
  std::unique_ptr<kernel::HolderStore> store;
};

/** Where the kernel sends what comes from the source of the star. */
kernel::VifSet outgoing(Bed& bed) {
  auto routes = bed.star.router.in([&] { return bed.router->socket().dump(); });
  REQUIRE(routes.ok());
  for (const kernel::KernelRoute& one : routes.value())
    if (one.route.source == test::bytes_of(Star::host(bed.family, 1))) return one.route.outgoing;
  return 0;
}

/** Packets that a network's host has sent. */
std::uint64_t transmitted(const Network& network) {
  const std::string all = network.read("/proc/net/dev");
  std::istringstream line(all.substr(all.find(" e:") + 3));
  std::uint64_t value = 0;
  for (int column = 0; column < 10; column++) line >> value;
  return value;
}

/** `source` - `first` - `rp` - `host`: two routers by PIM, the second the RP of all groups. */
struct Chain {
  explicit Chain(int its_family) : family(its_family) {
    ok = cable(source, "e", first, "up0", 1) && cable(first, "mid0", rp, "up0", 2) &&
         cable(rp, "left0", host, "e", 3);
    source.ip("route add ff00::/8 dev e table local");
    source.ip("route add 224.0.0.0/4 dev e");
    rp.ip("route add 10.0.1.0/24 via 10.0.2.1");
    rp.ip("route add fd00:1::/64 via fd00:2::1");
    for (TurnedRouter* const one : {&first_router, &rp_router}) {
      one->options.v4 = one->options.pim.v4 = v4();
      one->options.upstream = UpstreamMode::pim;
      one->options.pim.static_rps = {
          {{ip(v4() ? "224.0.0.0" : "ff00::"), v4() ? 4U : 8U}, ip(v4() ? "10.0.2.2" : "fd00:2::2")}};
    }
  }
  [[nodiscard]] bool v4() const { return family == AF_INET; }
  void open(TurnedRouter& router, const std::vector<std::string>& devices, MulticastRouter::Kept kept) const {
    router.open(std::move(kept));
    for (const std::string& one : devices) {
      RouterInterfaceOptions o = hosts_on(one, v4());
      o.pim.emplace();
      o.pim->triggered_hello_delay = kernel::kMillisecond;
      router.add(o);
    }
  }
  template <class F>
  bool turn_until(F&& done) {
    return test::turn_until({&first_router, &rp_router}, std::forward<F>(done));
  }

  const int family;
  Network source;
  Network first;
  Network rp;
  Network host;
  bool ok = false;
  TurnedRouter first_router{first};
  TurnedRouter rp_router{rp};

 private:
  static bool cable(const Network& one, const std::string& name, const Network& other,
                    const std::string& there, int number) {
    const std::string v4 = "10.0." + std::to_string(number);
    const std::string v6 = "fd00:" + std::to_string(number) + "::";
    return one.connect(name, other, there) && one.ip("addr add " + v4 + ".1/24 dev " + name) &&
           one.ip("addr add " + v6 + "1/64 dev " + name) &&
           other.ip("addr add " + v4 + ".2/24 dev " + there) &&
           other.ip("addr add " + v6 + "2/64 dev " + there);
  }
};

}  // namespace

TEST_CASE("router restart: an RP that is killed loses nothing of what comes by the source's own tree") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    const Kept kept;
    Chain chain(family);
    REQUIRE(chain.ok);
    chain.open(chain.first_router, {"up0", "mid0"}, {});
    chain.open(chain.rp_router, {"up0", "left0"}, kept.none());
    const std::string group = chain.v4() ? "239.1.1.1" : "ff1e::1:1";
    const auto source = ip(chain.v4() ? "10.0.1.1" : "fd00:1::1");
    Talker talker(chain.source, group);
    Listener host(chain.host, group);
    auto& router = chain.rp_router.router;
    const auto incoming = [&] {
      const auto* const route = router->routes().find(source, ip(group));
      return route == nullptr ? membership::kNoInterface : route->forwarding.incoming;
    };
    REQUIRE(chain.turn_until(
        [&] { return talker.send() && incoming() == router->find("up0")->vif() && host.count() > 100; }));

    // What is on its way comes first.
    const auto all_came = [&](std::size_t missing) {
      return chain.turn_until([&] { return talker.sent() - host.count() == missing; });
    };
    REQUIRE(chain.turn_until([&, before = std::size_t{0}]() mutable {
      return std::exchange(before, host.count()) == host.count();
    }));
    const std::size_t missing = talker.sent() - host.count();
    router.reset();
    for (int i = 0; i < 100; i++) REQUIRE((talker.send() && chain.turn_until([] { return true; })));
    chain.open(chain.rp_router, {"up0", "left0"}, kept.all());
    // Until long after the host has answered.
    const auto confirmed = [&] {
      const auto* const route = router->routes().find(source, ip(group));
      return route != nullptr && route->inherited == 0 && route->forwarding.outgoing != 0;
    };
    REQUIRE(chain.turn_until([&] { return talker.send() && confirmed(); }));
    const std::uint32_t enough = talker.sent() + 500;
    REQUIRE(chain.turn_until([&] { return talker.send() && talker.sent() >= enough; }));
    CHECK(all_came(missing));
    CHECK(incoming() == router->find("up0")->vif());
    CHECK(router->pim()->route(source, ip(group)).spt);
    chain.rp.in([&] { router->withdraw(); });
  }
}

TEST_CASE("router restart: who has lost its right receives nothing more, whatever was inherited") {
  SLUICE_NEEDS_NETWORKS();
  enum class Way { nobody_gave_it, it_is_denied, hold_expires, revoked, other_tables };
  for (const Way way :
       {Way::nobody_gave_it, Way::it_is_denied, Way::hold_expires, Way::revoked, Way::other_tables}) {
    CAPTURE(static_cast<int>(way));
    const Kept kept;
    Bed bed(AF_INET, UpstreamMode::none, kept.none());
    REQUIRE(bed.star.ok);
    RouterInterfaceOptions closed = hosts_on("left0", true);
    closed.admission.open = false;
    const Channel channel{ip(bed.group()), ip(Star::host(AF_INET, 1))};
    const auto allow = [&] {
      bed.router->find("left0")->admission().authorise(channel, kNever, kernel::monotonic_now());
    };
    bed.add(hosts_on("up0", true));
    bed.add(closed);
    allow();
    Talker talker(bed.star.source, bed.group());
    Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
    REQUIRE(bed.flows(talker, left));

    bed.router.reset();
    bed.options.restart_grace = 1000 * kernel::kSecond;
    if (way != Way::nobody_gave_it) closed.admission.hold = kernel::kSecond / 2;
    if (way == Way::it_is_denied) closed.admission.ranges = {{{ip("239.0.0.0"), 8}, {}}};
    // Nobody hears the host before it is asked.
    if (way == Way::revoked || way == Way::other_tables)
      closed.querier->query_response = 100 * kernel::kSecond;
    bed.open(kept.all());
    bed.add(hosts_on("up0", true));
    bed.add(closed);
    auto& left0 = *bed.router->find("left0");
    if (way == Way::revoked || way == Way::other_tables) {
      CHECK(bed.flows(talker, left));
      if (way == Way::revoked)
        left0.admission().revoke(channel, kernel::monotonic_now());
      else
        left0.configure({}, kernel::monotonic_now());
    } else {
      REQUIRE(bed.turn_until([&] { return talker.send() && outgoing(bed) == 0; }));
    }
    (void)left.count();
    CHECK(bed.silent(talker, left));
    bed.star.router.in([&] { bed.router->withdraw(); });
  }
}

TEST_CASE("router restart: a right that is given again in time changes nothing") {
  SLUICE_NEEDS_NETWORKS();
  const Kept kept;
  Bed bed(AF_INET, UpstreamMode::none, kept.none());
  REQUIRE(bed.star.ok);
  RouterInterfaceOptions closed = hosts_on("left0", true);
  closed.admission.open = false;
  const auto add = [&] {
    bed.add(hosts_on("up0", true));
    bed.add(closed);
    bed.router->find("left0")->admission().authorise({ip(bed.group()), ip(Star::host(AF_INET, 1))}, kNever,
                                                     kernel::monotonic_now());
  };
  add();
  Talker talker(bed.star.source, bed.group());
  Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
  REQUIRE(bed.flows(talker, left));
  const std::size_t missing = talker.sent() - left.count();
  bed.router.reset();
  bed.open(kept.all());
  add();
  const auto& left0 = *bed.router->find("left0");
  REQUIRE(bed.turn_until([&] { return talker.send() && left0.admission().counters().admitted == 1; }));
  REQUIRE(bed.flows(talker, left));
  CHECK(talker.sent() - left.count() == missing);
  bed.star.router.in([&] { bed.router->withdraw(); });
}

TEST_CASE("router restart: reports of while nobody listened are heard, though their interfaces come later") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    const Kept kept;
    Bed bed(family, UpstreamMode::none, kept.none());
    REQUIRE(bed.star.ok);
    bed.add(hosts_on("up0", bed.v4()));
    bed.add(hosts_on("left0", bed.v4()));
    bed.router.reset();
    // Without an address nobody can ask; a host without one reports from 0.0.0.0, and only once.
    REQUIRE(bed.star.router.ip("addr flush dev left0"));
    REQUIRE(bed.star.left.ip("-4 addr flush dev e"));
    bed.star.left.set("ipv4/conf/e/igmpv3_unsolicited_report_interval", "1");
    bed.star.left.set("ipv6/conf/e/mldv2_unsolicited_report_interval", "1");
    const std::uint64_t before = transmitted(bed.star.left);
    Listener left(bed.star.left, bed.group(), Star::host(family, 1));
    REQUIRE(left.ok());
    REQUIRE(test::eventually([&] { return transmitted(bed.star.left) >= before + 2; }));

    bed.open(kept.all());
    for (int turns = 0; turns < 50; turns++) bed.turn();
    bed.add(hosts_on("up0", bed.v4()));
    bed.add(hosts_on("left0", bed.v4()));
    const auto& left0 = *bed.router->find("left0");
    CHECK(bed.turn_until([&] { return left0.querier()->has(ip(bed.group())); }));
    CHECK(left0.querier()->counters().general_queries_sent == 0);
    bed.star.router.in([&] { bed.router->withdraw(); });
  }
}

TEST_CASE("router restart: who gets the place of an interface that is gone does not get its streams") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6})
    for (const bool goes_while_nobody_looks : {true, false}) {
      CAPTURE(family);
      CAPTURE(goes_while_nobody_looks);
      const Kept kept;
      Bed bed(family, UpstreamMode::none, kept.none());
      REQUIRE(bed.star.ok);
      bed.add(hosts_on("up0", bed.v4()));
      bed.add(hosts_on("left0", bed.v4()));
      Talker talker(bed.star.source, bed.group());
      Listener left(bed.star.left, bed.group(), Star::host(family, 1));
      REQUIRE(bed.flows(talker, left));
      const kernel::Vif place = bed.router->find("left0")->vif();
      bed.router.reset();
      bed.options.restart_grace = 1000 * kernel::kSecond;
      if (goes_while_nobody_looks) REQUIRE(bed.star.router.ip("link del left0"));
      bed.open(kept.all());
      bed.add(hosts_on("up0", bed.v4()));
      if (!goes_while_nobody_looks) {
        RouterInterfaceOptions slow = hosts_on("left0", bed.v4());
        slow.querier->query_response = 100 * kernel::kSecond;
        bed.add(slow);
        CHECK(bed.flows(talker, left));
        CHECK(outgoing(bed) == membership::only(place));
        REQUIRE(bed.star.router.ip("link del left0"));
        REQUIRE(bed.turn_until([&] { return !bed.router->find("left0")->is_up(); }));
      }
      bed.add(hosts_on("right0", bed.v4()));
      REQUIRE(bed.router->find("right0")->vif() == place);
      REQUIRE(talker.send());
      CHECK(outgoing(bed) == 0);
      bed.star.router.in([&] { bed.router->withdraw(); });
    }
}
