#include "test/pim_bed.h"

using namespace sluice;
using namespace sluice::test;

namespace {

/** One router, four neighbours that say whatever comes to their minds, and a host that keeps the routes as it
 * is told to. */
class Chaos final : public membership::PimHost {
 public:
  static constexpr unsigned kLinks = 3;
  /** Four with a shared tree, and two without. */
  static constexpr unsigned kGroups = 6;
  /** Of each link. */
  static constexpr unsigned kSources = 3;
  /** Less than there could be. */
  static constexpr std::size_t kMostTrees = 40;

  explicit Chaos(bool is_v4, unsigned long seed)
      : v4(is_v4), chance(seed), pim(options(is_v4), *this, deadlines, seed) {
    for (unsigned link = 0; link < kLinks; link++) up(link);
  }
  static PimOptions options(bool v4) {
    PimOptions made;
    made.v4 = v4;
    made.register_interface = 31;
    made.most_trees = kMostTrees;
    made.addresses = {host_address(v4, 50, 1)};
    // Of four groups two are served by the first link's first neighbour, one by us, one by nobody.
    made.static_rps = {{{asm_group(v4, 0), v4 ? 32U : 128U}, host_address(v4, 0, 10)},
                       {{asm_group(v4, 1), v4 ? 32U : 128U}, host_address(v4, 60, 1)},
                       {{asm_group(v4, 2), v4 ? 32U : 128U}, host_address(v4, 50, 1)}};
    return made;
  }
  void up(unsigned link) {
    pim.interface_up(static_cast<Interface>(link), {link_address(v4, link, 5), host_address(v4, link, 5)}, {},
                     now);
  }
  unsigned below(unsigned limit) { return chance.number() % limit; }
  Interface link() { return static_cast<Interface>(below(kLinks)); }
  IpAddress group_at(unsigned i) const {
    return i < 4 ? asm_group(v4, static_cast<std::uint16_t>(i))
                 : ssm_group(v4, static_cast<std::uint16_t>(i));
  }
  IpAddress source_at(unsigned i) const { return host_address(v4, i / kSources, 100 + i % kSources); }
  IpAddress group() { return group_at(below(kGroups)); }
  IpAddress source() { return source_at(below(kLinks * kSources)); }
  IpAddress neighbour(Interface at) { return link_address(v4, at, 10 + below(4)); }

  void hello() {
    const Interface at = link();
    codec::pim::Hello made;
    made.holdtime_s = static_cast<std::uint16_t>(below(8) == 0 ? 0 : 105);
    made.dr_priority = below(3);
    made.generation_id = below(20) == 0 ? 2 : 1;
    made.lan_prune_delay = codec::pim::LanPruneDelay{};
    pim.on_hello(at, neighbour(at), made, now);
  }
  void join_prune() {
    const Interface at = link();
    std::vector<codec::pim::JoinPruneSource> joins;
    std::vector<codec::pim::JoinPruneSource> prunes;
    for (unsigned i = below(4); i > 0; i--) {
      codec::pim::JoinPruneSource one{source(), below(3) == 0, below(2) == 0};
      if (one.wildcard) one = {pim.rp_of(group()).value_or(source()), true, true};
      (below(2) == 0 ? joins : prunes).push_back(one);
    }
    const codec::pim::JoinPruneGroup set{group(), codec::Sequence<codec::pim::JoinPruneSource>(joins),
                                         codec::Sequence<codec::pim::JoinPruneSource>(prunes)};
    const IpAddress to = below(2) == 0 ? link_address(v4, at, 5) : neighbour(at);
    pim.on_join_prune(at, neighbour(at),
                      {to, static_cast<std::uint16_t>(below(210)),
                       codec::Sequence<codec::pim::JoinPruneGroup>(std::span(&set, 1))},
                      now);
  }
  void step() {
    switch (below(13)) {
      case 0:
      case 1:
        return hello();
      case 2:
      case 3:
      case 4:
        return join_prune();
      case 5: {
        const Interface at = link();
        const bool cancel = below(4) == 0;
        return pim.on_assert(at, neighbour(at),
                             {group(), below(3) == 0 ? IpAddress::any(v4) : source(), cancel || below(2) == 0,
                              cancel ? 0x7fffffffU : below(200), cancel ? 0xffffffffU : below(30)},
                             now);
      }
      case 6: {
        const bool any = below(2) == 0;
        pim.local(link(), group(), any ? IpAddress::any(v4) : source(),
                  static_cast<Membership>(below(any ? 2 : 3)), now);
        return;
      }
      case 7:
        return pim.on_source(link(), source(), group(), now);
      case 8:
        return pim.on_active(source(), group(), now);
      case 9:
        pim.on_register(host_address(v4, 1, 77), host_address(v4, 50, 1),
                        {false, below(2) == 0, source(), group(), {}}, now);
        return pim.on_register_stop(host_address(v4, 0, 10), {group(), source()}, now);
      case 10:
        if (below(10) == 0) pim.interface_down(link(), now);
        up(link());
        turn = below(kLinks);
        return below(2) == 0 ? pim.rpf_changed(now)
                             : pim.rpf_changed({host_address(v4, below(kLinks), 0), v4 ? 24U : 64U}, now);
      case 11: {
        std::vector<IpAddress> sources;
        for (unsigned i = below(4); i > 0; i--) sources.push_back(source());
        return pim.keep(group(), below(4) == 0, sources, now);
      }
      default:
        return pass(static_cast<Nanos>(below(20'000)) * kMillisecond);
    }
  }
  void pass(Nanos time) {
    const Nanos end = now + time;
    while (deadlines.next() <= end) {
      now = std::max(now, deadlines.next());
      deadlines.run(now);
    }
    now = end;
  }
  /** The routes of all that may be there, as far as they have been told, are what they are. */
  void check() {
    bool right = pim.trees() <= kMostTrees;
    for (unsigned i = 0; i < kGroups * kLinks * kSources; i++) {
      const auto key = std::pair(source_at(i % (kLinks * kSources)), group_at(i / (kLinks * kSources)));
      const Route route = pim.route(key.first, key.second);
      right = right && (route.outgoing & only(route.incoming)) == 0;
      right = right && kept.try_emplace(key, route).first->second == route;
    }
    REQUIRE(right);
  }
  /** All goes, and nothing is left. */
  void end() {
    for (unsigned at = 0; at < kLinks; at++) {
      for (unsigned host = 10; host < 14; host++) {
        codec::pim::Hello bye;
        bye.holdtime_s = 0;
        pim.on_hello(static_cast<Interface>(at), link_address(v4, at, host), bye, now);
      }
      for (unsigned g = 0; g < kGroups; g++) {
        const IpAddress group = group_at(g);
        pim.local(static_cast<Interface>(at), group, IpAddress::any(v4), Membership::none, now);
        for (unsigned i = 0; i < kLinks * kSources; i++)
          pim.local(static_cast<Interface>(at), group, source_at(i), Membership::none, now);
      }
    }
    for (unsigned g = 0; g < kGroups; g++) pim.keep(group_at(g), false, {}, now);
    pass(500 * kSecond);
    CHECK(pim.trees() == 0);
    for (unsigned at = 0; at < kLinks; at++) pim.interface_down(static_cast<Interface>(at), now);
    CHECK(deadlines.size() == 0);
    CHECK(strangers == 0);
  }

  void send_hello(Interface, const IpAddress&, const codec::pim::Hello&) noexcept override {}
  void send_join_prune(Interface interface, const codec::pim::JoinPrune& message) noexcept override {
    if (!pim.link(interface)->has(message.upstream) && !pim.link(interface)->knows(message.upstream))
      strangers++;
  }
  void send_assert(Interface, const codec::pim::Assert&) noexcept override {}
  void send_null_register(const IpAddress&, const IpAddress&, const IpAddress&) noexcept override {}
  void send_register_stop(const IpAddress&, const IpAddress&,
                          const codec::pim::RegisterStop&) noexcept override {}
  void send_bootstrap(Interface, const codec::pim::Bootstrap&) noexcept override {}
  void send_candidate_rp(const IpAddress&, const codec::pim::CandidateRp&) noexcept override {}
  std::optional<Rpf> rpf(const IpAddress& address) noexcept override {
    for (unsigned net = 0; net < kLinks; net++) {
      if (!IpPrefix{host_address(v4, net, 0), v4 ? 24U : 64U}.contains(address)) continue;
      if ((net + turn) % kLinks == 2) return std::nullopt;
      if ((net + turn) % kLinks == 1) return Rpf{static_cast<Interface>(net), IpAddress::any(v4), 0, 0};
      return Rpf{static_cast<Interface>((net + 1) % kLinks), link_address(v4, (net + 1) % kLinks, 10), 100,
                 10 + turn};
    }
    return Rpf{1, link_address(v4, 1, 11), 100, 20};
  }
  void changed(const IpAddress& source, const IpAddress& group) noexcept override {
    std::erase_if(kept, [&](const auto& one) {
      return one.first.second == group && (source.is_any() || source == one.first.first);
    });
  }

  const bool v4;
  membership::Chance chance;
  Nanos now = kSecond;
  unsigned turn = 0;
  /** Messages to nobody that is there. */
  unsigned strangers = 0;
  std::map<std::pair<IpAddress, IpAddress>, Route> kept;
  membership::Deadlines deadlines;
  Pim pim;
};

}  // namespace

TEST_CASE("pim random: whatever comes, every route that changes is told, no state grows, and none is left") {
  for (unsigned long seed = 1; seed <= 40; seed++) {
    CAPTURE(seed);
    Chaos chaos(seed % 2 == 0, seed);
    for (int i = 0; i < 2000; i++) {
      chaos.step();
      chaos.check();
    }
    chaos.end();
  }
}
