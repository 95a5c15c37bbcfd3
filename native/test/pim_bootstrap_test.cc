#include "membership/pim_bootstrap.h"

#include "test/pim_bed.h"

using namespace sluice;
using namespace sluice::test;
using membership::BootstrapOptions;
using membership::BsrWeight;
using membership::KeptBootstrap;
using membership::PimZone;
using membership::RpMapping;

namespace {

using State = PimZone::State;
using Action = PimZone::Action;

/** A router with this last byte of its address tells one range, of one RP. */
KeptBootstrap told(unsigned router, std::uint8_t priority, std::uint16_t holdtime = 150, unsigned rp = 50) {
  KeptBootstrap made;
  made.tag = static_cast<std::uint16_t>(router * 256 + rp);
  made.priority = priority;
  made.router = host_address(true, 0, router);
  made.ranges = {{{{IpAddress::v4(0xef000000), 8}}, 1, {{host_address(true, 0, rp), holdtime, 10}}}};
  return made;
}

struct Zone {
  explicit Zone(std::optional<unsigned> own = {}, std::uint8_t priority = 64, bool learnt = false)
      : machine(options, own ? std::optional(BsrWeight{priority, host_address(true, 0, *own)}) : std::nullopt,
                learnt, now) {}
  Action hear(const KeptBootstrap& message) {
    Action action{};
    message.tell(false, [&](const codec::pim::Bootstrap& one) { action = machine.on_message(one, now); });
    return action;
  }
  Action at(Nanos time) {
    now = time;
    return machine.run(now);
  }
  std::vector<RpMapping> mappings() const {
    std::vector<RpMapping> all;
    machine.append_to(all);
    return all;
  }

  BootstrapOptions options;
  Nanos now = 0;
  PimZone machine;
};

constexpr IpAddress kGroup = IpAddress::v4(0xef010001);

/** a --1-- b --2-- c, with a --3-- c besides. */
struct Domain {
  explicit Domain(const PimOptions& of_a = {}, const PimOptions& of_b = {}, const PimOptions& of_c = {},
                  bool v4 = true)
      : net(v4), a(net.router("a", of_a)), b(net.router("b", of_b)), c(net.router("c", of_c)) {
    net.attach(a, 1, 1);
    net.attach(a, 3, 1);
    net.attach(b, 1, 2);
    net.attach(b, 2, 2);
    net.attach(c, 2, 3);
    net.attach(c, 3, 3);
    a.way(net.prefix(2), 0, net.on_link(1, 2));
    b.way(net.prefix(3), 0, net.on_link(1, 1));
    c.way(net.prefix(1), 1, net.on_link(3, 1));
  }
  static PimOptions candidate(unsigned net, unsigned host, std::uint8_t priority, bool v4 = true) {
    PimOptions options;
    options.bootstrap.router = membership::BsrCandidacy{host_address(v4, net, host), priority,
                                                        static_cast<std::uint8_t>(v4 ? 30 : 126)};
    return options;
  }
  static PimOptions rp(unsigned net, unsigned host, PimOptions options = {}, bool v4 = true) {
    options.bootstrap.rp =
        membership::RpCandidacy{host_address(v4, net, host),
                                192,
                                {{v4 ? IpAddress::v4(0xef000000) : asm_group(false), v4 ? 8U : 16U}}};
    return options;
  }
  std::array<Router*, 3> all() { return {&a, &b, &c}; }

  Net net;
  Router& a;
  Router& b;
  Router& c;
};

}  // namespace

TEST_CASE("pim rps: the hash of RFC 7761 section 4.7.2") {
  // By hand: (1103515245 * ((1103515245 * (G & M) + 12345) xor C) + 12345) mod 2^31.
  const auto by_hand = [](std::uint64_t group, std::uint64_t mask, std::uint64_t rp) {
    const std::uint64_t inner = (1103515245U * (group & mask) + 12345U) ^ rp;
    return static_cast<std::uint32_t>((1103515245U * inner + 12345U) % (std::uint64_t{1} << 31));
  };
  for (const std::uint32_t group : {0xef010101U, 0xe0ffff07U, 0xeffffff0U}) {
    for (const std::uint32_t rp : {0x0a000001U, 0xc0a80105U, 0xffffffffU}) {
      CHECK(membership::rp_hash(IpAddress::v4(group), 30, IpAddress::v4(rp)) ==
            by_hand(group, 0xfffffffcU, rp));
      CHECK(membership::rp_hash(IpAddress::v4(group), 0, IpAddress::v4(rp)) == by_hand(group, 0, rp));
      CHECK(membership::rp_hash(IpAddress::v4(group), 32, IpAddress::v4(rp)) ==
            by_hand(group, 0xffffffffU, rp));
    }
  }
  // 3ffe:b00:c18:1::10 counts as 0x3ffe0b00 ^ 0x0c180001 ^ 0x10.
  const std::array<std::uint8_t, 16> rp{0x3f, 0xfe, 0x0b, 0x00, 0x0c, 0x18, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x10};
  const std::array<std::uint8_t, 16> group{0xff, 0x1e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3};
  CHECK(membership::rp_hash(IpAddress::v6(group.data()), 126, IpAddress::v6(rp.data())) ==
        by_hand(0xff1e0000U, 0xffffffffU, 0x3ffe0b00U ^ 0x0c180001U ^ 0x10U));
}

TEST_CASE("pim rps: the longest range, then what is set, then priority, then the hash") {
  const IpAddress one = host_address(true, 0, 1);
  const IpAddress two = host_address(true, 0, 2);
  const IpPrefix wide{IpAddress::v4(0xe0000000), 4};
  const IpPrefix narrow{IpAddress::v4(0xef000000), 8};
  const IpAddress group = kGroup;
  using Set = std::vector<RpMapping>;
  CHECK_FALSE(membership::rp_of(Set{}, group));
  CHECK(membership::rp_of(Set{{wide, one}, {narrow, two, 255}}, group) == two);
  CHECK(membership::rp_of(Set{{wide, one}, {narrow, two}}, IpAddress::v4(0xe1000001)) == one);
  CHECK(membership::rp_of(Set{{narrow, one, 5}, {narrow, two, 6}}, group) == one);
  CHECK(membership::rp_of(Set{{narrow, one, 5}, {narrow, two, 6, true}}, group) == two);
  CHECK_FALSE(membership::rp_of(Set{{wide, one}, {narrow, two, 0, false, true}}, group));
  // By the hash about as many groups have one as the other; four neighbours the same.
  int ones = 0;
  for (std::uint16_t i = 0; i < 400; i += 4) {
    const auto first = membership::rp_of(Set{{narrow, one}, {narrow, two}}, IpAddress::v4(0xef000000U + i));
    for (std::uint16_t k = 1; k < 4; k++)
      CHECK(membership::rp_of(Set{{narrow, two}, {narrow, one}}, IpAddress::v4(0xef000000U + i + k)) ==
            first);
    ones += first == one ? 1 : 0;
  }
  CHECK(ones > 20);
  CHECK(ones < 80);
}

TEST_CASE("pim bootstrap: a router that is no candidate (RFC 5059 section 3.1.2)") {
  Zone zone;
  CHECK(zone.machine.state() == State::accept_any);
  CHECK(zone.hear(told(5, 64)) == Action::forward);
  CHECK(zone.machine.state() == State::accept_preferred);
  REQUIRE(zone.mappings().size() == 1);
  CHECK(zone.mappings()[0].rp == host_address(true, 0, 50));
  CHECK(zone.machine.take_changed());
  SUBCASE("not preferred: ignored") {
    CHECK(zone.hear(told(4, 64)) == Action::none);
    CHECK(zone.hear(told(9, 63)) == Action::none);
    CHECK(zone.machine.router()->address == host_address(true, 0, 5));
    CHECK_FALSE(zone.machine.take_changed());
  }
  SUBCASE("preferred: by address, by priority; its RPs replace those of its ranges") {
    CHECK(zone.hear(told(6, 64, 150, 51)) == Action::forward);
    CHECK(zone.hear(told(1, 65, 150, 52)) == Action::forward);
    REQUIRE(zone.mappings().size() == 1);
    CHECK(zone.mappings()[0].rp == host_address(true, 0, 52));
  }
  SUBCASE("the same with less weight: still preferred, and lighter from then on") {
    CHECK(zone.hear(told(5, 10)) == Action::forward);
    CHECK(zone.hear(told(4, 11)) == Action::forward);
  }
  SUBCASE("silent: any other is taken, and the RPs are good once more for their holdtime") {
    CHECK(zone.at(130 * kSecond - 1) == Action::none);
    CHECK(zone.machine.state() == State::accept_preferred);
    CHECK(zone.at(130 * kSecond) == Action::none);
    CHECK(zone.machine.state() == State::accept_any);
    CHECK_FALSE(zone.machine.router());
    CHECK(zone.at(279 * kSecond) == Action::none);
    CHECK(zone.mappings().size() == 1);
    SUBCASE("nobody") {
      zone.at(280 * kSecond);
      CHECK(zone.mappings().empty());
      CHECK(zone.machine.take_changed());
      CHECK(zone.machine.next() == kNever);
    }
    SUBCASE("somebody light") {
      CHECK(zone.hear(told(1, 0)) == Action::forward);
      CHECK(zone.machine.state() == State::accept_preferred);
    }
  }
  SUBCASE("an RP with holdtime 0, and a range without RPs, are gone at once") {
    SUBCASE("holdtime") {
      zone.hear(told(5, 64, 0));
    }
    SUBCASE("range") {
      KeptBootstrap none = told(5, 64);
      none.ranges[0].points.clear();
      none.ranges[0].total = 0;
      none.tag++;
      zone.hear(none);
    }
    CHECK(zone.mappings().empty());
  }
  SUBCASE("an empty message takes nothing back") {
    KeptBootstrap empty = told(5, 64);
    empty.ranges.clear();
    CHECK(zone.hear(empty) == Action::forward);
    CHECK(zone.mappings().size() == 1);
    // Nor one whose only range names the zone.
    empty.ranges = {{{{IpAddress::v4(0xef000000), 8}, false, true}, 0, {}}};
    empty.tag++;
    CHECK(zone.hear(empty) == Action::forward);
    CHECK(zone.mappings().size() == 1);
  }
}

TEST_CASE("pim bootstrap: fragments: a range is taken when all its RPs have come") {
  Zone zone;
  KeptBootstrap first = told(5, 64, 150, 51);
  first.tag = 7;
  first.ranges[0].total = 2;
  KeptBootstrap second = first;
  second.ranges[0].points[0].address = host_address(true, 0, 52);
  zone.hear(first);
  CHECK(zone.mappings().empty());
  zone.hear(first);
  CHECK(zone.mappings().empty());
  zone.hear(second);
  CHECK(zone.mappings().size() == 2);
  // The next with the same tag is another message, since its range was whole.
  KeptBootstrap next = told(5, 64, 150, 53);
  next.tag = 7;
  zone.hear(next);
  REQUIRE(zone.mappings().size() == 1);
  CHECK(zone.mappings()[0].rp == host_address(true, 0, 53));
  // Of another tag the half is not added to.
  first.tag = 8;
  second.tag = 9;
  zone.hear(first);
  zone.hear(second);
  CHECK(zone.mappings().size() == 1);
}

TEST_CASE("pim bootstrap: the heaviest candidate waits five seconds, whatever the length of its address") {
  const BootstrapOptions options;
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    PimZone zone(options, BsrWeight{64, host_address(v4, 1, 20)}, false, kSecond);
    CHECK(zone.next() == 6 * kSecond);
    CHECK(zone.run(5 * kSecond) == Action::none);
    CHECK(zone.run(6 * kSecond) == Action::originate);
  }
}

TEST_CASE("pim bootstrap: fragment tags wrap around, and say only what is alike") {
  Zone zone;
  KeptBootstrap last = told(5, 64, 150, 51);
  last.tag = 0xffff;
  last.ranges[0].total = 2;
  KeptBootstrap first = last;
  first.tag = 0;
  first.ranges[0].points[0].address = host_address(true, 0, 52);
  zone.hear(last);
  zone.hear(first);
  CHECK(zone.mappings().empty());
  KeptBootstrap rest = first;
  rest.ranges[0].points[0].address = host_address(true, 0, 53);
  zone.hear(rest);
  CHECK(zone.mappings().size() == 2);
}

TEST_CASE("pim bootstrap: a candidate (RFC 5059 section 3.1.1)") {
  Zone zone(20, 64);
  CHECK(zone.machine.state() == State::pending);
  // Nobody heavier is known: 5 s.
  CHECK(zone.machine.next() == 5 * kSecond);
  SUBCASE("pending: less weight: forwarded, still pending") {
    CHECK(zone.hear(told(5, 64)) == Action::forward);
    CHECK(zone.machine.state() == State::pending);
    CHECK(zone.mappings().empty());
  }
  SUBCASE("pending: more weight: it is only a candidate") {
    CHECK(zone.hear(told(5, 65)) == Action::forward);
    CHECK(zone.machine.state() == State::candidate);
    CHECK(zone.mappings().size() == 1);
    SUBCASE("others of less weight: nothing") {
      CHECK(zone.hear(told(21, 64)) == Action::none);
      CHECK(zone.machine.state() == State::candidate);
    }
    SUBCASE("the same with less weight than ours: pending") {
      zone.now = 10 * kSecond;
      CHECK(zone.hear(told(5, 63)) == Action::forward);
      CHECK(zone.machine.state() == State::pending);
      CHECK(zone.machine.next() == 15 * kSecond);
    }
    SUBCASE("the same with less weight, but more than ours: preferred") {
      CHECK(zone.hear(told(25, 66)) == Action::forward);
      CHECK(zone.hear(told(25, 64)) == Action::forward);
      CHECK(zone.machine.state() == State::candidate);
    }
    SUBCASE("silent: pending, and the later the lighter we are") {
      CHECK(zone.at(130 * kSecond) == Action::none);
      CHECK(zone.machine.state() == State::pending);
      // 5 s, 2 s for one step of priority, and 2 - address / 2^31.
      const double ours = 2 - static_cast<double>(0x0a000014) / 2147483648.0;
      zone.at(137 * kSecond);
      CHECK(zone.machine.state() == State::pending);
      CHECK(zone.at((137 + static_cast<Nanos>(ours) + 1) * kSecond) == Action::originate);
      CHECK(zone.machine.state() == State::elected);
    }
  }
  SUBCASE("elected") {
    CHECK(zone.at(5 * kSecond) == Action::originate);
    CHECK(zone.machine.state() == State::elected);
    CHECK(zone.machine.router()->address == host_address(true, 0, 20));
    CHECK(zone.machine.next() == 65 * kSecond);
    SUBCASE("each period") {
      CHECK(zone.at(65 * kSecond) == Action::originate);
    }
    SUBCASE("less weight: tells again") {
      zone.now = 30 * kSecond;
      CHECK(zone.hear(told(5, 64)) == Action::originate);
      CHECK(zone.machine.next() == 90 * kSecond);
    }
    SUBCASE("more weight: a candidate") {
      CHECK(zone.hear(told(21, 64)) == Action::forward);
      CHECK(zone.machine.state() == State::candidate);
    }
    SUBCASE("news: soon") {
      zone.machine.hasten(10 * kSecond);
      CHECK(zone.machine.next() == 20 * kSecond);
    }
  }
}

TEST_CASE(
    "pim bootstrap: a zone that was learnt goes when nobody tells of it any more; what it holds has a "
    "limit") {
  Zone zone({}, 0, true);
  zone.hear(told(5, 64));
  zone.at(130 * kSecond);
  CHECK(zone.at(1429 * kSecond) == Action::none);
  CHECK(zone.at(1430 * kSecond) == Action::remove);
  Zone full;
  full.options.most_mappings = 10;
  KeptBootstrap many = told(5, 64);
  for (unsigned i = 0; i < 100; i++) many.ranges[0].points.push_back({host_address(true, 1, i), 150, 0});
  many.ranges[0].total = 101;
  full.hear(many);
  CHECK(full.mappings().empty());
  CHECK(full.machine.refused() == 1);
  many.ranges[0].total = 5;
  full.hear(many);
  CHECK(full.mappings().size() <= 10);
}

TEST_CASE("pim bootstrap: in a domain one is elected, candidates' offers reach all, and receivers join") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Domain d(Domain::candidate(1, 1, 100, v4), Domain::rp(2, 2, Domain::candidate(1, 2, 64, v4), v4),
             Domain::rp(2, 3, {}, v4), v4);
    const IpAddress group = asm_group(v4);
    d.net.pass(60 * kSecond);
    CHECK(d.a.pim->bootstrap().state() == State::elected);
    CHECK(d.b.pim->bootstrap().state() == State::candidate);
    CHECK(d.c.pim->bootstrap().state() == State::accept_preferred);
    for (Router* one : d.all()) {
      CHECK(one->pim->bootstrap().router()->address == host_address(v4, 1, 1));
      REQUIRE(one->pim->rps().size() == 2);
      CHECK(one->pim->rp_of(group) == d.a.pim->rp_of(group));
    }
    CHECK(d.a.pim->rp_of(group));
    const std::size_t before = d.b.advertisements;
    CHECK(before >= 3);
    d.net.pass(600 * kSecond);
    CHECK(d.b.advertisements - before == 10);
    for (Router* one : d.all()) CHECK(one->pim->rps().size() == 2);
    // The RP that is not the elected one's choice goes silent: its offer ends.
    d.b.crash();
    d.a.way(d.net.prefix(2), 1, d.net.on_link(3, 3));
    d.net.pass(400 * kSecond);
    CHECK(d.a.pim->rps().size() == 1);
    CHECK(d.c.pim->rps().size() == 1);
    CHECK(d.c.pim->rp_of(group) == host_address(v4, 2, 3));
  }
}

TEST_CASE(
    "pim bootstrap: the elected one is gone, or takes its leave: the next is elected, and RPs are kept "
    "meanwhile") {
  Domain d(Domain::candidate(1, 1, 100), Domain::candidate(1, 2, 64), Domain::rp(2, 3));
  d.net.pass(60 * kSecond);
  CHECK(d.c.pim->bootstrap().router()->address == d.net.host(1, 1));
  const auto served = [&] { return d.b.pim->rp_of(kGroup) && d.c.pim->rp_of(kGroup); };
  CHECK(served());
  SUBCASE("gone") {
    d.a.crash();
    d.c.way(d.net.prefix(1), 0, d.net.on_link(2, 2));
    for (int i = 0; i < 200; i++) {
      d.net.pass(kSecond);
      REQUIRE(served());
    }
  }
  SUBCASE("leaves") {
    d.a.pim->withdraw(d.net.now);
    d.net.pass(kMillisecond);
    d.a.crash();
    d.c.way(d.net.prefix(1), 0, d.net.on_link(2, 2));
    d.net.pass(30 * kSecond);
  }
  CHECK(d.b.pim->bootstrap().state() == State::elected);
  CHECK(d.c.pim->bootstrap().router()->address == d.net.host(1, 2));
  d.net.pass(300 * kSecond);
  CHECK(served());
}

TEST_CASE("pim bootstrap: an RP that takes its leave is gone for all within the least interval") {
  Domain d(Domain::candidate(1, 1, 100), {}, Domain::rp(2, 3));
  d.net.pass(60 * kSecond);
  CHECK(d.b.pim->rp_of(kGroup));
  d.c.pim->withdraw(d.net.now);
  d.net.pass(11 * kSecond);
  for (Router* one : d.all()) CHECK_FALSE(one->pim->rp_of(kGroup));
}

TEST_CASE("pim bootstrap: a router that begins anew is told at once, by one only") {
  Domain d(Domain::candidate(1, 1, 100), {}, Domain::rp(2, 3));
  d.net.pass(100 * kSecond);
  d.b.restart();
  CHECK_FALSE(d.b.pim->rp_of(kGroup));
  const std::size_t before = d.a.bootstraps + d.c.bootstraps;
  d.net.pass(6 * kSecond);
  CHECK(d.b.pim->rp_of(kGroup));
  // b's address is the lower one on link 2, the higher on link 1: each of the others would be designated
  // there without it.
  CHECK(d.a.bootstraps + d.c.bootstraps == before + 2);
  // The bootstrap router itself does not learn from its own message that there is another.
  d.a.restart();
  d.net.pass(8 * kSecond);
  CHECK(d.a.pim->bootstrap().state() == State::elected);
}

TEST_CASE("pim bootstrap: on a link of several one tells whoever is new") {
  Net net;
  Router& a = net.router("a", Domain::candidate(1, 1, 100));
  Router& b = net.router("b");
  Router& c = net.router("c");
  net.attach(a, 1, 1);
  net.attach(b, 1, 2);
  net.attach(c, 1, 3);
  a.pim->on_candidate_rp({{net.host(1, 2), 150, 0}, {}}, net.now);
  net.pass(20 * kSecond);
  a.pim->on_candidate_rp({{net.host(1, 2), 150, 0}, {}}, net.now);
  net.pass(12 * kSecond);
  CHECK(c.pim->rp_of(kGroup));
  for (Router* one : {&a, &b}) one->bootstraps = 0;
  c.restart();
  net.pass(8 * kSecond);
  CHECK(c.pim->rp_of(kGroup));
  CHECK(a.bootstraps == 0);
  CHECK(b.bootstraps == 1);
}

TEST_CASE(
    "pim bootstrap: what comes another way than from its router, from strangers or too late, is dropped") {
  Domain d;
  d.net.pass(12 * kSecond);
  const auto hear = [&](const IpAddress& from, bool no_forward, unsigned router) {
    KeptBootstrap message = told(1, 64);
    message.router = d.net.host(3, router);
    message.tell(no_forward,
                 [&](const codec::pim::Bootstrap& one) { d.b.pim->on_bootstrap(0, from, one, d.net.now); });
    return !d.b.pim->rps().empty();
  };
  CHECK_FALSE(hear(d.net.host(1, 77), false, 1));
  CHECK(d.b.pim->counters().unknown_neighbour == 1);
  d.b.way(d.net.prefix(3), 1, d.net.on_link(2, 3));
  CHECK_FALSE(hear(d.net.host(1, 1), false, 1));
  CHECK(d.b.pim->bootstrap().counters().dropped == 1);
  d.net.pass(60 * kSecond);
  CHECK_FALSE(hear(d.net.host(1, 1), true, 1));
  CHECK(d.b.pim->bootstrap().counters().dropped == 2);
  d.b.way(d.net.prefix(3), 0, d.net.on_link(1, 1));
  CHECK(hear(d.net.host(1, 1), false, 1));
  d.b.pim->on_candidate_rp({{d.net.host(1, 1), 100, 0}, {}}, d.net.now);
  CHECK(d.b.pim->bootstrap().counters().advertisements_dropped == 1);
}

TEST_CASE("pim bootstrap: zones of administrative scope have bootstrap routers of their own") {
  Domain d;
  d.net.pass(12 * kSecond);
  KeptBootstrap domain = told(1, 64, 150, 50);
  domain.router = d.net.host(1, 1);
  KeptBootstrap scoped = told(1, 10, 150, 60);
  scoped.router = d.net.host(1, 1);
  scoped.ranges = {{{{IpAddress::v4(0xefff0000), 16}, false, true}, 1, {{d.net.host(0, 60), 150, 0}}}};
  for (const KeptBootstrap* one : {&domain, &scoped})
    one->tell(false, [&](const codec::pim::Bootstrap& message) {
      d.b.pim->on_bootstrap(0, d.net.on_link(1, 1), message, d.net.now);
    });
  CHECK(d.b.pim->rp_of(kGroup) == d.net.host(0, 50));
  CHECK(d.b.pim->rp_of(IpAddress::v4(0xefff0001)) == d.net.host(0, 60));
  CHECK(d.b.pim->bootstrap().router()->priority == 64);
  d.net.pass(150 * kSecond + 130 * kSecond + kSecond);
  CHECK(d.b.pim->rps().empty());
  for (unsigned i = 0; i < 100; i++) {
    scoped.ranges[0].range.groups = {IpAddress::v4(0xefff0000U + i * 256), 24};
    scoped.tell(false, [&](const codec::pim::Bootstrap& message) {
      d.b.pim->on_bootstrap(0, d.net.on_link(1, 1), message, d.net.now);
    });
  }
  CHECK(d.b.pim->bootstrap().counters().refused > 80);
}
