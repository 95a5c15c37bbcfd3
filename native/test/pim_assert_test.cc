#include "test/pim_bed.h"

using namespace sluice;
using namespace sluice::test;

namespace {

/**
 * A source on link 1, to which both a and b have a link; c joins by a, d by b, and have hosts on links 3
 * and 4. The RP is on link 9, which a reaches at metric 10, b at 20.
 *
 *       +-- a --+-- c --3--
 *  S -1-+       2
 *       +-- b --+-- d --4--
 */
struct Pair {
  explicit Pair(bool v4 = true, const IpAddress* rp_group = nullptr, const PimOptions& options = {},
                unsigned long chance = 1)
      : net(v4, chance),
        a(net.router("a", with_rp(v4, options))),
        b(net.router("b", with_rp(v4, options))),
        c(net.router("c", with_rp(v4, options))),
        d(net.router("d", with_rp(v4, options))),
        rp(net.router("rp", with_rp(v4, options))) {
    for (Router* one : {&a, &b}) {
      const unsigned host = one == &a ? 1 : 2;
      net.attach(*one, 1, host);
      net.attach(*one, 2, host);
      net.attach(*one, 8, host);
      one->way(net.prefix(1), 0, net.any(), host * 10);
      one->way(net.prefix(9), 2, net.on_link(8, 9), host * 10);
    }
    for (Router* one : {&c, &d}) {
      const unsigned host = one == &c ? 3 : 4;
      net.attach(*one, 2, host);
      net.attach(*one, host, host);
      const IpAddress by = net.on_link(2, host - 2);
      for (const unsigned far : {1, 8, 9}) one->way(net.prefix(far), 0, by);
    }
    net.attach(rp, 8, 9);
    net.attach(rp, 9, 9);
    rp.way(net.prefix(1), 0, net.on_link(8, 1));
    source = net.host(1, 100);
    group = rp_group != nullptr ? *rp_group : ssm_group(v4);
    net.pass(12 * kSecond);
  }
  static PimOptions with_rp(bool v4, PimOptions options) {
    options.static_rps = {
        {{v4 ? IpAddress::v4(0xe0000000) : asm_group(false), v4 ? 4U : 8U}, host_address(v4, 9, 9)}};
    return options;
  }
  void want(Router& router, Membership wanted) { router.pim->local(1, group, source, wanted, net.now); }
  void want_any(Router& router, Membership wanted) {
    router.pim->local(1, group, net.any(), wanted, net.now);
  }
  void want_both() {
    want(c, Membership::include);
    want(d, Membership::include);
    net.pass(kMillisecond);
  }
  /** Copies on links 2, 3 and 4. */
  std::array<int, 3> seen() {
    net.send(1, source, group);
    return {net.copies_on(2), net.copies_on(3), net.copies_on(4)};
  }
  bool forwards(const Router& router) const {
    return (router.pim->route(source, group).outgoing & only(1)) != 0;
  }

  Net net;
  Router& a;
  Router& b;
  Router& c;
  Router& d;
  Router& rp;
  IpAddress source;
  IpAddress group;
};

using Seen = std::array<int, 3>;

}  // namespace

TEST_CASE("pim assert: two routers forward onto a link: the better one stays, and all join it from then on") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Pair p(v4);
    p.want_both();
    CHECK(p.forwards(p.a));
    CHECK(p.forwards(p.b));
    CHECK(p.seen()[0] == 2);
    p.net.pass(kMillisecond);
    CHECK(p.forwards(p.a));
    CHECK_FALSE(p.forwards(p.b));
    CHECK(p.b.pim->route(p.source, p.group).why == NoRoute::assert_lost);
    CHECK(p.seen() == Seen{1, 1, 1});
    CHECK(p.d.pim->route(p.source, p.group).upstream == p.net.on_link(2, 1));
    // Within the override interval the winner has heard a join of d, too.
    p.net.pass(2500 * kMillisecond + kMillisecond);
    p.want(p.c, Membership::none);
    for (int i = 0; i < 60; i++) {
      p.net.pass(100 * kMillisecond);
      CHECK(p.seen() == Seen{1, 0, 1});
    }
  }
}

TEST_CASE("pim assert: with equal metrics the highest address stays") {
  Pair p;
  p.b.way(p.net.prefix(1), 0, p.net.any(), 10);
  p.want_both();
  p.seen();
  p.net.pass(kMillisecond);
  CHECK_FALSE(p.forwards(p.a));
  CHECK(p.forwards(p.b));
  CHECK(p.seen() == Seen{1, 1, 1});
}

TEST_CASE("pim assert: it is held up as long as it is wanted: no packet comes twice") {
  Pair p;
  p.want_both();
  p.seen();
  p.net.pass(kMillisecond);
  for (int i = 0; i < 1000; i++) {
    p.net.pass(kSecond);
    REQUIRE(p.seen() == Seen{1, 1, 1});
  }
  // The loser is not joined any more, and has forgotten.
  CHECK(p.b.pim->trees() == 0);
  // At first, and every 177 s.
  CHECK(p.a.asserts >= 6);
  CHECK(p.a.asserts <= 8);
}

TEST_CASE("pim assert: a winner that does not want to forward any more says so") {
  Pair p;
  p.want_both();
  p.seen();
  p.net.pass(10 * kSecond);
  const std::size_t before = p.a.asserts;
  p.a.pim->interface_down(0, p.net.now);
  p.a.ways.clear();
  p.a.way(p.net.prefix(1), 1, p.net.on_link(2, 2));
  p.net.pass(kMillisecond);
  CHECK(p.a.asserts == before + 1);
  CHECK(p.a.sent_asserts.back().rpt);
  CHECK(p.a.sent_asserts.back().metric == codec::pim::kInfiniteMetric);
  CHECK(p.a.sent_asserts.back().source == p.source);
  CHECK(p.forwards(p.b));
  p.net.pass(3 * kSecond);
  CHECK(p.seen() == Seen{1, 1, 1});
}

TEST_CASE("pim assert: a winner that is gone, or begins anew, does not hold up others") {
  Pair p;
  p.want_both();
  p.seen();
  p.net.pass(10 * kSecond);
  CHECK_FALSE(p.forwards(p.b));
  SUBCASE("gone") {
    p.a.crash();
    p.net.pass(106 * kSecond);
    // d's next hop is b again, and is joined within the override interval.
    p.net.pass(2600 * kMillisecond);
    CHECK(p.seen() == Seen{1, 1, 1});
  }
  SUBCASE("begins anew") {
    p.a.restart();
    p.net.pass(8 * kSecond);
    p.seen();
    p.net.pass(3 * kSecond);
    CHECK(p.seen() == Seen{1, 1, 1});
  }
}

TEST_CASE("pim assert: when the loser's way becomes better, it forwards, and wins the next") {
  Pair p;
  p.want_both();
  p.seen();
  p.net.pass(kMillisecond);
  CHECK_FALSE(p.forwards(p.b));
  p.b.way(p.net.prefix(1), 0, p.net.any(), 1);
  CHECK(p.forwards(p.b));
  p.seen();
  p.net.pass(kMillisecond);
  CHECK(p.forwards(p.b));
  CHECK_FALSE(p.forwards(p.a));
  CHECK(p.seen() == Seen{1, 1, 1});
}

TEST_CASE("pim assert: a join for the loser ends it") {
  Pair p;
  p.want_both();
  p.seen();
  p.net.pass(kMillisecond);
  CHECK_FALSE(p.forwards(p.b));
  const codec::pim::JoinPruneSource source{p.source, false, false};
  const codec::pim::JoinPruneGroup set{
      p.group, codec::Sequence<codec::pim::JoinPruneSource>(std::span(&source, 1)), {}};
  p.b.pim->on_join_prune(
      1, p.net.on_link(2, 4),
      {p.net.on_link(2, 2), 210, codec::Sequence<codec::pim::JoinPruneGroup>(std::span(&set, 1))}, p.net.now);
  CHECK(p.forwards(p.b));
  p.seen();
  p.net.pass(kMillisecond);
  CHECK_FALSE(p.forwards(p.b));
}

TEST_CASE(
    "pim assert: an assert of nothing that concerns us, and of nobody that we know, leaves nothing behind") {
  Pair p;
  p.a.pim->on_assert(1, p.net.on_link(2, 4), {p.group, p.source, false, 1, 1}, p.net.now);
  CHECK(p.a.pim->trees() == 0);
  p.want_both();
  p.a.pim->on_assert(1, p.net.on_link(2, 99), {p.group, p.source, false, 0, 1}, p.net.now);
  CHECK(p.forwards(p.a));
  CHECK(p.a.pim->counters().unknown_neighbour == 1);
  p.a.pim->on_assert(1, p.net.on_link(2, 4), {p.group, p.net.host(1, 77), false, 0, 1}, p.net.now);
  CHECK(p.a.pim->trees() == 1);
  p.a.pim->on_assert(1, p.net.on_link(2, 4), {p.group, p.source, false, 0, 1}, p.net.now);
  CHECK_FALSE(p.forwards(p.a));
}

TEST_CASE("pim assert: on the shared tree, (*,G)") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    const IpAddress group = asm_group(v4);
    PimOptions options;
    options.spt_switch = false;
    Pair p(v4, &group, options);
    p.want_any(p.c, Membership::include);
    p.want_any(p.d, Membership::include);
    p.net.pass(kSecond);
    CHECK(p.a.pim->route(p.source, group).outgoing == only(1));
    CHECK(p.b.pim->route(p.source, group).outgoing == only(1));
    const IpAddress far = p.net.host(9, 100);
    p.net.send(9, far, group);
    CHECK(p.net.copies_on(2) == 2);
    p.net.pass(kMillisecond);
    p.net.send(9, far, group);
    CHECK(p.net.copies_on(2) == 1);
    CHECK(p.net.copies_on(3) == 1);
    CHECK(p.net.copies_on(4) == 1);
    CHECK(p.b.pim->route(far, group).why == NoRoute::assert_lost);
    CHECK(p.a.sent_asserts.front().rpt);
    CHECK(p.a.sent_asserts.front().source == far);
    for (int i = 0; i < 400; i++) {
      p.net.pass(kSecond);
      p.net.send(9, far, group);
      REQUIRE(p.net.copies_on(2) == 1);
      REQUIRE(p.net.copies_on(4) == 1);
    }
    p.want_any(p.c, Membership::none);
    p.want_any(p.d, Membership::none);
    p.net.pass(215 * kSecond);
    for (const Router* one : {&p.a, &p.b, &p.c, &p.d}) CHECK(one->pim->trees() == 0);
  }
}

TEST_CASE("pim assert: a source's own tree goes before the shared one") {
  const IpAddress group = asm_group(true);
  PimOptions options;
  options.spt_switch = false;
  Pair p(true, &group, options);
  // c wants the group, by a; d wants only the source, by b, which is worse.
  p.want_any(p.c, Membership::include);
  p.want(p.d, Membership::include);
  p.net.pass(kSecond);
  p.net.stream(1, p.source, group, 10);
  p.net.pass(kSecond);
  CHECK(p.seen() == Seen{1, 1, 1});
  CHECK(p.forwards(p.b));
  p.net.pass(3 * kSecond);
  CHECK(p.seen() == Seen{1, 1, 1});
}
