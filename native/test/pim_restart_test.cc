// A router that is killed and begins anew, while its kernel goes on: nothing is lost, before and after it
// knows again what its neighbours and hosts want.
#include "test/pim_domain.h"

using namespace sluice;
using namespace sluice::test;

namespace {

constexpr Nanos kSpacing = 20 * kMillisecond;

/** Packets of so long, and how many of them a link has seen. */
struct Count {
  int sent = 0;
  int seen = 0;
};
Count count(Domain& d, unsigned link, Nanos time) {
  Count all;
  for (Nanos at = 0; at < time; at += kSpacing) {
    d.net.send(1, d.source, d.group);
    d.net.pass(kSpacing);
    all.sent++;
    all.seen += d.net.copies_on(link);
  }
  return all;
}
/** Whether the link has had each packet once, for longer than whatever was joined before lasts. */
bool flows(Domain& d, unsigned link, Nanos time = 300 * kSecond) {
  const Count all = count(d, link, time);
  CHECK(all.seen == all.sent);
  return all.seen == all.sent;
}

PimOptions never() {
  PimOptions options;
  options.spt_switch = false;
  return options;
}

}  // namespace

TEST_CASE("pim restart: a last hop that received by the source's own tree does so on") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Domain d(v4);
    d.want(d.last, Membership::include);
    d.net.pass(kSecond);
    (void)count(d, 4, 5 * kSecond);
    REQUIRE(d.route(d.last).incoming == 2);
    d.last.restart(true);
    CHECK(flows(d, 4, 2 * kSecond));
    // The host has been asked.
    d.want(d.last, Membership::include);
    CHECK(flows(d, 4));
    CHECK(d.route(d.last).spt);
    CHECK(d.route(d.last).incoming == 2);
    // The shared tree goes round it still.
    CHECK(d.rp.pim->route(d.source, d.group).outgoing == 0);
    d.want(d.last, Membership::none);
    d.last.inherited.clear();
    d.net.pass(500 * kSecond);
    CHECK(d.trees() == 0);
  }
}

TEST_CASE(
    "pim restart: the RP goes on with the source's own tree, for hosts of its links and for neighbours") {
  for (const bool v4 : {true, false})
    for (const bool hosts : {true, false}) {
      CAPTURE(v4);
      CAPTURE(hosts);
      Domain d(v4, {}, never(), 1);
      const auto want = [&] {
        if (hosts)
          d.want(d.rp, Membership::include);
        else
          d.want(d.peer, Membership::include);
      };
      const unsigned link = hosts ? 3 : 6;
      want();
      d.net.pass(kSecond);
      (void)count(d, link, 5 * kSecond);
      REQUIRE(d.route(d.rp).incoming == 0);
      const std::size_t registers = d.first.registers;
      d.rp.restart(true);
      CHECK(flows(d, link, 2 * kSecond));
      // Neighbours have heard that it is another.
      if (hosts) want();
      CHECK(flows(d, link));
      CHECK(d.route(d.rp).spt);
      CHECK(d.route(d.rp).incoming == 0);
      CHECK(d.first.registers == registers);
    }
}

TEST_CASE("pim restart: a last hop that received by the shared tree does not leave it for it") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    Domain d(v4, never());
    d.want(d.last, Membership::include);
    d.net.pass(kSecond);
    (void)count(d, 4, 5 * kSecond);
    REQUIRE(d.route(d.last).incoming == 0);
    d.last.restart(true);
    CHECK(flows(d, 4, 2 * kSecond));
    d.want(d.last, Membership::include);
    CHECK(flows(d, 4));
    CHECK_FALSE(d.route(d.last).spt);
    CHECK(d.route(d.last).incoming == 0);
  }
}

TEST_CASE("pim restart: nothing is joined for a source that nobody has asked for again, or from elsewhere") {
  Domain d;
  d.want(d.last, Membership::include);
  d.net.pass(kSecond);
  (void)count(d, 4, 5 * kSecond);
  d.last.restart(true);
  d.net.pass(10 * kSecond);
  d.last.pim->resume(2, d.source, d.group, d.net.now);
  CHECK(d.last.pim->trees() == 0);
  d.want(d.last, Membership::include);
  d.last.pim->resume(1, d.source, d.group, d.net.now);
  CHECK(d.last.pim->trees() == 1);
  d.last.pim->resume(2, d.source, d.group, d.net.now);
  CHECK(d.last.pim->trees() == 2);
  CHECK(d.route(d.last).upstream == d.net.on_link(5, 1));
}
