// What strangers and neighbours cannot take from those who want something.
#include "test/pim_bed.h"

using namespace sluice;
using namespace sluice::test;
using codec::pim::JoinPruneGroup;
using codec::pim::JoinPruneSource;

namespace {

/** We are the RP, and 10.0.2.20 on link 2 is a neighbour; hosts are on links 0 and 1. */
class Rendezvous final : public SilentHost {
 public:
  explicit Rendezvous(std::size_t most_trees) : pim(options(most_trees), *this, deadlines, 1) {
    for (Interface at = 0; at < 3; at++) pim.interface_up(at, {host_address(true, at, 250)}, {}, now);
    codec::pim::Hello hello;
    hello.holdtime_s = codec::pim::kForever;
    hello.generation_id = 1;
    pim.on_hello(2, host_address(true, 2, 20), hello, now);
  }
  static IpAddress rp() { return host_address(true, 0, 250); }
  static PimOptions options(std::size_t most_trees) {
    PimOptions out;
    out.most_trees = most_trees;
    out.register_interface = 31;
    out.static_rps = {{{IpAddress::v4(0xe0000000), 4}, rp()}};
    return out;
  }
  bool want(unsigned number) {
    return pim.local(1, asm_group(true, static_cast<std::uint16_t>(number)), IpAddress::any(true),
                     Membership::include, now);
  }
  InterfaceSet outgoing(unsigned number) const {
    return pim.route(host_address(true, 0, 9), asm_group(true, static_cast<std::uint16_t>(number))).outgoing;
  }

  std::optional<Rpf> rpf(const IpAddress& address) noexcept override {
    for (Interface at = 0; at < 3; at++)
      if (IpPrefix{host_address(true, at, 0), 24}.contains(address))
        return Rpf{at, IpAddress::any(true), 0, 0};
    return Rpf{2, host_address(true, 2, 20), 100, 20};
  }
  void changed(const IpAddress&, const IpAddress&) noexcept override { changes++; }

  Nanos now = 1000 * kSecond;
  std::size_t changes = 0;
  membership::Deadlines deadlines;
  Pim pim;
};

/** Whose way to everything is 10.0.0.20. */
class Below final : public SilentHost {
 public:
  void send_join_prune(Interface, const codec::pim::JoinPrune& message) noexcept override {
    for (const auto& set : message.groups) {
      for (const auto& one : set.joins) joins.push_back(one);
      for (const auto& one : set.prunes) prunes.push_back(one);
    }
  }
  std::optional<Rpf> rpf(const IpAddress&) noexcept override {
    return Rpf{0, host_address(true, 0, 20), 100, 20};
  }
  std::vector<JoinPruneSource> joins;
  std::vector<JoinPruneSource> prunes;
};

}  // namespace

TEST_CASE("pim limits: packets of a host to very many groups leave room for what members want") {
  Rendezvous one(1000);
  for (unsigned i = 0; i < 5000; i++)
    one.pim.on_source(0, host_address(true, 0, 99), asm_group(true, static_cast<std::uint16_t>(i)), one.now);
  CHECK(one.pim.trees() <= 502);
  CHECK(one.pim.counters().trees_refused > 0);
  CHECK(one.want(9000));
  CHECK(one.outgoing(9000) == only(1));
}

TEST_CASE("pim limits: registers of strangers leave room likewise") {
  Rendezvous one(1000);
  for (unsigned i = 0; i < 5000; i++) {
    codec::pim::Register made;
    made.null = true;
    made.source = IpAddress::v4(0x0b000001);
    made.group = asm_group(true, static_cast<std::uint16_t>(i));
    one.pim.on_register(IpAddress::v4(0x08080808), Rendezvous::rp(), made, one.now);
  }
  CHECK(one.pim.trees() <= 502);
  CHECK(one.want(9000));
  CHECK(one.outgoing(9000) == only(1));
}

TEST_CASE("pim limits: a member for whom there is no room is told so, and taken when there is") {
  Rendezvous one(10);
  for (unsigned i = 0; i < 10; i++) CHECK(one.want(i));
  CHECK_FALSE(one.want(10));
  CHECK(one.outgoing(10) == 0);
  one.pim.local(1, asm_group(true, 3), IpAddress::any(true), Membership::none, one.now);
  CHECK(one.want(10));
  CHECK(one.outgoing(10) == only(1));
}

TEST_CASE("pim limits: a message that names a shared tree again and again is worked through once") {
  Rendezvous one(10'000);
  const IpAddress group = asm_group(true);
  const auto hear = [&](const std::vector<JoinPruneSource>& joins, std::size_t sets) {
    const JoinPruneGroup set{group, codec::Sequence<JoinPruneSource>(joins), {}};
    const std::vector<JoinPruneGroup> all(sets, set);
    one.pim.on_join_prune(2, host_address(true, 2, 20),
                          {host_address(true, 2, 250), 210, codec::Sequence<JoinPruneGroup>(all)}, one.now);
  };
  for (unsigned i = 1; i <= 200; i++) hear({{IpAddress::v4(0x0a003200U + i), false, false}}, 1);
  one.pim.flush(one.now);
  const JoinPruneSource star{Rendezvous::rp(), true, true};
  one.changes = 0;
  hear({star}, 1);
  const std::size_t once = one.changes;
  CHECK(one.outgoing(1) == only(2));
  pass(one.deadlines, one.now, 211 * kSecond);
  for (unsigned i = 1; i <= 200; i++) hear({{IpAddress::v4(0x0a003200U + i), false, false}}, 1);
  one.changes = 0;
  hear(std::vector<JoinPruneSource>(50, star), 50);
  CHECK(one.changes == once);
  CHECK(one.outgoing(1) == only(2));
}

TEST_CASE("pim limits: a prune names the RP that was joined, though it has been lost since") {
  Below host;
  membership::Deadlines deadlines;
  Nanos now = 1000 * kSecond;
  PimOptions options;
  options.register_interface = 31;
  Pim pim(options, host, deadlines, 1);
  for (Interface at = 0; at < 2; at++) pim.interface_up(at, {host_address(true, at, 250)}, {}, now);
  codec::pim::Hello hello;
  hello.holdtime_s = codec::pim::kForever;
  hello.generation_id = 1;
  pim.on_hello(0, host_address(true, 0, 20), hello, now);
  const IpAddress rp = host_address(true, 60, 1);
  const std::vector<codec::pim::RendezvousPoint> points{{rp, 20, 0}};
  std::vector<codec::pim::BootstrapRange> ranges(1);
  ranges[0].range.groups = {IpAddress::v4(0xe0000000), 4};
  ranges[0].total = 1;
  ranges[0].points = codec::Sequence<codec::pim::RendezvousPoint>(points);
  codec::pim::Bootstrap bootstrap;
  bootstrap.router = host_address(true, 60, 2);
  bootstrap.priority = 1;
  bootstrap.ranges = codec::Sequence<codec::pim::BootstrapRange>(ranges);
  pim.on_bootstrap(0, host_address(true, 0, 20), bootstrap, now);
  pim.local(1, asm_group(true), IpAddress::any(true), Membership::include, now);
  REQUIRE(pim.rp_of(asm_group(true)) == rp);
  pim.flush(now);
  pass(deadlines, now, 40 * kSecond);
  CHECK_FALSE(pim.rp_of(asm_group(true)));
  REQUIRE(host.prunes.size() == 1);
  CHECK(host.prunes[0] == JoinPruneSource{rp, true, true});
}

TEST_CASE("pim limits: generation identifiers wrap around, and any other one means that it began anew") {
  Below host;
  membership::Deadlines deadlines;
  Nanos now = 1000 * kSecond;
  Pim pim(PimOptions{}, host, deadlines, 1);
  for (Interface at = 0; at < 2; at++) pim.interface_up(at, {host_address(true, at, 250)}, {}, now);
  const auto hear = [&](std::uint32_t generation) {
    codec::pim::Hello hello;
    hello.holdtime_s = 105;
    hello.generation_id = generation;
    pim.on_hello(0, host_address(true, 0, 20), hello, now);
    pass(deadlines, now, 6 * kSecond);
    return std::exchange(host.joins, {}).size();
  };
  hear(0xffff'fffe);
  pim.local(1, ssm_group(true), host_address(true, 50, 1), Membership::include, now);
  pim.flush(now);
  host.joins.clear();
  CHECK(hear(0xffff'fffe) == 0);
  CHECK(hear(0xffff'ffff) == 1);
  CHECK(hear(0xffff'ffff) == 0);
  CHECK(hear(0) == 1);
  CHECK(hear(0) == 0);
  CHECK(hear(1) == 1);
  // One that was used before is another one, too.
  CHECK(hear(0xffff'ffff) == 1);
  CHECK(pim.link(0)->neighbours() == 1);
}
