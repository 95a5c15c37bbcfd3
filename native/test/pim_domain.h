// A domain of PIM routers with an RP, on a fake clock.
#pragma once

#include "test/pim_bed.h"

namespace sluice::test {

/**
 * The source's router, the RP, and two routers with hosts; past the RP there is a direct link. Links 2 and 3
 * have addresses of the same ends.
 *
 *   S --1-- first --2-- rp --3--+-- last --4--
 *             |                 `-- peer --6--
 *             `----------5---------- last
 */
struct Domain {
  explicit Domain(bool v4 = true, const PimOptions& options = {}, unsigned long chance = 1)
      : Domain(v4, options, options, chance) {}
  /** `edges`: of those with hosts. */
  Domain(bool v4, const PimOptions& options, const PimOptions& edges, unsigned long chance)
      : net(v4, chance),
        first(net.router("first", with_rp(v4, options))),
        rp(net.router("rp", with_rp(v4, options))),
        last(net.router("last", with_rp(v4, edges))),
        peer(net.router("peer", with_rp(v4, edges))) {
    net.attach(first, 1, 1);
    net.attach(first, 2, 1);
    net.attach(first, 5, 1);
    net.attach(rp, 2, 9);
    net.attach(rp, 3, 9);
    net.attach(last, 3, 2);
    net.attach(last, 4, 2);
    net.attach(last, 5, 2);
    net.attach(peer, 3, 3);
    net.attach(peer, 6, 3);
    first.way(net.prefix(3), 1, net.on_link(2, 9));
    rp.way(net.prefix(1), 0, net.on_link(2, 1));
    last.way(net.prefix(2), 0, net.on_link(3, 9));
    last.way(net.prefix(1), 2, net.on_link(5, 1));
    peer.way(net.prefix(2), 0, net.on_link(3, 9));
    peer.way(net.prefix(1), 0, net.on_link(3, 9));
    source = net.host(1, 100);
    group = asm_group(v4);
    net.pass(12 * kSecond);
  }
  static PimOptions with_rp(bool v4, PimOptions options) {
    if (options.static_rps.empty())
      options.static_rps = {
          {{v4 ? IpAddress::v4(0xe0000000) : asm_group(false), v4 ? 4U : 8U}, host_address(v4, 2, 9)}};
    return options;
  }
  void want(Router& router, Membership wanted) { router.pim->local(1, group, net.any(), wanted, net.now); }
  /** Copies on links 4 and 6 of so many packets. */
  std::pair<int, int> stream(int packets, Nanos spacing = 10 * kMillisecond) {
    std::pair<int, int> all{0, 0};
    for (int i = 0; i < packets; i++) {
      net.send(1, source, group);
      net.pass(spacing);
      all.first += net.copies_on(4);
      all.second += net.copies_on(6);
    }
    return all;
  }
  Route route(const Router& router) const { return router.pim->route(source, group); }
  std::size_t trees() const {
    return first.pim->trees() + rp.pim->trees() + last.pim->trees() + peer.pim->trees();
  }

  Net net;
  Router& first;
  Router& rp;
  Router& last;
  Router& peer;
  IpAddress source;
  IpAddress group;
};

}  // namespace sluice::test
