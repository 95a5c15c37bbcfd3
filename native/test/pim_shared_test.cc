#include "test/pim_domain.h"

using namespace sluice;
using namespace sluice::test;

namespace {

using Seen = std::pair<int, int>;

PimOptions never() {
  PimOptions options;
  options.spt_switch = false;
  return options;
}

/** As a bootstrap router tells, by a neighbour. */
void learn(Router& router, const IpPrefix& groups, const IpAddress& rp) {
  const codec::pim::RendezvousPoint point{rp, codec::pim::kForever, 0};
  codec::pim::BootstrapRange range{{groups}, 1};
  range.points = codec::Sequence<codec::pim::RendezvousPoint>(std::span(&point, 1));
  codec::pim::Bootstrap message;
  message.no_forward = true;
  message.router = router.net.host(99, 1);
  message.ranges = codec::Sequence<codec::pim::BootstrapRange>(std::span(&range, 1));
  Interface interface = 0;
  IpAddress from;
  router.pim->each_neighbour([&](const membership::PimLink& link, const membership::PimNeighbour& one) {
    interface = link.interface();
    from = one.address;
  });
  router.pim->on_bootstrap(interface, from, message, router.net.now);
}

}  // namespace

TEST_CASE(
    "pim shared: receivers join the RP, and packets of a source come by registers where nobody switches") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Domain d(v4, never());
    d.want(d.last, Membership::include);
    d.net.pass(kMillisecond);
    const Route at_rp = d.rp.pim->route(d.net.any(), d.group);
    CHECK(at_rp.why == NoRoute::none);
    CHECK(at_rp.incoming == Router::kRegister);
    CHECK(at_rp.outgoing == only(1));
    CHECK(d.route(d.last).upstream == d.net.on_link(3, 9));
    CHECK(d.stream(100) == Seen{100, 0});
    CHECK(d.first.registers == 100);
    CHECK(d.route(d.first).registers);
    CHECK(d.rp.register_stops == 0);
    CHECK_FALSE(d.route(d.last).spt);
    d.want(d.peer, Membership::include);
    d.net.pass(kMillisecond);
    CHECK(d.stream(100) == Seen{100, 100});
    d.want(d.last, Membership::none);
    CHECK(d.stream(500) == Seen{0, 500});
    d.want(d.peer, Membership::none);
    d.net.pass(kMillisecond);
    CHECK(d.stream(10) == Seen{0, 0});
    d.net.pass(215 * kSecond);
    CHECK(d.trees() == 0);
  }
}

TEST_CASE(
    "pim shared: the last hop switches to the source's own tree with its first packet, and prunes the shared "
    "one") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Domain d(v4);
    d.want(d.last, Membership::include);
    d.net.pass(kMillisecond);
    const Seen at_first = d.stream(20);
    CHECK(at_first.first >= 20);
    CHECK(at_first.first <= 23);
    d.net.pass(4 * kSecond);
    CHECK(d.stream(1000) == Seen{1000, 0});
    const Route own = d.route(d.last);
    CHECK(own.spt);
    CHECK(own.incoming == 2);
    CHECK(own.upstream == d.net.on_link(5, 1));
    CHECK(d.net.copies_on(5) == 1);
    CHECK(d.net.copies_on(3) == 0);
    CHECK(d.net.copies_on(2) == 0);
    // The RP wants none of it: registers have stopped, but for asking.
    CHECK(d.first.registers <= 3);
    CHECK_FALSE(d.route(d.first).registers);
    d.stream(300, kSecond);
    CHECK(d.first.registers <= 3);
    CHECK(d.first.null_registers >= 3);
    CHECK(d.stream(100) == Seen{100, 0});
    d.want(d.last, Membership::none);
    d.net.pass(4 * kSecond);
    CHECK(d.stream(100) == Seen{0, 0});
    d.net.pass(500 * kSecond);
    CHECK(d.trees() == 0);
  }
}

TEST_CASE("pim shared: the RP joins the source, and stops registers when its packets come by themselves") {
  Domain d;
  d.want(d.peer, Membership::include);
  d.net.pass(kMillisecond);
  const Seen begin = d.stream(20);
  CHECK(begin.second >= 20);
  CHECK(begin.second <= 23);
  CHECK(d.route(d.rp).spt);
  CHECK(d.route(d.rp).incoming == 0);
  CHECK(d.route(d.peer).spt);
  CHECK(d.first.registers <= 3);
  CHECK(d.stream(500) == Seen{0, 500});
  // A second one, of a router that is further along the same way.
  d.want(d.last, Membership::include);
  d.net.pass(kMillisecond);
  CHECK(d.stream(100).second == 100);
  d.net.pass(4 * kSecond);
  CHECK(d.stream(500) == Seen{500, 500});
}

TEST_CASE(
    "pim shared: a source that nobody wants is registered, stopped and asked about; a receiver later has it "
    "at once") {
  Domain d;
  CHECK(d.stream(50) == Seen{0, 0});
  CHECK(d.first.registers >= 1);
  CHECK(d.first.registers <= 2);
  CHECK(d.rp.register_stops >= 1);
  d.stream(200, kSecond);
  CHECK(d.first.registers <= 2);
  CHECK(d.first.null_registers >= 2);
  d.want(d.peer, Membership::include);
  d.net.pass(kMillisecond);
  CHECK(d.stream(100) == Seen{0, 100});
  d.want(d.peer, Membership::none);
  d.net.pass(4 * kSecond);
  CHECK(d.stream(10) == Seen{0, 0});
  d.net.pass(400 * kSecond);
  CHECK(d.trees() == 0);
}

TEST_CASE("pim shared: a register-stop that is not of the RP is refused; one of all sources is taken") {
  Domain d(true, never());
  d.want(d.last, Membership::include);
  d.net.pass(kMillisecond);
  d.stream(3);
  d.first.pim->on_register_stop(d.net.host(2, 8), {d.group, d.source}, d.net.now);
  CHECK(d.route(d.first).registers);
  CHECK(d.first.pim->counters().register_stops_refused == 1);
  d.first.pim->on_register_stop(d.net.host(2, 9), {d.group, d.net.any()}, d.net.now);
  CHECK_FALSE(d.route(d.first).registers);
  // Between 25 and 85 s; then it asks, and without an answer goes on after 5 s.
  CHECK(d.stream(23, kSecond).first == 0);
  d.stream(70, kSecond);
  CHECK(d.first.null_registers == 1);
  CHECK(d.stream(10) == Seen{10, 0});
}

TEST_CASE("pim shared: registers for what we are no RP of, or that is source-specific, are stopped") {
  Domain d;
  const codec::pim::Register message{false, false, d.source, ssm_group(true), {}};
  CHECK(d.rp.pim->on_register(d.net.host(1, 1), d.net.host(2, 9), message, d.net.now) == 0);
  CHECK(d.rp.register_stops == 1);
  const codec::pim::Register other{false, false, d.source, d.group, {}};
  CHECK(d.last.pim->on_register(d.net.host(1, 1), d.net.host(3, 2), other, d.net.now) == 0);
  CHECK(d.last.register_stops == 1);
  CHECK(d.last.pim->on_register(d.net.host(1, 1), d.net.host(77, 2), other, d.net.now) == 0);
  CHECK(d.last.register_stops == 1);
  CHECK(d.rp.pim->trees() + d.last.pim->trees() == 0);
}

TEST_CASE("pim shared: of two routers on the RP's link one prunes a source, and the other keeps it") {
  Domain d;
  // The last hop switches to link 5, the peer stays with the RP.
  d.want(d.last, Membership::include);
  d.want(d.peer, Membership::include);
  d.net.pass(kMillisecond);
  d.stream(20);
  for (int i = 0; i < 30; i++) {
    const Seen seen = d.stream(100);
    CHECK(seen.second == 100);
    if (i > 8) CHECK(seen.first == 100);
  }
}

TEST_CASE("pim shared: hosts that want a group without one source") {
  Domain d(true, never());
  d.want(d.last, Membership::include);
  d.want(d.peer, Membership::include);
  d.net.pass(kMillisecond);
  CHECK(d.stream(10) == Seen{10, 10});
  d.last.pim->local(1, d.group, d.source, Membership::exclude, d.net.now);
  d.net.pass(kMillisecond);
  CHECK(d.stream(500) == Seen{0, 500});
  const IpAddress other = d.net.host(1, 101);
  d.net.send(1, other, d.group);
  d.net.pass(kMillisecond);
  CHECK(d.net.copies_on(4) == 1);
  d.peer.pim->local(1, d.group, d.source, Membership::exclude, d.net.now);
  d.stream(400);
  CHECK(d.stream(10) == Seen{0, 0});
  CHECK((d.rp.pim->route(d.source, d.group).outgoing & only(1)) == 0);
  d.last.pim->local(1, d.group, d.source, Membership::none, d.net.now);
  d.net.pass(kMillisecond);
  CHECK(d.stream(10) == Seen{10, 0});
}

TEST_CASE("pim shared: a prune of a source is overridden by a peer that has no state of it") {
  Domain d(true, never());
  d.want(d.last, Membership::include);
  d.want(d.peer, Membership::include);
  d.net.pass(kSecond);
  // Not one packet has come.
  d.last.pim->local(1, d.group, d.source, Membership::exclude, d.net.now);
  d.net.pass(4 * kSecond);
  CHECK(d.stream(10) == Seen{0, 10});
}

TEST_CASE("pim shared: without an RP, or for another one, nothing is joined") {
  PimOptions options = never();
  options.static_rps = {{{IpAddress::v4(0xef020000), 16}, host_address(true, 2, 9)}};
  Domain d(true, options);
  d.want(d.last, Membership::include);
  d.net.pass(kSecond);
  CHECK(d.last.sent.empty());
  CHECK(d.route(d.last).why == NoRoute::no_rp);
  const IpPrefix range{IpAddress::v4(0xef000000), 8};
  learn(d.last, range, d.net.host(2, 9));
  CHECK(d.route(d.last).why == NoRoute::none);
  d.net.pass(kSecond);
  CHECK(d.last.sent.size() == 1);
  // The RP does not know that it is one.
  CHECK(d.rp.pim->counters().wrong_rp == 1);
  CHECK(d.rp.pim->trees() == 0);
  for (Router* one : {&d.rp, &d.first}) learn(*one, range, d.net.host(2, 9));
  d.net.pass(60 * kSecond);
  CHECK(d.stream(10) == Seen{10, 0});
}

TEST_CASE("pim shared: another RP: receivers and the source's router move there") {
  Domain d(true, never());
  d.want(d.peer, Membership::include);
  d.net.pass(kSecond);
  CHECK(d.stream(10) == Seen{0, 10});
  // The last hop's router becomes RP of the group, by a longer range.
  for (Router* one : {&d.first, &d.rp, &d.last, &d.peer}) learn(*one, {d.group, 32}, d.net.host(3, 2));
  d.net.pass(4 * kSecond);
  CHECK(d.stream(10) == Seen{0, 10});
  CHECK(d.route(d.peer).upstream == d.net.on_link(3, 2));
  CHECK(d.route(d.last).outgoing == only(0));
  d.net.pass(215 * kSecond);
  CHECK(d.stream(10) == Seen{0, 10});
}

TEST_CASE("pim shared: the RP's address is on no link, and comes while the router runs") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    const IpAddress address = host_address(v4, 50, 1);
    PimOptions options;
    options.static_rps = {{{v4 ? IpAddress::v4(0xe0000000) : asm_group(false), v4 ? 4U : 8U}, address}};
    Domain d(v4, options);
    d.first.way(d.net.prefix(50), 1, d.net.on_link(2, 9));
    d.last.way(d.net.prefix(50), 0, d.net.on_link(3, 9));
    d.peer.way(d.net.prefix(50), 0, d.net.on_link(3, 9));
    // Where packets to it go.
    d.rp.addresses[30] = {address};
    d.want(d.peer, Membership::include);
    d.net.pass(4 * kSecond);
    CHECK(d.stream(100) == Seen{0, 0});
    d.rp.pim->own({address}, d.net.now);
    d.stream(20);
    CHECK(d.stream(100) == Seen{0, 100});
    CHECK(d.rp.register_stops > 0);
  }
}

TEST_CASE("pim shared: the RP is the last hop, too, or the first") {
  Domain d;
  d.net.attach(d.rp, 7, 9);
  d.rp.pim->local(2, d.group, d.net.any(), Membership::include, d.net.now);
  d.net.pass(12 * kSecond);
  d.stream(20);
  int seen = 0;
  for (int i = 0; i < 100; i++) {
    d.stream(1);
    seen += d.net.copies_on(7);
  }
  CHECK(seen == 100);
  const IpAddress near = d.net.host(7, 50);
  d.want(d.peer, Membership::include);
  d.net.pass(4 * kSecond);
  d.net.stream(7, near, d.group, 20);
  d.net.send(7, near, d.group);
  CHECK(d.net.copies_on(6) == 1);
  CHECK(d.net.copies_on(7) == 1);
}

TEST_CASE("pim shared: two sources, one near and one far, and a receiver of one source only") {
  Domain d;
  const IpAddress second = d.net.host(1, 101);
  d.want(d.last, Membership::include);
  d.peer.pim->local(1, d.group, second, Membership::include, d.net.now);
  d.net.pass(kMillisecond);
  for (int i = 0; i < 30; i++) {
    d.net.send(1, d.source, d.group);
    d.net.send(1, second, d.group);
    d.net.pass(10 * kMillisecond);
  }
  d.net.pass(4 * kSecond);
  CHECK(d.stream(100) == Seen{100, 0});
  int at_peer = 0;
  int at_last = 0;
  for (int i = 0; i < 100; i++) {
    d.net.send(1, second, d.group);
    d.net.pass(10 * kMillisecond);
    at_peer += d.net.copies_on(6);
    at_last += d.net.copies_on(4);
  }
  CHECK(at_peer == 100);
  CHECK(at_last == 100);
}

TEST_CASE("pim shared: sources that a stranger invents are limited") {
  PimOptions options;
  options.most_sources = 100;
  Domain d(true, options);
  for (unsigned i = 0; i < 1000; i++)
    d.net.send(1, IpAddress::v4(0x0a000100U + i % 250), asm_group(true, static_cast<std::uint16_t>(i / 250)));
  CHECK(d.first.pim->trees() == 404);
  CHECK(d.first.pim->counters().trees_refused == 600);
}

TEST_CASE("pim shared: a group is not kept for a source that is refused") {
  PimOptions options;
  // Half of them for what packets lead to.
  options.most_trees = 6;
  Domain d(true, options);
  d.net.send(1, d.source, asm_group(true, 1));
  d.net.send(1, d.source, asm_group(true, 2));
  CHECK(d.first.pim->trees() == 2);
}

TEST_CASE("pim shared: messages lost at random: right after three periods, and nothing is left in the end") {
  for (const unsigned long chance : {1, 2, 3, 4, 5, 6, 7, 8}) {
    CAPTURE(chance);
    Domain d(chance % 2 == 0, chance % 4 < 2 ? PimOptions{} : never(), chance);
    d.net.loss = 300;
    for (int turn = 0; turn < 20; turn++) {
      const auto wanted = [&](unsigned bit) {
        return (chance * 2654435761U >> (turn + bit) & 1U) != 0 ? Membership::include : Membership::none;
      };
      d.want(d.last, wanted(0));
      d.want(d.peer, wanted(3));
      d.stream(30, 300 * kMillisecond);
    }
    d.want(d.last, Membership::include);
    d.want(d.peer, Membership::include);
    d.stream(60, kSecond);
    d.net.loss = 0;
    d.stream(180, kSecond);
    CHECK(d.stream(20) == Seen{20, 20});
    d.net.loss = 300;
    d.want(d.last, Membership::none);
    d.want(d.peer, Membership::none);
    d.stream(10, kSecond);
    d.net.loss = 0;
    d.net.pass(500 * kSecond);
    CHECK(d.trees() == 0);
  }
}
