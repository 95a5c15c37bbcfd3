// Routers of ours, each with its kernel: who tells the rendezvous points is elected, and groups of any source
// go by them.
#include <doctest/doctest.h>

#include "plane/multicast_router.h"
#include "test/namespaces.h"

using namespace sluice;
using codec::IpAddress;
using plane::MulticastRouter;
using State = membership::PimZone::State;

namespace {

IpAddress ip(const std::string& text) {
  return IpAddress::v6(test::bytes_of(text).data());
}

/** A router in a network of its own, turned by hand. */
struct Node {
  void open(bool v4, const membership::BootstrapOptions& bootstrap, std::vector<std::string> devices) {
    plane::MulticastRouterOptions o;
    o.v4 = o.pim.v4 = v4;
    o.upstream = plane::UpstreamMode::pim;
    o.pim.bootstrap = bootstrap;
    if (bootstrap.router) o.pim.addresses.push_back(bootstrap.router->address);
    network.in([&] {
      auto opened = MulticastRouter::open(reactor, o, {}, [](const plane::RouterEvent&) {});
      REQUIRE(opened.ok());
      router = std::move(opened.value());
      for (const std::string& device : devices) {
        plane::RouterInterfaceOptions i;
        i.name = device;
        i.admission.open = true;
        i.pim.emplace();
        i.pim->triggered_hello_delay = 100 * kernel::kMillisecond;
        if (device == "hosts0") {
          i.querier.emplace();
          i.querier->v4 = v4;
          i.querier->version = v4 ? 3 : 2;
          i.querier->query_response = kernel::kSecond;
        }
        REQUIRE_FALSE(router->add(i));
      }
    });
  }
  void turn() {
    reactor.arm(beat, kernel::monotonic_now() + kernel::kMillisecond);
    network.in([&] { reactor.turn(); });
  }
  [[nodiscard]] const membership::PimBootstrap& bootstrap() const { return router->pim()->bootstrap(); }

  struct Beat final : kernel::Timer {
    void on_timer(kernel::Nanos) noexcept override {}
  };
  test::Network network;
  kernel::Reactor reactor;
  Beat beat;
  std::unique_ptr<MulticastRouter> router;
};

/**
 *   source --1-- near --2-- middle --3-- far --4-- host
 *
 * The middle one offers an address of its loopback as bootstrap router and as rendezvous point; the near one
 * would be bootstrap router, too, with less weight.
 */
struct Line {
  explicit Line(bool is_v4) : v4(is_v4) {
    ok = cable(near, "up0", 1, source, "e") && cable(near, "down0", 2, middle.network, "up0") &&
         cable(middle, "down0", 3, far.network, "up0") && cable(far, "hosts0", 4, host, "e") &&
         middle.network.ip("addr add " + shared() + " dev lo");
    for (const int number : {3, 4}) near.network.ip("route add " + net(number) + " via " + at(2, 2));
    near.network.ip("route add " + shared() + " via " + at(2, 2));
    middle.network.ip("route add " + net(1) + " via " + at(2, 1));
    middle.network.ip("route add " + net(4) + " via " + at(3, 2));
    for (const int number : {1, 2}) far.network.ip("route add " + net(number) + " via " + at(3, 1));
    far.network.ip("route add " + shared() + " via " + at(3, 1));
    source.ip("route add default via " + at(1, 1));
    source.ip(v4 ? "route add 224.0.0.0/4 dev e" : "route add ff00::/8 dev e table local");
  }
  [[nodiscard]] std::string net(int number) const {
    return v4 ? "10.0." + std::to_string(number) + ".0/24" : "fd00:" + std::to_string(number) + "::/64";
  }
  [[nodiscard]] std::string at(int number, int last) const {
    return v4 ? "10.0." + std::to_string(number) + "." + std::to_string(last)
              : "fd00:" + std::to_string(number) + "::" + std::to_string(last);
  }
  [[nodiscard]] std::string shared() const { return v4 ? "192.0.2.9" : "fd00:9::9"; }
  [[nodiscard]] membership::BootstrapOptions candidate(const std::string& address,
                                                       std::uint8_t priority) const {
    membership::BootstrapOptions o;
    o.router = {ip(address), priority, 30};
    o.min_interval = kernel::kSecond;
    o.advertisement_backoff = 100 * kernel::kMillisecond;
    return o;
  }
  void open() {
    auto both = candidate(shared(), 200);
    both.rp = {ip(shared()), 192, {{v4 ? IpAddress::v4(0xef000000) : ip("ff00::"), 8}}};
    near.open(v4, candidate(at(2, 1), 10), {"up0", "down0"});
    middle.open(v4, both, {"up0", "down0"});
    far.open(v4, {}, {"up0", "hosts0"});
  }
  template <class F>
  bool turn_until(F&& done) {
    const kernel::Nanos end = kernel::monotonic_now() + 30 * kernel::kSecond;
    while (!done()) {
      if (kernel::monotonic_now() > end) return false;
      for (Node* const one : {&near, &middle, &far})
        if (one->router) one->turn();
    }
    return true;
  }

  const bool v4;
  test::Network source;
  Node near;
  Node middle;
  Node far;
  test::Network host;
  bool ok = false;

 private:
  bool cable(const Node& node, const std::string& device, int number, const test::Network& other,
             const std::string& there) const {
    const std::string bits = v4 ? "/24" : "/64";
    return node.network.connect(device, other, there) &&
           node.network.ip("addr add " + at(number, 1) + bits + " dev " + device) &&
           other.ip("addr add " + at(number, 2) + bits + " dev " + there);
  }
};

}  // namespace

TEST_CASE(
    "pim domain: one of two is elected, tells all the rendezvous point, and a group of any source flows") {
  SLUICE_NEEDS_NETWORKS();
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Line line(v4);
    REQUIRE(line.ok);
    line.open();
    const IpAddress shared = ip(line.shared());
    const IpAddress group = ip(v4 ? "239.1.1.1" : "ff1e::1:1");
    REQUIRE(line.turn_until([&] {
      return line.near.router->pim()->rp_of(group) == shared &&
             line.far.router->pim()->rp_of(group) == shared;
    }));
    CHECK(line.middle.bootstrap().state() == State::elected);
    CHECK(line.near.bootstrap().state() == State::candidate);
    CHECK(line.far.bootstrap().state() == State::accept_preferred);
    CHECK(line.far.bootstrap().router()->address == shared);
    CHECK(line.middle.router->pim()->is_own(shared));

    test::Talker talker(line.source, v4 ? "239.1.1.1" : "ff1e::1:1");
    test::Listener listener(line.host, v4 ? "239.1.1.1" : "ff1e::1:1");
    REQUIRE(listener.ok());
    CHECK(line.turn_until([&] { return talker.send() && listener.count() >= 20; }));

    // It takes its leave: the other one is elected, and the rendezvous point is gone for all.
    line.middle.network.in([&] { line.middle.router->withdraw(); });
    line.middle.router.reset();
    CHECK(line.turn_until([&] { return line.near.bootstrap().state() == State::elected; }));
  }
}
