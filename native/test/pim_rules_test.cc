// Rules of RFC 7761 that take particular messages at particular moments: one router among neighbours that say
// what the test says.
#include "test/pim_bed.h"

using namespace sluice;
using namespace sluice::test;
using codec::pim::JoinPruneSource;

namespace {

struct Said {
  Nanos at = 0;
  Interface interface = 0;
  IpAddress to;
  JoinPruneSource source;
  bool prune = false;
};

/**
 * Routers .10, .11 and .12 on link 0, where the way to the source is by .11, that to the RP by .10; .20 and
 * .21 on link 1; none on link 2. Our addresses end in .250, so that we are the designated router.
 */
class One final : public membership::PimHost {
 public:
  explicit One(PimOptions options = {}) : pim(with_rp(std::move(options)), *this, deadlines, 1) {
    for (Interface at = 0; at < 3; at++) pim.interface_up(at, {host_address(true, at, 250)}, {}, now);
    for (const unsigned host : {10, 11, 12}) hello(0, host);
    for (const unsigned host : {20, 21}) hello(1, host);
  }
  static PimOptions with_rp(PimOptions options) {
    options.register_interface = 31;
    options.static_rps = {{{IpAddress::v4(0xe0000000), 4}, rp()}};
    return options;
  }
  static IpAddress rp() { return host_address(true, 60, 1); }
  static IpAddress source() { return host_address(true, 50, 1); }
  static IpAddress group() { return asm_group(true); }
  static JoinPruneSource star() { return {rp(), true, true}; }
  static JoinPruneSource own() { return {source(), false, false}; }
  static JoinPruneSource rpt() { return {source(), false, true}; }

  void hello(Interface at, unsigned host, std::uint32_t generation = 1) {
    codec::pim::Hello made;
    made.holdtime_s = codec::pim::kForever;
    made.dr_priority = 1;
    made.generation_id = generation;
    made.lan_prune_delay = codec::pim::LanPruneDelay{false, 500, 2500};
    pim.on_hello(at, host_address(true, at, host), made, now);
  }
  /** `to` 250: to us. */
  void hear(Interface at, unsigned from, unsigned to, const std::vector<JoinPruneSource>& joins,
            const std::vector<JoinPruneSource>& prunes) {
    const codec::pim::JoinPruneGroup set{group(), codec::Sequence<JoinPruneSource>(joins),
                                         codec::Sequence<JoinPruneSource>(prunes)};
    pim.on_join_prune(
        at, host_address(true, at, from),
        {host_address(true, at, to), 210, codec::Sequence<codec::pim::JoinPruneGroup>(std::span(&set, 1))},
        now);
  }
  void hear_assert(Interface at, unsigned from, const IpAddress& of, bool is_rpt, std::uint32_t metric) {
    pim.on_assert(at, host_address(true, at, from), {group(), of, is_rpt, 100, metric}, now);
  }
  void pass(Nanos time) {
    const Nanos end = now + time;
    while (deadlines.next() <= end) {
      now = std::max(now, deadlines.next());
      deadlines.run(now);
    }
    now = end;
  }
  /** What has been said since this was asked last. */
  std::vector<Said> take() {
    pim.flush(now);
    return std::exchange(said, {});
  }
  static std::size_t count(const std::vector<Said>& all, const JoinPruneSource& source, bool prune) {
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](const Said& one) { return one.source == source && one.prune == prune; }));
  }
  InterfaceSet outgoing() const { return pim.route(source(), group()).outgoing; }
  const membership::Tree* tree(bool shared) const {
    const membership::Tree* found = nullptr;
    pim.each_tree([&](const membership::TreeInfo& one) {
      if (one.tree.shared() == shared) found = &one.tree;
    });
    return found;
  }

  const membership::Source* own_tree() const {
    const membership::Source* found = nullptr;
    pim.each_tree([&](const membership::TreeInfo& one) {
      if (one.source != nullptr) found = one.source;
    });
    return found;
  }

  void send_hello(Interface, const IpAddress&, const codec::pim::Hello&) noexcept override {}
  void send_join_prune(Interface interface, const codec::pim::JoinPrune& message) noexcept override {
    for (const auto& set : message.groups) {
      for (const auto& one : set.joins) said.push_back({now, interface, message.upstream, one, false});
      for (const auto& one : set.prunes) said.push_back({now, interface, message.upstream, one, true});
    }
  }
  void send_assert(Interface, const codec::pim::Assert& one) noexcept override { asserts.push_back(one); }
  void send_null_register(const IpAddress&, const IpAddress&, const IpAddress&) noexcept override {}
  void send_register_stop(const IpAddress&, const IpAddress&,
                          const codec::pim::RegisterStop&) noexcept override {}
  void send_bootstrap(Interface, const codec::pim::Bootstrap&) noexcept override {}
  void send_candidate_rp(const IpAddress&, const codec::pim::CandidateRp&) noexcept override {}
  std::optional<Rpf> rpf(const IpAddress& address) noexcept override {
    for (Interface at = 0; at < 3; at++)
      if (IpPrefix{host_address(true, at, 0), 24}.contains(address))
        return Rpf{at, IpAddress::any(true), 0, 0};
    if (address == source()) return Rpf{0, host_address(true, 0, by_source), 100, 20};
    return rp_way;
  }
  void changed(const IpAddress&, const IpAddress&) noexcept override {}

  Nanos now = 1000 * kSecond;
  unsigned by_source = 11;
  std::optional<Rpf> rp_way = Rpf{0, host_address(true, 0, 10), 100, 20};
  std::vector<Said> said;
  std::vector<codec::pim::Assert> asserts;
  membership::Deadlines deadlines;
  Pim pim;
};

IpAddress on_0(unsigned host) {
  return host_address(true, 0, host);
}

}  // namespace

TEST_CASE("pim rules: a Join(*,G) takes back prunes of sources that it does not repeat") {
  One one;
  one.hear(1, 20, 250, {One::star()}, {One::rpt()});
  one.pass(4 * kSecond);
  CHECK(one.outgoing() == 0);
  one.hear(1, 20, 250, {One::star()}, {One::rpt()});
  CHECK(one.outgoing() == 0);
  one.hear(1, 20, 250, {One::star()}, {});
  CHECK(one.outgoing() == only(1));
  // A prune without a join of the group is of nothing.
  One other;
  other.hear(1, 20, 250, {}, {One::rpt()});
  CHECK(other.pim.trees() == 0);
}

TEST_CASE("pim rules: a Join(*,G) for us ends asserts that were lost, but of sources that it prunes") {
  One one;
  one.hear(1, 20, 250, {One::star()}, {});
  one.hear_assert(1, 21, One::source(), false, 1);
  CHECK(one.outgoing() == 0);
  CHECK(one.pim.route(One::source(), One::group()).why == NoRoute::assert_lost);
  one.hear(1, 20, 250, {One::star()}, {One::rpt()});
  CHECK(one.tree(false)->find(1)->assertion.lost());
  one.hear(1, 20, 250, {One::star()}, {});
  CHECK(one.outgoing() == only(1));
  one.hear_assert(1, 21, IpAddress::any(true), true, 1);
  CHECK(one.outgoing() == 0);
  one.hear(1, 20, 250, {One::star()}, {});
  CHECK(one.outgoing() == only(1));
}

TEST_CASE("pim rules: another's prune of a source is overridden once, unless someone else does it") {
  One one;
  one.hear(1, 20, 250, {One::star()}, {});
  one.take();
  SUBCASE("by us") {
    one.hear(0, 12, 10, {}, {One::rpt()});
    one.pass(2600 * kMillisecond);
    const auto all = one.take();
    CHECK(One::count(all, One::rpt(), false) == 1);
    CHECK(all.size() == 1);
    CHECK(all.front().to == on_0(10));
  }
  SUBCASE("by another") {
    one.hear(0, 12, 10, {}, {One::rpt()});
    one.hear(0, 11, 10, {One::rpt()}, {});
    one.pass(2600 * kMillisecond);
    CHECK(one.take().empty());
  }
  SUBCASE("a prune (S,G), as of RFC 2362") {
    one.hear(0, 12, 10, {}, {One::own()});
    one.pass(2600 * kMillisecond);
    CHECK(One::count(one.take(), One::rpt(), false) == 1);
  }
  SUBCASE("not one to another router") {
    one.hear(0, 12, 11, {}, {One::rpt()});
    one.pass(2600 * kMillisecond);
    CHECK(one.take().empty());
    CHECK(one.pim.trees() == 1);
  }
  SUBCASE("nor where the source comes from an assert's winner") {
    one.hear(0, 12, 10, {}, {One::rpt()});
    one.hear_assert(0, 11, One::source(), false, 1);
    one.pass(2600 * kMillisecond);
    CHECK(One::count(one.take(), One::rpt(), false) == 0);
  }
}

TEST_CASE("pim rules: a Prune(*,G) is overridden by (*,G) joins, and by (S,G) joins to the same router") {
  One one;
  one.by_source = 10;
  one.hear(1, 20, 250, {One::star(), One::own()}, {});
  one.take();
  one.pass(10 * kSecond);
  one.hear(0, 12, 10, {}, {One::star()});
  one.pass(2600 * kMillisecond);
  const auto all = one.take();
  CHECK(One::count(all, One::star(), false) == 1);
  CHECK(One::count(all, One::own(), false) == 1);
}

TEST_CASE(
    "pim rules: another router above because of an assert: a join within the override interval, and no "
    "prune") {
  One one;
  one.hear(1, 20, 250, {One::own()}, {});
  one.take();
  one.pass(kSecond);
  const Nanos heard = one.now;
  one.hear_assert(0, 12, One::source(), false, 1);
  CHECK(one.take().empty());
  CHECK(one.pim.route(One::source(), One::group()).upstream == on_0(12));
  one.pass(2600 * kMillisecond);
  auto all = one.take();
  REQUIRE(all.size() == 1);
  CHECK(all[0].to == on_0(12));
  CHECK(all[0].at > heard);
  CHECK_FALSE(all[0].prune);
  // The winner begins anew: back, likewise.
  one.hello(0, 12, 2);
  CHECK(one.take().empty());
  one.pass(2600 * kMillisecond);
  all = one.take();
  REQUIRE(all.size() == 1);
  CHECK(all[0].to == on_0(11));
}

TEST_CASE(
    "pim rules: while a source comes from an assert's winner, it is pruned off the shared tree; then joined "
    "again") {
  One one;
  one.hear(1, 20, 250, {One::star()}, {});
  one.take();
  one.pass(kSecond);
  one.hear_assert(0, 11, One::source(), false, 1);
  CHECK(one.tree(false)->find(0)->assertion.lost());
  CHECK(one.outgoing() == only(1));
  one.pass(62 * kSecond);
  auto all = one.take();
  CHECK(One::count(all, One::star(), false) == 1);
  CHECK(One::count(all, One::rpt(), true) == 1);
  // Its cancel: RPF'(S,G,rpt) is RPF'(*,G) again.
  one.pim.on_assert(
      0, on_0(11),
      {One::group(), One::source(), true, codec::pim::kInfinitePreference, codec::pim::kInfiniteMetric},
      one.now);
  one.pass(2600 * kMillisecond);
  all = one.take();
  CHECK(One::count(all, One::rpt(), false) == 1);
  CHECK(one.tree(false) == nullptr);
}

TEST_CASE(
    "pim rules: the source's own tree counts once its packets come, where they may come by the shared one, "
    "too") {
  One one;
  one.pim.local(2, One::group(), IpAddress::any(true), Membership::include, one.now);
  one.take();
  one.pim.on_source(0, One::source(), One::group(), one.now);
  // Another router towards the source than towards the RP, on the same link: whose packet it was cannot be
  // told.
  const membership::Source* const own = one.own_tree();
  REQUIRE(own != nullptr);
  CHECK_FALSE(own->spt);
  auto all = one.take();
  CHECK(One::count(all, One::own(), false) == 1);
  SUBCASE("an assert of a source's own tree tells") {
    one.hear_assert(0, 11, One::source(), false, 1);
    CHECK(own->spt);
    all = one.take();
    CHECK(One::count(all, One::rpt(), true) == 1);
  }
  SUBCASE("nobody wants it by the shared one") {
    one.pim.local(2, One::group(), One::source(), Membership::include, one.now);
    one.pim.local(2, One::group(), IpAddress::any(true), Membership::none, one.now);
    one.pim.on_source(0, One::source(), One::group(), one.now);
    CHECK(own->spt);
  }
}

TEST_CASE(
    "pim rules: an assert that was lost before the source was joined tells, too, that its own tree is "
    "there") {
  One one;
  one.hear(1, 20, 250, {One::star()}, {});
  one.hear_assert(0, 11, One::source(), false, 1);
  one.pim.local(2, One::group(), One::source(), Membership::include, one.now);
  const membership::Source* const own = one.own_tree();
  REQUIRE(own != nullptr);
  CHECK_FALSE(own->spt);
  one.pim.on_source(0, One::source(), One::group(), one.now);
  CHECK(own->spt);
}

TEST_CASE("pim rules: a packet on a link that a route made ahead of it serves leads to an assert (S,G)") {
  One one;
  one.hear(1, 20, 250, {One::own()}, {});
  CHECK(one.outgoing() == only(1));
  one.pim.on_wrong_interface(1, One::source(), One::group(), one.now);
  REQUIRE(one.asserts.size() == 1);
  CHECK_FALSE(one.asserts[0].rpt);
  CHECK(one.asserts[0].source == One::source());
  CHECK(one.asserts[0].preference == 100);
  CHECK(one.asserts[0].metric == 20);
}

TEST_CASE("pim rules: an assert that the source's machine takes is none of the group's") {
  One one;
  one.hear(1, 20, 250, {One::star(), One::own()}, {});
  one.hear(1, 20, 250, {One::own()}, {});
  one.by_source = 10;
  one.pim.rpf_changed(one.now);
  one.pim.on_source(0, One::source(), One::group(), one.now);
  one.pim.on_wrong_interface(1, One::source(), One::group(), one.now);
  CHECK(one.tree(false)->find(1)->assertion.won());
  one.hear_assert(1, 21, One::source(), true, 1);
  CHECK(one.tree(false)->find(1)->assertion.won());
  CHECK(one.tree(true)->find(1)->assertion.idle());
  CHECK(one.asserts.size() == 2);
}

TEST_CASE(
    "pim rules: where the group's assert is lost, a source that only the group's joins want is not "
    "asserted") {
  One one;
  one.by_source = 10;
  one.hear(1, 20, 250, {One::star()}, {});
  one.pim.local(2, One::group(), One::source(), Membership::include, one.now);
  one.pim.on_source(0, One::source(), One::group(), one.now);
  one.hear_assert(1, 21, IpAddress::any(true), true, 1);
  CHECK(one.tree(true)->find(1)->assertion.lost());
  CHECK(one.outgoing() == only(2));
  one.hear_assert(1, 21, One::source(), true, 1);
  CHECK(one.asserts.empty());
}

TEST_CASE(
    "pim rules: another RP behind the same router: joined anew, not pruned; and registers go to it at once") {
  One one;
  one.hear(1, 20, 250, {One::star()}, {});
  const IpAddress near = host_address(true, 2, 77);
  one.pim.on_source(2, near, One::group(), one.now);
  one.pim.on_register_stop(One::rp(), {One::group(), near}, one.now);
  CHECK_FALSE(one.pim.route(near, One::group()).registers);
  one.take();
  const IpAddress other = host_address(true, 61, 1);
  const codec::pim::RendezvousPoint point{other, codec::pim::kForever, 0};
  codec::pim::BootstrapRange range{{{One::group(), 32}}, 1};
  range.points = codec::Sequence<codec::pim::RendezvousPoint>(std::span(&point, 1));
  codec::pim::Bootstrap message;
  message.no_forward = true;
  message.router = host_address(true, 62, 1);
  message.ranges = codec::Sequence<codec::pim::BootstrapRange>(std::span(&range, 1));
  one.pim.on_bootstrap(0, on_0(10), message, one.now);
  const auto all = one.take();
  CHECK(One::count(all, {other, true, true}, false) == 1);
  CHECK(std::none_of(all.begin(), all.end(),
                     [](const Said& each) { return each.source.wildcard && each.prune; }));
  CHECK(one.pim.route(near, One::group()).registers);
  CHECK(one.pim.route(near, One::group()).rp == other);
}

TEST_CASE("pim rules: holdtimes: a join that is for ever, one of no time at all, and the longest counts") {
  One one;
  const std::vector<JoinPruneSource> joins{One::own()};
  const codec::pim::JoinPruneGroup set{One::group(), codec::Sequence<JoinPruneSource>(joins), {}};
  const auto hear = [&](std::uint16_t holdtime) {
    one.pim.on_join_prune(1, host_address(true, 1, 20),
                          {host_address(true, 1, 250), holdtime,
                           codec::Sequence<codec::pim::JoinPruneGroup>(std::span(&set, 1))},
                          one.now);
  };
  hear(0);
  one.pass(kMillisecond);
  CHECK(one.pim.trees() == 0);
  hear(100);
  hear(10);
  one.pass(99 * kSecond);
  CHECK(one.outgoing() == only(1));
  one.pass(2 * kSecond);
  CHECK(one.pim.trees() == 0);
  hear(codec::pim::kForever);
  hear(10);
  one.pass(100'000 * kSecond);
  CHECK(one.outgoing() == only(1));
  one.hear(1, 20, 250, {}, joins);
  one.pass(4 * kSecond);
  CHECK(one.pim.trees() == 0);
}

TEST_CASE("pim rules: whoever withdraws prunes all that it has joined") {
  One one;
  one.hear(1, 20, 250, {One::star(), One::own()}, {});
  one.take();
  one.pim.withdraw(one.now);
  const auto all = one.take();
  CHECK(all.size() == 2);
  CHECK(One::count(all, One::star(), true) == 1);
  CHECK(One::count(all, One::own(), true) == 1);
}

TEST_CASE("pim rules: an RP's address that becomes ours makes us the RP, and goes with its interface") {
  One one;
  one.hear(1, 20, 250, {One::star()}, {});
  one.take();
  one.pim.interface_up(2, {host_address(true, 2, 250), One::rp()}, {}, one.now);
  CHECK(one.pim.route(IpAddress::any(true), One::group()).incoming == 31);
  CHECK(One::count(one.take(), One::star(), true) == 1);
  one.pim.interface_down(2, one.now);
  CHECK(one.pim.route(IpAddress::any(true), One::group()).incoming == 0);
  CHECK(One::count(one.take(), One::star(), false) == 1);
}

TEST_CASE(
    "pim rules: a neighbour above that begins anew again and again costs one join each, all trees in one "
    "message") {
  One one;
  for (std::uint16_t i = 0; i < 100; i++)
    one.pim.local(2, ssm_group(true, i), One::source(), Membership::include, one.now);
  one.take();
  for (std::uint32_t generation = 2; generation < 12; generation++) one.hello(0, 11, generation);
  one.pass(2600 * kMillisecond);
  const auto all = one.take();
  CHECK(all.size() == 100);
  CHECK(all.front().at == all.back().at);
}

TEST_CASE(
    "pim rules: another next hop to the source or to the RP: joined there, pruned where it was, at once") {
  One one;
  one.hear(1, 20, 250, {One::star(), One::own()}, {});
  one.take();
  SUBCASE("the source's, on the same link") {
    one.by_source = 12;
    one.pim.rpf_changed({One::source(), 32}, one.now);
    const auto all = one.take();
    REQUIRE(all.size() == 2);
    for (const Said& each : all) {
      CHECK(each.source == One::own());
      CHECK(each.to == on_0(each.prune ? 11 : 12));
    }
    CHECK(all[0].prune != all[1].prune);
  }
  SUBCASE("the RP's, by another link") {
    one.rp_way = Rpf{1, host_address(true, 1, 21), 100, 20};
    one.pim.rpf_changed(one.now);
    const auto all = one.take();
    REQUIRE(all.size() == 2);
    for (const Said& each : all) {
      CHECK(each.source == One::star());
      CHECK(each.interface == (each.prune ? 0 : 1));
      CHECK(each.to == (each.prune ? on_0(10) : host_address(true, 1, 21)));
    }
    // Now its packets come in where the joins do.
    CHECK(one.pim.route(host_address(true, 99, 1), One::group()).outgoing == 0);
  }
  SUBCASE("none") {
    one.rp_way.reset();
    one.pim.rpf_changed(one.now);
    const auto all = one.take();
    REQUIRE(all.size() == 1);
    CHECK(all[0].prune);
    CHECK(one.pim.route(host_address(true, 99, 1), One::group()).why == NoRoute::no_rpf);
  }
}
