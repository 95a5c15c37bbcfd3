#include "test/pim_bed.h"

using namespace sluice;
using namespace sluice::test;

namespace {

PimLinkOptions priority(std::uint32_t value) {
  PimLinkOptions options;
  options.dr_priority = value;
  return options;
}

/** Three routers on link 1, with addresses 1, 2 and 3 there. */
struct Three {
  explicit Three(bool v4, const PimLinkOptions& of_a = {})
      : net(v4), a(net.router("a")), b(net.router("b")), c(net.router("c")) {
    net.attach(a, 1, 1, of_a);
    net.attach(b, 1, 2);
    net.attach(c, 1, 3);
  }
  IpAddress designated(const Router& router) const { return router.pim->link(0)->designated(); }
  /** Hands a hello to `a` as of the router with this host number. */
  void hear(unsigned host, const codec::pim::Hello& hello) {
    a.pim->on_hello(0, net.on_link(1, host), hello, net.now);
  }

  Net net;
  Router& a;
  Router& b;
  Router& c;
};

codec::pim::Hello hello(std::uint16_t holdtime, std::uint32_t generation = 7) {
  codec::pim::Hello made;
  made.holdtime_s = holdtime;
  made.dr_priority = 1;
  made.generation_id = generation;
  made.lan_prune_delay = codec::pim::LanPruneDelay{false, 500, 2500};
  return made;
}

}  // namespace

TEST_CASE("pim hello: routers of a link find each other, and say what they are") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Three t(v4);
    t.net.pass(5 * kSecond);
    t.net.pass(5 * kSecond);
    for (const Router* one : {&t.a, &t.b, &t.c}) {
      CHECK(one->pim->link(0)->neighbours() == 2);
      CHECK(t.designated(*one) == t.net.on_link(1, 3));
    }
    CHECK(t.c.pim->link(0)->is_designated());
    CHECK(t.a.last_hello->holdtime_s == 105);
    CHECK(t.a.last_hello->dr_priority == 1);
    CHECK(t.a.last_hello->generation_id == t.a.pim->link(0)->generation_id());
    CHECK(t.a.last_hello->lan_prune_delay->override_interval_ms == 2500);
    CHECK(t.a.last_hello->secondary.count() == (v4 ? 0 : 1));
    // One each period, but for the answers to new ones.
    const std::size_t before = t.a.hellos;
    t.net.pass(300 * kSecond);
    CHECK(t.a.hellos == before + 10);
  }
}

TEST_CASE("pim hello: a neighbour that is silent goes with its holdtime, one that says goodbye at once") {
  Three t(true);
  t.net.pass(10 * kSecond);
  t.c.crash();
  t.net.pass(74 * kSecond);
  CHECK(t.a.pim->link(0)->neighbours() == 2);
  t.net.pass(32 * kSecond);
  CHECK(t.a.pim->link(0)->neighbours() == 1);
  CHECK(t.b.pim->link(0)->is_designated());
  t.b.pim->interface_down(0, t.net.now);
  t.net.pass(kMillisecond);
  CHECK(t.a.pim->link(0)->neighbours() == 0);
  CHECK(t.a.pim->link(0)->is_designated());
}

TEST_CASE("pim hello: holdtimes that never end, and that are not told") {
  Three t(true);
  t.b.crash();
  t.c.crash();
  t.net.pass(6 * kSecond);
  t.hear(8, hello(codec::pim::kForever));
  codec::pim::Hello silent = hello(1);
  silent.holdtime_s.reset();
  t.hear(9, silent);
  t.hear(1, hello(100));
  CHECK(t.a.pim->link(0)->neighbours() == 2);
  t.net.pass(104 * kSecond);
  CHECK(t.a.pim->link(0)->neighbours() == 2);
  t.net.pass(2 * kSecond);
  CHECK(t.a.pim->link(0)->neighbours() == 1);
  t.net.pass(100'000 * kSecond);
  CHECK(t.a.pim->link(0)->knows(t.net.host(1, 8)));
  t.hear(8, hello(0));
  CHECK(t.a.pim->link(0)->neighbours() == 0);
}

TEST_CASE("pim hello: who is new or has begun anew is answered soon, others are not") {
  Three t(true);
  t.b.crash();
  t.c.crash();
  t.net.pass(6 * kSecond);
  const auto answered = [&] {
    const std::size_t before = t.a.hellos;
    t.net.pass(5 * kSecond);
    return t.a.hellos - before;
  };
  // The periodic ones are 30 s apart, the first within 5 s.
  t.hear(9, hello(100));
  CHECK(answered() == 1);
  t.hear(9, hello(100));
  CHECK(answered() == 0);
  t.hear(9, hello(100, 8));
  CHECK(answered() == 1);
  t.hear(9, hello(100, 8));
  t.hear(9, hello(0));
  CHECK(answered() == 0);
}

TEST_CASE(
    "pim hello: the designated router has the highest priority, where all tell one; else the highest "
    "address") {
  Three t(true, priority(5));
  t.net.pass(10 * kSecond);
  for (const Router* one : {&t.a, &t.b, &t.c}) CHECK(t.designated(*one) == t.net.on_link(1, 1));
  SUBCASE("without priority") {
    codec::pim::Hello old = hello(100);
    old.dr_priority.reset();
    t.hear(2, old);
    CHECK(t.designated(t.a) == t.net.on_link(1, 3));
  }
  SUBCASE("a higher one") {
    codec::pim::Hello high = hello(100);
    high.dr_priority = 0xffffffff;
    t.hear(2, high);
    CHECK(t.designated(t.a) == t.net.on_link(1, 2));
    CHECK(t.a.pim->link(0)->designated_without(t.net.on_link(1, 2)) == t.net.on_link(1, 1));
    t.hear(2, hello(0));
    CHECK(t.designated(t.a) == t.net.on_link(1, 1));
  }
}

TEST_CASE("pim hello: delays are the longest of all, where all tell theirs; else the default") {
  Three t(true);
  t.b.crash();
  t.c.crash();
  const auto& link = *t.a.pim->link(0);
  codec::pim::Hello slow = hello(100);
  slow.lan_prune_delay = codec::pim::LanPruneDelay{true, 700, 4000};
  t.hear(2, slow);
  CHECK(link.propagation_delay() == 700 * kMillisecond);
  CHECK(link.override_interval() == 4 * kSecond);
  CHECK(link.suppression());
  // Nobody else could override.
  CHECK(link.prune_delay() == 0);
  t.hear(3, hello(100));
  CHECK(link.prune_delay() == 4700 * kMillisecond);
  codec::pim::Hello silent = hello(100);
  silent.lan_prune_delay.reset();
  t.hear(3, silent);
  CHECK(link.prune_delay() == 3 * kSecond);
}

TEST_CASE("pim hello: joins are not suppressed where no router needs it") {
  PimLinkOptions tracking;
  tracking.tracking = true;
  Three t(true, tracking);
  t.b.crash();
  t.c.crash();
  codec::pim::Hello able = hello(100);
  able.lan_prune_delay->tracking = true;
  t.hear(2, able);
  CHECK_FALSE(t.a.pim->link(0)->suppression());
  t.hear(3, hello(100));
  CHECK(t.a.pim->link(0)->suppression());
}

TEST_CASE("pim hello: neighbours are known by their other addresses, of which the newest claim holds") {
  Three t(true);
  t.b.crash();
  t.c.crash();
  const auto& link = *t.a.pim->link(0);
  const std::vector<IpAddress> others{t.net.host(1, 20), t.net.host(1, 2), t.net.host(1, 21)};
  codec::pim::Hello one = hello(100);
  one.secondary = codec::Sequence<IpAddress>(std::span(others));
  t.hear(2, one);
  CHECK(link.neighbour_with(t.net.host(1, 20)) == t.net.host(1, 2));
  CHECK(link.neighbour_with(t.net.host(1, 2)) == t.net.host(1, 2));
  CHECK_FALSE(link.neighbour_with(t.net.host(1, 22)));
  t.hear(3, one);
  CHECK(link.neighbour_with(t.net.host(1, 20)) == t.net.host(1, 3));
  CHECK(link.counters().address_conflicts == 2);
  t.hear(3, hello(100));
  CHECK_FALSE(link.neighbour_with(t.net.host(1, 20)));
}

TEST_CASE("pim hello: another address of ours is told, and the old one taken back") {
  Three t(true);
  t.net.pass(10 * kSecond);
  t.a.addresses[0] = {t.net.on_link(1, 9)};
  t.a.pim->interface_up(0, t.a.addresses[0], {}, t.net.now);
  t.net.pass(kMillisecond);
  CHECK(t.b.pim->link(0)->neighbours() == 2);
  CHECK(t.b.pim->link(0)->knows(t.net.on_link(1, 9)));
  CHECK(t.designated(t.b) == t.net.on_link(1, 9));
  CHECK(t.a.pim->link(0)->is_designated());
}

TEST_CASE("pim hello: other options are told at once, and neighbours stay") {
  Three three(true);
  three.net.pass(10 * kSecond);
  CHECK(three.designated(three.b) == three.net.on_link(1, 3));
  PimLinkOptions options = priority(9);
  options.hello_period = 10 * kSecond;
  const auto change = [&] { three.a.pim->interface_up(0, three.a.addresses[0], options, three.net.now); };
  const std::uint32_t generation = three.a.pim->link(0)->generation_id();
  change();
  CHECK(three.designated(three.a) == three.net.on_link(1, 1));
  three.net.pass(kMillisecond);
  for (Router* const one : {&three.a, &three.b, &three.c}) {
    CHECK(three.designated(*one) == three.net.on_link(1, 1));
    CHECK(one->pim->link(0)->neighbours() == 2);
  }
  CHECK(three.a.last_hello->holdtime_s == 35);
  CHECK(three.a.last_hello->generation_id == generation);
  const std::size_t hellos = three.a.hellos;
  change();
  CHECK(three.a.hellos == hellos);
  three.net.pass(100 * kSecond);
  CHECK(three.a.hellos == hellos + 10);
  // Whether anything is said at all is settled when it comes up.
  options.passive = true;
  change();
  CHECK_FALSE(three.a.pim->link(0)->options().passive);
}

TEST_CASE("pim hello: a passive interface says nothing, hears nothing, and is its own designated router") {
  PimLinkOptions passive;
  passive.passive = true;
  Three t(true, passive);
  t.net.pass(300 * kSecond);
  CHECK(t.a.hellos == 0);
  CHECK(t.a.pim->link(0)->neighbours() == 0);
  CHECK(t.a.pim->link(0)->is_designated());
  CHECK(t.b.pim->link(0)->neighbours() == 1);
}

TEST_CASE("pim hello: more neighbours than allowed are refused, and counted") {
  PimLinkOptions few;
  few.most_neighbours = 10;
  Three t(true, few);
  t.b.crash();
  t.c.crash();
  for (unsigned i = 2; i < 200; i++) t.hear(i, hello(100));
  CHECK(t.a.pim->link(0)->neighbours() == 10);
  CHECK(t.a.pim->link(0)->counters().neighbours_refused == 188);
}
