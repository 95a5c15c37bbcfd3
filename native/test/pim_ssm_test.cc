#include "test/pim_bed.h"

using namespace sluice;
using namespace sluice::test;

namespace {

/**
 * A source on link 1; routers top, left and right on link 2; left has hosts on link 3, right on link 4. Link
 * 5 leads from right to top past link 2.
 *
 *      S --1-- top --2--+-- left --3--
 *               `---5---+-- right --4--
 */
struct Lan {
  explicit Lan(bool v4 = true, const PimOptions& options = {}, unsigned long chance = 1)
      : net(v4, chance),
        top(net.router("top", options)),
        left(net.router("left", options)),
        right(net.router("right", options)) {
    net.attach(top, 1, 1);
    net.attach(top, 2, 1);
    net.attach(top, 5, 1);
    net.attach(left, 2, 2);
    net.attach(left, 3, 2);
    net.attach(right, 2, 3);
    net.attach(right, 4, 3);
    net.attach(right, 5, 3);
    left.way(net.prefix(1), 0, net.on_link(2, 1));
    right.way(net.prefix(1), 0, net.on_link(2, 1));
    source = net.host(1, 100);
    group = ssm_group(v4);
    net.pass(12 * kSecond);
  }
  void want(Router& router, Interface interface, Membership wanted) {
    router.pim->local(interface, group, source, wanted, net.now);
  }
  /** Copies of a packet that links 3 and 4 see. */
  std::pair<int, int> seen() {
    net.send(1, source, group);
    return {net.copies_on(3), net.copies_on(4)};
  }

  Net net;
  Router& top;
  Router& left;
  Router& right;
  IpAddress source;
  IpAddress group;
};

using Seen = std::pair<int, int>;

}  // namespace

TEST_CASE("pim ssm: a join builds the tree, a leave takes it down at once where nobody else could want it") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Lan lan(v4);
    CHECK(lan.seen() == Seen{0, 0});
    lan.want(lan.right, 1, Membership::include);
    // On another way than link 2, where there is a third router.
    lan.right.way(lan.net.prefix(1), 2, lan.net.on_link(5, 1));
    lan.net.pass(kMillisecond);
    CHECK(lan.seen() == Seen{0, 1});
    const Route route = lan.right.pim->route(lan.source, lan.group);
    CHECK(route.why == NoRoute::none);
    CHECK(route.incoming == 2);
    CHECK(route.outgoing == only(1));
    CHECK(route.spt);
    CHECK(route.upstream == lan.net.on_link(5, 1));
    lan.want(lan.right, 1, Membership::none);
    CHECK(lan.right.pim->route(lan.source, lan.group).why == NoRoute::no_receivers);
    lan.net.pass(kMillisecond);
    CHECK(lan.seen() == Seen{0, 0});
    lan.net.pass(4 * kSecond);
    for (const Router* one : {&lan.top, &lan.left, &lan.right}) CHECK(one->pim->trees() == 0);
  }
}

TEST_CASE("pim ssm: of two routers on a LAN one leaves, and the other's receivers miss nothing") {
  Lan lan;
  lan.want(lan.left, 1, Membership::include);
  lan.want(lan.right, 1, Membership::include);
  lan.net.pass(kMillisecond);
  CHECK(lan.seen() == Seen{1, 1});
  CHECK(lan.net.copies_on(2) == 1);
  lan.want(lan.left, 1, Membership::none);
  for (int i = 0; i < 400; i++) {
    lan.net.pass(10 * kMillisecond);
    CHECK(lan.seen() == Seen{0, 1});
  }
  lan.want(lan.right, 1, Membership::none);
  lan.net.pass(2900 * kMillisecond);
  CHECK(lan.top.pim->trees() == 1);
  lan.net.pass(200 * kMillisecond);
  CHECK(lan.top.pim->trees() == 0);
}

TEST_CASE("pim ssm: an override that is lost is repeated at the prune echo") {
  Lan lan;
  lan.want(lan.left, 1, Membership::include);
  lan.want(lan.right, 1, Membership::include);
  lan.net.pass(kMillisecond);
  lan.want(lan.left, 1, Membership::none);
  lan.left.pim->flush(lan.net.now);
  // The other router's ears are closed for the prune only.
  lan.right.dead = true;
  lan.net.pass(kMillisecond);
  lan.right.dead = false;
  lan.net.pass(3 * kSecond);
  CHECK(lan.seen() == Seen{0, 0});
  lan.net.pass(2600 * kMillisecond);
  CHECK(lan.seen() == Seen{0, 1});
}

TEST_CASE("pim ssm: joins are repeated each period, and suppressed by those of others") {
  Lan lan;
  lan.want(lan.left, 1, Membership::include);
  lan.want(lan.right, 1, Membership::include);
  lan.net.pass(600 * kSecond);
  CHECK(lan.seen() == Seen{1, 1});
  const std::size_t both = lan.left.sent.size() + lan.right.sent.size();
  // Two at first; then ten periods of one or, where suppression ends before the other's period, rarely two.
  CHECK(both >= 11);
  CHECK(both <= 16);
}

TEST_CASE("pim ssm: a router that is gone without a word is pruned with its holdtime") {
  Lan lan;
  lan.want(lan.left, 1, Membership::include);
  lan.net.pass(kSecond);
  lan.left.crash();
  lan.net.pass(140 * kSecond);
  CHECK(lan.top.pim->route(lan.source, lan.group).outgoing == only(1));
  lan.net.pass(71 * kSecond);
  CHECK(lan.top.pim->trees() == 0);
}

TEST_CASE("pim ssm: another way to the source: joined there at once, pruned where it was") {
  Lan lan;
  lan.want(lan.right, 1, Membership::include);
  lan.net.pass(kSecond);
  CHECK(lan.seen() == Seen{0, 1});
  lan.right.way(lan.net.prefix(1), 2, lan.net.on_link(5, 1));
  lan.net.pass(kMillisecond);
  lan.net.send(1, lan.source, lan.group);
  CHECK(lan.net.copies_on(4) == 1);
  CHECK(lan.net.copies_on(5) == 1);
  CHECK(lan.right.pim->route(lan.source, lan.group).incoming == 2);
  lan.net.pass(4 * kSecond);
  lan.net.send(1, lan.source, lan.group);
  CHECK(lan.net.copies_on(2) == 0);
  CHECK(lan.net.copies_on(4) == 1);
}

TEST_CASE("pim ssm: no way to the source, and then one") {
  Lan lan;
  lan.right.ways.clear();
  lan.right.pim->rpf_changed(lan.net.now);
  lan.want(lan.right, 1, Membership::include);
  Route route = lan.right.pim->route(lan.source, lan.group);
  CHECK(route.why == NoRoute::no_rpf);
  CHECK(route.outgoing == only(1));
  lan.right.way(lan.net.prefix(1), 2, lan.net.on_link(5, 77));
  CHECK(lan.right.pim->route(lan.source, lan.group).why == NoRoute::no_upstream_neighbour);
  CHECK(lan.right.sent.empty());
  lan.right.way(lan.net.prefix(1), 2, lan.net.on_link(5, 1));
  CHECK(lan.right.pim->route(lan.source, lan.group).why == NoRoute::none);
  lan.net.pass(kMillisecond);
  CHECK(lan.seen() == Seen{0, 1});
}

TEST_CASE("pim ssm: the router above begins anew: joined again within the override interval") {
  Lan lan;
  lan.want(lan.left, 1, Membership::include);
  lan.net.pass(kSecond);
  lan.top.restart();
  CHECK(lan.seen() == Seen{0, 0});
  // Its first hello comes within 5 s, the join within 2.5 s after it.
  lan.net.pass(7600 * kMillisecond);
  CHECK(lan.seen() == Seen{1, 0});
}

TEST_CASE("pim ssm: who joins introduces itself before its own hello is due") {
  Lan lan;
  lan.left.restart();
  // It has heard nobody yet, and nobody it.
  lan.want(lan.left, 1, Membership::include);
  CHECK(lan.left.pim->route(lan.source, lan.group).why == NoRoute::no_upstream_neighbour);
  const std::size_t hellos = lan.left.hellos;
  lan.left.pim->on_hello(0, lan.net.on_link(2, 1), *lan.top.last_hello, lan.net.now);
  lan.left.pim->flush(lan.net.now);
  CHECK(lan.left.hellos == hellos + 1);
  lan.net.pass(kMillisecond);
  CHECK(lan.seen() == Seen{1, 0});
}

TEST_CASE("pim ssm: a source that sends before, and two sources of a group") {
  Lan lan;
  const IpAddress second = lan.net.host(1, 101);
  CHECK(lan.seen() == Seen{0, 0});
  lan.want(lan.left, 1, Membership::include);
  lan.net.pass(kMillisecond);
  CHECK(lan.seen() == Seen{1, 0});
  lan.net.send(1, second, lan.group);
  CHECK(lan.net.copies_on(3) == 0);
  lan.left.pim->local(1, lan.group, second, Membership::include, lan.net.now);
  lan.net.pass(kMillisecond);
  lan.net.send(1, second, lan.group);
  CHECK(lan.net.copies_on(3) == 1);
  lan.want(lan.left, 1, Membership::none);
  lan.net.pass(4 * kSecond);
  CHECK(lan.seen() == Seen{0, 0});
  lan.net.send(1, second, lan.group);
  CHECK(lan.net.copies_on(3) == 1);
}

TEST_CASE("pim ssm: groups wanted of any source are not joined, and it is told why") {
  Lan lan;
  lan.left.pim->local(1, lan.group, lan.net.any(), Membership::include, lan.net.now);
  lan.net.pass(100 * kSecond);
  CHECK(lan.left.sent.empty());
  CHECK(lan.left.pim->route(lan.source, lan.group).why == NoRoute::needs_source);
  lan.left.pim->local(1, lan.group, lan.net.any(), Membership::none, lan.net.now);
  CHECK(lan.left.pim->trees() == 0);
}

TEST_CASE("pim ssm: the designated router takes over for one that is gone, and only it forwards to hosts") {
  Lan lan;
  const Interface there = lan.net.attach(lan.right, 3, 3);
  lan.net.pass(12 * kSecond);
  lan.want(lan.left, 1, Membership::include);
  lan.want(lan.right, there, Membership::include);
  lan.net.pass(kMillisecond);
  CHECK(lan.seen() == Seen{1, 0});
  CHECK(lan.left.pim->route(lan.source, lan.group).why == NoRoute::not_designated);
  CHECK(lan.right.pim->route(lan.source, lan.group).outgoing == only(there));
  lan.right.crash();
  lan.net.pass(106 * kSecond);
  CHECK(lan.left.pim->link(1)->is_designated());
  CHECK(lan.seen() == Seen{1, 0});
  lan.right.dead = false;
  lan.right.restart();
  lan.want(lan.right, there, Membership::include);
  lan.net.pass(12 * kSecond);
  CHECK(lan.left.pim->route(lan.source, lan.group).why == NoRoute::not_designated);
  lan.net.pass(4 * kSecond);
  CHECK(lan.seen() == Seen{1, 0});
}

TEST_CASE("pim ssm: an interface that goes down takes what was joined there with it") {
  Lan lan;
  lan.want(lan.left, 1, Membership::include);
  lan.net.pass(kSecond);
  lan.top.pim->interface_down(1, lan.net.now);
  CHECK(lan.top.pim->trees() == 0);
  lan.net.pass(kSecond);
  CHECK(lan.left.pim->route(lan.source, lan.group).why == NoRoute::no_upstream_neighbour);
  lan.top.pim->interface_up(1, lan.top.addresses[1], {}, lan.net.now);
  lan.net.pass(10 * kSecond);
  CHECK(lan.seen() == Seen{1, 0});
  lan.left.pim->interface_down(1, lan.net.now);
  CHECK(lan.left.pim->trees() == 0);
}

TEST_CASE("pim ssm: the tree above is kept for a while after the last receiver, where that is set") {
  PimOptions options;
  options.leave_hold = 10 * kSecond;
  Lan lan(true, options);
  lan.want(lan.left, 1, Membership::include);
  lan.net.pass(kSecond);
  lan.want(lan.left, 1, Membership::none);
  CHECK(lan.left.pim->route(lan.source, lan.group).outgoing == 0);
  lan.net.pass(9 * kSecond);
  CHECK(lan.top.pim->trees() == 1);
  lan.want(lan.left, 1, Membership::include);
  CHECK(lan.seen() == Seen{1, 0});
  lan.net.pass(11 * kSecond);
  CHECK(lan.seen() == Seen{1, 0});
  lan.want(lan.left, 1, Membership::none);
  lan.net.pass(11 * kSecond);
  CHECK(lan.left.pim->trees() == 0);
}

TEST_CASE("pim ssm: a thousand joins of one wake-up leave in one message, and stay together ever after") {
  Lan lan;
  for (std::uint16_t i = 0; i < 1000; i++)
    lan.left.pim->local(1, ssm_group(true, i), lan.source, Membership::include, lan.net.now);
  CHECK(lan.left.sent.empty());
  lan.left.pim->flush(lan.net.now);
  REQUIRE(lan.left.sent.size() == 1);
  CHECK(lan.left.sent[0].groups == 1000);
  CHECK(lan.left.sent[0].joins == 1000);
  lan.net.pass(600 * kSecond);
  CHECK(lan.top.pim->trees() == 1000);
  CHECK(lan.left.sent.size() >= 11);
  CHECK(lan.left.sent.size() <= 12);
  for (std::uint16_t i = 0; i < 1000; i++)
    lan.left.pim->local(1, ssm_group(true, i), lan.source, Membership::none, lan.net.now);
  lan.net.pass(3 * kSecond + kMillisecond);
  CHECK(lan.left.sent.back().prunes == 1000);
  CHECK(lan.top.pim->trees() == 0);
  CHECK(lan.left.pim->trees() == 0);
}

TEST_CASE(
    "pim ssm: joins that came apart are gathered: ten thousand channels in at most twelve batches a period") {
  Lan lan;
  for (std::uint16_t i = 0; i < 10'000; i++) {
    lan.left.pim->local(1, ssm_group(true, i), lan.source, Membership::include, lan.net.now);
    lan.net.pass(6 * kMillisecond);
  }
  const std::size_t before = lan.left.sent.size();
  lan.net.pass(60 * kSecond);
  CHECK(lan.left.sent.size() - before <= 13);
  CHECK(lan.top.pim->trees() == 10'000);
  // Between them nothing runs: every timer belongs to one of them, or to a hello.
  int wake_ups = 0;
  const Nanos end = lan.net.now + 60 * kSecond;
  while (lan.left.deadlines.next() <= end) {
    const Nanos next = lan.left.deadlines.next();
    lan.net.to(next);
    wake_ups++;
  }
  CHECK(wake_ups < 60);
}

TEST_CASE("pim ssm: what a neighbour can make us keep has a limit") {
  Net net;
  PimOptions options;
  options.most_trees = 50;
  Router& a = net.router("a", options);
  Router& b = net.router("b");
  PimLinkOptions few;
  few.most_joined = 20;
  net.attach(a, 1, 1, few);
  net.attach(b, 1, 2);
  b.way({net.host(7, 0), 24}, 0, net.on_link(1, 1));
  net.pass(12 * kSecond);
  for (std::uint16_t i = 0; i < 100; i++)
    b.pim->local(0, ssm_group(true, i), net.host(7, 1), Membership::include, net.now);
  net.pass(kSecond);
  CHECK(a.pim->trees() == 20);
  CHECK(a.pim->counters().trees_refused == 80);
  for (std::uint16_t i = 1000; i < 1100; i++)
    a.pim->local(0, ssm_group(true, i), net.host(7, 1), Membership::include, net.now);
  CHECK(a.pim->trees() == 50);
}

TEST_CASE("pim ssm: who has not said hello is not heard, nor groups that are not routed") {
  Lan lan;
  const codec::pim::JoinPruneSource source{lan.source, false, false};
  codec::pim::JoinPruneGroup set{
      lan.group, codec::Sequence<codec::pim::JoinPruneSource>(std::span(&source, 1)), {}};
  const codec::pim::JoinPrune message{lan.net.on_link(2, 1), 210,
                                      codec::Sequence<codec::pim::JoinPruneGroup>(std::span(&set, 1))};
  lan.top.pim->on_join_prune(1, lan.net.on_link(2, 99), message, lan.net.now);
  CHECK(lan.top.pim->trees() == 0);
  CHECK(lan.top.pim->counters().unknown_neighbour == 1);
  set.group = IpAddress::v4(0xe0000005);
  lan.top.pim->on_join_prune(1, lan.net.on_link(2, 2), message, lan.net.now);
  CHECK(lan.top.pim->trees() == 0);
  CHECK(lan.top.pim->counters().wrong_group == 1);
  set.group = lan.group;
  lan.top.pim->on_join_prune(1, lan.net.on_link(2, 2), message, lan.net.now);
  CHECK(lan.top.pim->trees() == 1);
}

TEST_CASE("pim ssm: messages lost at random: right after three periods, and nothing is left in the end") {
  for (const unsigned long chance : {1, 2, 3, 4, 5, 6, 7, 8}) {
    CAPTURE(chance);
    Lan lan(chance % 2 == 0, {}, chance);
    lan.net.loss = 300;
    for (int turn = 0; turn < 20; turn++) {
      const auto wanted = [&](unsigned bit) {
        return (chance * 2654435761U >> (turn + bit) & 1U) != 0 ? Membership::include : Membership::none;
      };
      lan.want(lan.left, 1, wanted(0));
      lan.want(lan.right, 1, wanted(3));
      lan.net.stream(1, lan.source, lan.group, 30, 300 * kMillisecond);
    }
    lan.want(lan.left, 1, Membership::include);
    lan.want(lan.right, 1, Membership::include);
    lan.net.pass(60 * kSecond);
    lan.net.loss = 0;
    lan.net.pass(180 * kSecond);
    CHECK(lan.seen() == Seen{1, 1});
    CHECK(lan.net.copies_on(2) == 1);
    lan.net.loss = 300;
    lan.want(lan.left, 1, Membership::none);
    lan.want(lan.right, 1, Membership::none);
    lan.net.pass(10 * kSecond);
    lan.net.loss = 0;
    lan.net.pass(210 * kSecond);
    for (const Router* one : {&lan.top, &lan.left, &lan.right}) CHECK(one->pim->trees() == 0);
  }
}
