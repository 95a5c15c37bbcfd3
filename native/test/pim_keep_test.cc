// Channels that are joined above before anybody wants them, or after nobody does any more.
#include "test/pim_bed.h"

using namespace sluice;
using namespace sluice::test;

namespace {

/**
 * The source's router, which is the RP, and an edge with hosts that reaches it by two links.
 *
 *   S --1-- top --2-- edge --4--
 *             `---3-----'
 */
struct Edge {
  explicit Edge(bool v4 = true, Nanos leave_hold = 0)
      : net(v4), top(net.router("top", options(v4, 0))), edge(net.router("edge", options(v4, leave_hold))) {
    net.attach(top, 1, 1);
    net.attach(top, 2, 1);
    net.attach(top, 3, 1);
    net.attach(edge, 2, 2);
    net.attach(edge, 3, 2);
    net.attach(edge, 4, 2);
    edge.way(net.prefix(1), 0, net.on_link(2, 1));
    source = net.host(1, 100);
    net.pass(12 * kSecond);
  }
  static PimOptions options(bool v4, Nanos leave_hold) {
    PimOptions options;
    options.leave_hold = leave_hold;
    options.static_rps = {
        {{v4 ? IpAddress::v4(0xe0000000) : asm_group(false), v4 ? 4U : 8U}, host_address(v4, 2, 1)}};
    return options;
  }
  void keep(const IpAddress& group, bool whole, const std::vector<IpAddress>& sources = {}) {
    edge.pim->keep(group, whole, sources, net.now);
    net.pass(kMillisecond);
  }
  void want(const IpAddress& group, const IpAddress& of, Membership wanted) {
    edge.pim->local(2, group, of, wanted, net.now);
    net.pass(kMillisecond);
  }
  /** Copies of a packet on the links to the edge, and on that of its hosts. */
  std::array<int, 3> seen(const IpAddress& group) {
    net.send(1, source, group);
    return {net.copies_on(2), net.copies_on(3), net.copies_on(4)};
  }
  [[nodiscard]] std::size_t joins() const {
    std::size_t all = 0;
    for (const Router::Sent& one : edge.sent) all += one.joins;
    return all;
  }
  [[nodiscard]] std::size_t prunes() const {
    std::size_t all = 0;
    for (const Router::Sent& one : edge.sent) all += one.prunes;
    return all;
  }

  Net net;
  Router& top;
  Router& edge;
  IpAddress source;
};

using Seen = std::array<int, 3>;

}  // namespace

TEST_CASE("pim keep: a channel is there before anybody wants it, and whoever does needs nothing from above") {
  for (const bool v4 : {true, false})
    for (const IpAddress& group : {ssm_group(v4), asm_group(v4)}) {
      CAPTURE(v4);
      Edge e(v4);
      e.keep(group, false, {e.source});
      CHECK(e.seen(group) == Seen{1, 0, 0});
      const Route route = e.edge.pim->route(e.source, group);
      CHECK(route.warm);
      CHECK(route.why == NoRoute::no_receivers);
      CHECK(route.incoming == 0);
      CHECK(route.outgoing == 0);
      CHECK(route.upstream == e.net.on_link(2, 1));
      const std::size_t said = e.edge.sent.size();
      e.edge.pim->local(2, group, e.source, Membership::include, e.net.now);
      CHECK(e.seen(group) == Seen{1, 0, 1});
      CHECK_FALSE(e.edge.pim->route(e.source, group).warm);
      e.want(group, e.source, Membership::none);
      CHECK(e.seen(group) == Seen{1, 0, 0});
      CHECK(e.edge.sent.size() == said);
      e.keep(group, false);
      CHECK(e.seen(group) == Seen{0, 0, 0});
      // Its packets have been seen: that is forgotten later.
      e.net.pass(220 * kSecond);
      CHECK(e.edge.pim->trees() == 0);
    }
}

TEST_CASE("pim keep: a group of any source; its sources are not pruned because nobody wants them yet") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    const IpAddress group = asm_group(v4);
    Edge e(v4);
    e.keep(group, true);
    CHECK(e.seen(group)[0] == 1);
    CHECK(e.seen(group) == Seen{1, 0, 0});
    // A source that is known: hosts wanted it and have gone.
    e.want(group, e.source, Membership::include);
    CHECK(e.seen(group) == Seen{1, 0, 1});
    e.want(group, e.source, Membership::none);
    e.net.pass(130 * kSecond);
    CHECK(e.seen(group) == Seen{1, 0, 0});
    const std::size_t said = e.joins();
    e.edge.pim->local(2, group, e.net.any(), Membership::include, e.net.now);
    CHECK(e.seen(group)[2] == 1);
    CHECK(e.joins() == said);
  }
}

TEST_CASE("pim keep: it follows the way to the source, its neighbour's going, and a begin anew of either") {
  const IpAddress group = ssm_group(true);
  Edge e;
  e.keep(group, false, {e.source});
  e.edge.way(e.net.prefix(1), 1, e.net.on_link(3, 1));
  e.net.pass(kMillisecond);
  CHECK(e.seen(group) == Seen{0, 1, 0});
  CHECK(e.prunes() == 1);

  e.top.restart();
  CHECK(e.seen(group) == Seen{0, 0, 0});
  e.net.pass(10 * kSecond);
  CHECK(e.seen(group) == Seen{0, 1, 0});

  e.edge.pim->interface_down(1, e.net.now);
  e.net.pass(kSecond);
  CHECK(e.edge.pim->route(e.source, group).warm);
  CHECK_FALSE(e.edge.pim->route(e.source, group).upstream);
  e.edge.pim->interface_up(1, e.edge.addresses[1], {}, e.net.now);
  e.net.pass(10 * kSecond);
  CHECK(e.seen(group) == Seen{0, 1, 0});

  // Who begins anew is told what is to be kept before there are interfaces.
  e.edge.pim.reset();
  e.edge.kernel.clear();
  e.edge.pim = std::make_unique<Pim>(e.edge.options, e.edge, e.edge.deadlines, ++e.edge.seed);
  e.keep(group, false, {e.source});
  for (const auto& [interface, its] : e.edge.nets)
    e.edge.pim->interface_up(interface, e.edge.addresses[interface], {}, e.net.now);
  e.net.pass(10 * kSecond);
  CHECK(e.seen(group) == Seen{0, 1, 0});

  e.edge.pim->withdraw(e.net.now);
  e.net.pass(kMillisecond);
  CHECK(e.seen(group) == Seen{0, 0, 0});
}

TEST_CASE("pim keep: what is kept changes: sources come and go, and a source-specific group has no whole") {
  const IpAddress group = ssm_group(true);
  Edge e;
  const IpAddress other = e.net.host(1, 101);
  e.keep(group, false, {e.source, other});
  CHECK(e.edge.pim->trees() == 2);
  e.keep(group, false, {other});
  CHECK(e.edge.pim->trees() == 1);
  CHECK_FALSE(e.edge.pim->route(e.source, group).warm);
  CHECK(e.edge.pim->route(other, group).warm);
  e.keep(group, true);
  CHECK(e.edge.pim->trees() == 0);
  e.keep(IpAddress::v4(0xe0000001), true);
  CHECK(e.edge.pim->trees() == 0);
}

TEST_CASE("pim keep: who comes back in time makes the network above hear nothing") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    const IpAddress group = ssm_group(v4);
    Edge e(v4, 10 * kSecond);
    e.want(group, e.source, Membership::include);
    CHECK(e.seen(group) == Seen{1, 0, 1});
    const std::size_t said = e.edge.sent.size();
    for (int i = 0; i < 20; i++) {
      e.want(group, e.source, Membership::none);
      CHECK(e.edge.pim->route(e.source, group).warm);
      e.net.pass(kSecond);
      e.edge.pim->local(2, group, e.source, Membership::include, e.net.now);
      CHECK(e.seen(group) == Seen{1, 0, 1});
    }
    CHECK(e.edge.sent.size() == said);
    e.want(group, e.source, Membership::none);
    e.net.pass(10 * kSecond);
    CHECK(e.prunes() == 1);
    CHECK(e.seen(group) == Seen{0, 0, 0});
    // What is kept no longer is also for those who come back.
    e.keep(group, false, {e.source});
    e.keep(group, false);
    CHECK(e.edge.pim->route(e.source, group).warm);
    e.net.pass(10 * kSecond);
    CHECK(e.edge.pim->trees() == 0);
  }
}

TEST_CASE("pim keep: an RP that keeps a group has its sources come to it by themselves") {
  Edge e;
  const IpAddress group = asm_group(true);
  // The edge becomes the RP of others' sources.
  PimOptions options = e.edge.options;
  options.static_rps = {{{IpAddress::v4(0xe0000000), 4}, host_address(true, 2, 2)}};
  for (Router* const one : {&e.edge, &e.top}) {
    one->pim.reset();
    one->kernel.clear();
    one->pim = std::make_unique<Pim>(options, *one, one->deadlines, ++one->seed);
    for (const auto& [interface, its] : one->nets)
      one->pim->interface_up(interface, one->addresses[interface], {}, e.net.now);
  }
  e.net.pass(12 * kSecond);
  e.net.stream(1, e.source, group, 20);
  CHECK(e.net.copies_on(2) == 0);
  e.keep(group, true);
  // Registers are told to begin again only as they are tried.
  e.net.stream(1, e.source, group, 1000, 100 * kMillisecond);
  CHECK(e.net.copies_on(2) == 1);
  CHECK(e.net.copies_on(4) == 0);
  e.edge.pim->local(2, group, e.net.any(), Membership::include, e.net.now);
  CHECK(e.seen(group) == Seen{1, 0, 1});
}
