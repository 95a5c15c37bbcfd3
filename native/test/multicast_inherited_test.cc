// What a multicast router inherits of the one before it, and what it must not: real hosts, real packets.
#include <doctest/doctest.h>

#include <array>

#include "codec/igmp.h"
#include "codec/mld.h"
#include "test/multicast_bed.h"

using namespace sluice;
using membership::Channel;
using membership::kNever;
using plane::MulticastRouter;
using plane::RouterInterfaceOptions;
using plane::UpstreamMode;
using test::hosts_on;
using test::ip;
using test::Listener;
using test::Network;
using test::Star;
using test::Talker;
using test::TurnedRouter;
using Bed = test::MulticastBed;

namespace {

/** Nobody has answered a query before that. */
constexpr kernel::Nanos kSlow = 100 * kernel::kSecond;

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

/** What a host has joined it tells at once as often as it does, and then only when it is asked. */
void say_all_at_once(const Network& host) {
  host.set("ipv4/conf/e/igmpv3_unsolicited_report_interval", "1");
  host.set("ipv6/conf/e/mldv2_unsolicited_report_interval", "1");
}

/** A report of a host whose kernel knows nothing of it: once, and no answer to queries. */
void report(const Network& network, bool v4, const Channel& channel) {
  const codec::GroupRecord record{codec::RecordType::allow, channel.group,
                                  codec::SourceList({&channel.source, 1})};
  const codec::MembershipReport all{std::uint8_t(v4 ? 3 : 2),
                                    codec::Sequence<codec::GroupRecord>(std::span(&record, 1))};
  const auto to = ip(v4 ? "224.0.0.22" : "ff02::16");
  std::array<std::uint8_t, 128> room{};
  const std::size_t size =
      v4 ? codec::igmp::write_report(all, room) : codec::mld::write_report(all, {ip("::"), to}, room);
  auto socket = network.in([&] {
    return kernel::ControlSocket::open(v4 ? kernel::ControlProtocol::igmp : kernel::ControlProtocol::mld);
  });
  REQUIRE(socket.ok());
  const kernel::ControlSend message{network.index("e"), test::bytes_of(v4 ? "0.0.0.0" : "::"), to.bytes(), 1,
                                    codec::Bytes(room).first(size)};
  // An address of IPv6 is of no use yet while the kernel looks whether somebody else has it.
  const kernel::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
  int error = 0;
  while ((error = socket.value()->send(message)) == EADDRNOTAVAIL && kernel::monotonic_now() < end) {
  }
  REQUIRE(error == 0);
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
  void open(TurnedRouter& router, const std::vector<std::string>& devices, MulticastRouter::Kept kept,
            kernel::Nanos response = kernel::kSecond / 2) const {
    router.open(std::move(kept));
    for (const std::string& one : devices) {
      RouterInterfaceOptions o = hosts_on(one, v4());
      o.querier->query_response = response;
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
  enum class Heard { hosts, only_of_another_source };
  for (const int family : {AF_INET, AF_INET6})
    for (const Heard heard : {Heard::hosts, Heard::only_of_another_source}) {
      CAPTURE(family);
      CAPTURE(static_cast<int>(heard));
      const Kept kept;
      Chain chain(family);
      REQUIRE(chain.ok);
      chain.open(chain.first_router, {"up0", "mid0"}, {});
      const bool answers = heard == Heard::hosts;
      const kernel::Nanos response = answers ? kernel::kSecond / 2 : kSlow;
      chain.open(chain.rp_router, {"up0", "left0"}, kept.none(), response);
      const std::string group = chain.v4() ? "239.1.1.1" : "ff1e::1:1";
      const auto source = ip(chain.v4() ? "10.0.1.1" : "fd00:1::1");
      Talker talker(chain.source, group);
      say_all_at_once(chain.host);
      Listener host(chain.host, group);
      auto& router = chain.rp_router.router;
      const auto route = [&] {
        const auto* const found = router->routes().find(source, ip(group));
        return found == nullptr ? plane::InstalledRoute{} : *found;
      };
      const auto by_own_tree = [&] { return route().forwarding.incoming == router->find("up0")->vif(); };
      REQUIRE(chain.turn_until([&] { return talker.send() && by_own_tree() && host.count() > 100; }));
      // What is on its way comes first.
      REQUIRE(chain.turn_until([&, before = std::size_t{0}]() mutable {
        return std::exchange(before, host.count()) == host.count();
      }));
      const std::size_t missing = talker.sent() - host.count();
      const auto send = [&](std::uint32_t packets) {
        const std::uint32_t end = talker.sent() + packets;
        return chain.turn_until([&] { return talker.send() && talker.sent() >= end; });
      };

      router.reset();
      REQUIRE(send(100));
      chain.open(chain.rp_router, {"up0", "left0"}, kept.all(), response);
      const Channel other{ip(group), ip(chain.v4() ? "10.0.1.9" : "fd00:1::9")};
      if (!answers) report(chain.host, chain.v4(), other);
      REQUIRE(chain.turn_until([&] {
        const bool settled = answers ? route().inherited == 0 && route().forwarding.outgoing != 0
                                     : router->find("left0")->wants(other.source, other.group);
        return talker.send() && settled;
      }));
      REQUIRE(send(500));
      CHECK(chain.turn_until([&] { return talker.sent() - host.count() == missing; }));
      CHECK(by_own_tree());
      if (answers) CHECK(router->pim()->route(source, ip(group)).spt);
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
    closed.querier->query_response = kSlow;
    const Channel channel{ip(bed.group()), ip(Star::host(AF_INET, 1))};
    const auto allow = [&] {
      bed.router->find("left0")->admission().authorise(channel, kNever, kernel::monotonic_now());
    };
    bed.add(hosts_on("up0", true));
    bed.add(closed);
    allow();
    Talker talker(bed.star.source, bed.group());
    say_all_at_once(bed.star.left);
    Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
    REQUIRE(bed.flows(talker, left));

    bed.router.reset();
    bed.options.restart_grace = 1000 * kernel::kSecond;
    if (way != Way::nobody_gave_it) closed.admission.hold = kernel::kSecond / 2;
    if (way == Way::it_is_denied) closed.admission.ranges = {{{ip("239.0.0.0"), 8}, {}}};
    // Else the host is not heard.
    if (way == Way::it_is_denied || way == Way::hold_expires)
      closed.querier->query_response = kernel::kSecond / 2;
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
    const Channel channel{ip(bed.group()), ip(Star::host(family, 1))};
    report(bed.star.left, bed.v4(), channel);

    bed.open(kept.all());
    for (int turns = 0; turns < 50; turns++) bed.turn();
    bed.add(hosts_on("up0", bed.v4()));
    bed.add(hosts_on("left0", bed.v4()));
    const auto& left0 = *bed.router->find("left0");
    CHECK(bed.turn_until([&] { return left0.wants(channel.source, channel.group); }));
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
        slow.querier->query_response = kSlow;
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
