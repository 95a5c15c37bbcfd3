// A multicast router between real hosts: their kernels' reports, real packets, the kernel's routes.
#include "test/multicast_bed.h"

using namespace sluice;
using codec::IpAddress;
using plane::UpstreamMode;
using test::hosts_on;
using test::ip;
using test::Listener;
using test::Network;
using test::Star;
using test::Talker;
using Bed = test::MulticastBed;

namespace {

/** A keeper with a note of what was put. */
class NotingStore final : public kernel::DescriptorStore {
 public:
  explicit NotingStore(kernel::DescriptorStore& to) : to_(to) {}
  std::optional<kernel::Error> put(const std::string& name, int fd) override {
    names.push_back(name);
    return to_.put(name, fd);
  }
  std::optional<kernel::Error> remove(const std::string& name) override { return to_.remove(name); }
  std::vector<std::string> names;

 private:
  kernel::DescriptorStore& to_;
};

}  // namespace

TEST_CASE("multicast router: who joins receives, who leaves does not, and nobody else ever") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6})
    for (const UpstreamMode mode : {UpstreamMode::none, UpstreamMode::proxy, UpstreamMode::pim}) {
      CAPTURE(family);
      CAPTURE(static_cast<int>(mode));
      Bed bed(family, mode);
      REQUIRE(bed.star.ok);
      if (mode != UpstreamMode::proxy) bed.add(hosts_on("up0", bed.v4()));
      bed.add(hosts_on("left0", bed.v4()));
      bed.add(hosts_on("right0", bed.v4()));
      Talker talker(bed.star.source, bed.group());
      auto left = std::make_unique<Listener>(bed.star.left, bed.group(), Star::host(family, 1));
      REQUIRE(left->ok());
      REQUIRE(bed.flows(talker, *left));
      Listener right(bed.star.right, bed.group(), Star::host(family, 1));
      REQUIRE(bed.flows(talker, right));
      REQUIRE(bed.flows(talker, *left));
      left.reset();
      const auto* const route = bed.router->routes().find(ip(Star::host(family, 1)), ip(bed.group()));
      REQUIRE(route != nullptr);
      const auto* const left0 = bed.router->find("left0");
      REQUIRE(
          bed.turn_until([&] { return (route->forwarding.outgoing & membership::only(left0->vif())) == 0; }));
      CHECK(bed.flows(talker, right));
      CHECK(bed.router->routes().counters().failed == 0);
    }
}

TEST_CASE("multicast router: any source, and a source that begins after the join") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    Bed bed(family);
    REQUIRE(bed.star.ok);
    bed.add(hosts_on("up0", bed.v4()));
    bed.add(hosts_on("left0", bed.v4()));
    const std::string group = family == AF_INET ? "239.1.1.1" : "ff1e::1:1";
    Listener left(bed.star.left, group);
    REQUIRE(left.ok());
    REQUIRE(bed.turn_until([&] { return bed.router->find("left0")->querier()->groups() > 0; }));
    CHECK(bed.router->routes().size() == 0);
    Talker talker(bed.star.source, group);
    CHECK(bed.flows(talker, left));
    CHECK(bed.router->counters().unknown_sources >= 1);
    CHECK(bed.router->routes().size() == 1);
  }
}

TEST_CASE("multicast router: a rendezvous point on the loopback device is ours while it has that address") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    Bed bed(family, UpstreamMode::pim);
    REQUIRE(bed.star.ok);
    const std::string point = bed.v4() ? "10.0.9.1" : "fd00:9::1";
    const std::string group = bed.v4() ? "239.1.1.1" : "ff1e::1:1";
    bed.router.reset();
    bed.options.pim.static_rps = {{{ip(bed.v4() ? "239.0.0.0" : "ff1e::"), bed.v4() ? 8U : 16U}, ip(point)}};
    bed.open({});
    bed.add(hosts_on("left0", bed.v4()));
    const Listener left(bed.star.left, group);
    REQUIRE(left.ok());
    REQUIRE(bed.turn_until([&] { return bed.router->find("left0")->querier()->groups() > 0; }));
    const auto by_registers = [&] {
      const IpAddress source = ip(bed.v4() ? "10.0.77.7" : "fd00:77::7");
      const auto registers = bed.router->socket().vif_of(kernel::RoutingSocket::kRegister);
      return registers && bed.router->pim()->route(source, ip(group)).incoming == *registers;
    };
    CHECK_FALSE(by_registers());
    REQUIRE(bed.star.router.ip("addr add " + point + " dev lo"));
    CHECK(bed.turn_until(by_registers));
    REQUIRE(bed.star.router.ip("addr del " + point + " dev lo"));
    CHECK(bed.turn_until([&] { return !by_registers(); }));
  }
}

TEST_CASE("multicast router: what is not authorised is held, reported, and flows as soon as it is") {
  SLUICE_NEEDS_NETWORKS();
  Bed bed(AF_INET);
  REQUIRE(bed.star.ok);
  auto options = hosts_on("left0", true);
  options.admission.open = false;
  options.admission.hold = 5 * kernel::kSecond;
  bed.add(hosts_on("up0", true));
  bed.add(options);
  Talker talker(bed.star.source, bed.group());
  Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
  const auto is_held = [](const plane::RouterEvent& e) {
    return e.type == plane::RouterEvent::Type::join_held;
  };
  REQUIRE(bed.turn_until([&] { return std::ranges::any_of(bed.events, is_held); }));
  CHECK(bed.silent(talker, left));
  const auto held = *std::ranges::find_if(bed.events, is_held);
  CHECK(held.interface == "left0");
  CHECK(held.host == ip(Star::host(AF_INET, 2)));
  CHECK(held.channel == membership::Channel{ip(bed.group()), ip(Star::host(AF_INET, 1))});
  auto& admission = bed.router->find("left0")->admission();
  admission.authorise(held.channel, membership::kNever, kernel::monotonic_now());
  bed.router->settle(kernel::monotonic_now());
  CHECK(bed.flows(talker, left));
  admission.revoke(held.channel, kernel::monotonic_now());
  bed.router->settle(kernel::monotonic_now());
  CHECK(bed.silent(talker, left));
}

TEST_CASE(
    "multicast router: what PIM keeps has its route before its packets, and leads nowhere until wanted") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    Bed bed(family, UpstreamMode::pim);
    REQUIRE(bed.star.ok);
    const IpAddress source = ip(Star::host(family, 1));
    const IpAddress group = ip(bed.group());
    // Asked for before there is any interface: it follows as they come.
    bed.router->keep(group, {false, {source}});
    bed.add(hosts_on("up0", bed.v4()));
    bed.add(hosts_on("left0", bed.v4()));
    const auto is_warm = [&] {
      const auto* const route = bed.router->routes().find(source, group);
      return route != nullptr && route->forwarding.incoming == bed.router->find("up0")->vif() &&
             route->forwarding.outgoing == 0;
    };
    REQUIRE(bed.turn_until(is_warm));
    Talker talker(bed.star.source, bed.group());
    {
      Listener deaf(bed.star.right, bed.group(), Star::host(family, 3));
      CHECK(bed.silent(talker, deaf));
    }
    CHECK(bed.turn_until([&] {
      bed.router->sample();
      return bed.router->routes().find(source, group)->counters.packets == talker.sent();
    }));
    {
      Listener left(bed.star.left, bed.group(), Star::host(family, 1));
      REQUIRE(left.ok());
      CHECK(bed.flows(talker, left));
    }
    CHECK(bed.turn_until(is_warm));
    CHECK(bed.router->counters().unknown_sources == 0);
    bed.router->keep(group, {});
    bed.router->settle(kernel::monotonic_now());
    CHECK(bed.router->routes().size() == 0);
  }
}

TEST_CASE("multicast router: an interface speaks otherwise, and nobody loses a packet by it") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    Bed bed(family, UpstreamMode::pim);
    REQUIRE(bed.star.ok);
    auto up = hosts_on("up0", bed.v4());
    auto left = hosts_on("left0", bed.v4());
    bed.add(up);
    bed.add(left);
    Talker talker(bed.star.source, bed.group());
    Listener listener(bed.star.left, bed.group(), Star::host(family, 1));
    REQUIRE(bed.flows(talker, listener));
    const std::size_t before = listener.count();
    const std::uint32_t sent = talker.sent();

    left.querier->query_interval = 60 * kernel::kSecond;
    left.querier->immediate_leave = membership::ImmediateLeave::always;
    left.lenient = true;
    CHECK(bed.star.router.in([&] { return bed.router->reconfigure(left); }));
    const auto* const changed = bed.router->find("left0");
    CHECK(changed->is_up());
    CHECK(changed->options().lenient);
    CHECK(changed->querier()->options().query_interval == 60 * kernel::kSecond);
    for (int i = 0; i < 100; i++) REQUIRE(talker.send());
    CHECK(bed.turn_until([&] { return listener.count() - before == talker.sent() - sent; }));

    // To begin or to end to speak at all is another matter.
    up.pim.emplace();
    CHECK_FALSE(bed.router->reconfigure(up));
    left.querier.reset();
    CHECK_FALSE(bed.router->reconfigure(left));
    left.name = "other0";
    CHECK_FALSE(bed.router->reconfigure(left));
  }
}

TEST_CASE("multicast router: a device that goes and comes back, and its address that changes") {
  SLUICE_NEEDS_NETWORKS();
  Bed bed(AF_INET);
  REQUIRE(bed.star.ok);
  bed.add(hosts_on("up0", true));
  bed.add(hosts_on("left0", true));
  Talker talker(bed.star.source, bed.group());
  {
    Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
    REQUIRE(bed.flows(talker, left));
  }
  REQUIRE(bed.star.router.ip("link set left0 down"));
  REQUIRE(bed.turn_until([&] { return !bed.router->find("left0")->is_up(); }));
  REQUIRE(bed.star.router.ip("addr add 10.0.9.1/24 dev left0"));
  REQUIRE(bed.star.router.ip("addr del 10.0.2.1/24 dev left0"));
  REQUIRE(bed.star.left.ip("addr add 10.0.9.2/24 dev e"));
  REQUIRE(bed.star.left.ip("addr del 10.0.2.2/24 dev e"));
  REQUIRE(bed.star.router.ip("link set left0 up"));
  REQUIRE(bed.turn_until([&] { return bed.router->find("left0")->address() == ip("10.0.9.1"); }));
  Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
  CHECK(bed.flows(talker, left));
}

TEST_CASE("multicast router: after a restart all goes on, and what nobody asks for again ends") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6})
    for (const UpstreamMode mode : {UpstreamMode::none, UpstreamMode::proxy, UpstreamMode::pim}) {
      CAPTURE(family);
      CAPTURE(static_cast<int>(mode));
      const test::Keeper keeper;
      REQUIRE(keeper.up());
      auto store = kernel::HolderStore::connect(keeper.path());
      REQUIRE(store.ok());
      Bed bed(family, mode, {store.value().get()});
      REQUIRE(bed.star.ok);
      const auto add_all = [&] {
        if (mode != UpstreamMode::proxy) bed.add(hosts_on("up0", bed.v4()));
        bed.add(hosts_on("left0", bed.v4()));
        bed.add(hosts_on("right0", bed.v4()));
      };
      add_all();
      Talker talker(bed.star.source, bed.group());
      Listener left(bed.star.left, bed.group(), Star::host(family, 1));
      auto right = std::make_unique<Listener>(bed.star.right, bed.group(), Star::host(family, 1));
      REQUIRE(bed.flows(talker, left));
      REQUIRE(bed.flows(talker, *right));

      const std::size_t before = left.count();
      const std::uint32_t sent = talker.sent();
      bed.router.reset();
      // Nobody is there: one goes on, the other leaves unheard.
      right.reset();
      Listener deaf(bed.star.right, bed.group(), Star::host(family, 3));
      for (int i = 0; i < 100; i++) REQUIRE(talker.send());
      auto found = store.value()->all();
      REQUIRE(found.ok());
      bed.options.restart_grace = 2 * kernel::kSecond;
      NotingStore noting(*store.value());
      bed.open({&noting, std::move(found.value())});
      // Not for a moment are they out of the keeper's hands.
      CHECK(std::ranges::none_of(noting.names, [](const std::string& name) {
        return name.starts_with("routing") || name.starts_with("interfaces");
      }));
      add_all();
      for (int i = 0; i < 100; i++) REQUIRE(talker.send());
      CHECK(bed.turn_until([&] { return left.count() - before == talker.sent() - sent; }));

      const IpAddress source = ip(Star::host(family, 1));
      const auto* const route = bed.router->routes().find(source, ip(bed.group()));
      REQUIRE(route != nullptr);
      const auto right0 = membership::only(bed.router->find("right0")->vif());
      REQUIRE(
          bed.turn_until([&] { return ((route->forwarding.outgoing | route->inherited) & right0) == 0; }));
      CHECK(bed.flows(talker, left));

      bed.star.router.in([&] { bed.router->withdraw(); });
      CHECK(bed.silent(talker, left));
      auto rest = store.value()->all();
      REQUIRE(rest.ok());
      CHECK(rest.value().empty());
    }
}
