// What follows from a change: the sets, asserts, what is joined above, and what is forwarded.
#include "membership/pim.h"

namespace sluice::membership {

using codec::IpAddress;

void Pim::refresh(Group& group, Nanos now) noexcept {
  settle(group.star, now);
  for (auto& [address, source] : group.sources) settle(source, now);
  tell(group.star, route_of(group, nullptr));
  for (auto next = group.sources.begin(); next != group.sources.end();) retire((next++)->second);
  retire(group);
}

void Pim::refresh(Source& source, Nanos now) noexcept {
  Group& group = source.group;
  settle(source, now);
  retire(source);
  retire(group);
}

/** Tells its route; where nothing is left of it, that is the group's. */
void Pim::retire(Source& source) noexcept {
  if (!source.empty()) return tell(source, route_of(source.group, &source));
  Group& group = source.group;
  const IpAddress address = source.source;
  const bool other = source.told != route_of(group, nullptr);
  group.sources.erase(group.sources.find(address));
  trees_--;
  if (other) host_.changed(address, group.address);
}

void Pim::retire(Group& group) noexcept {
  if (!group.star.legs.empty() || group.star.joined || !group.sources.empty()) return;
  const IpAddress address = group.address;
  const bool other = group.star.told != Route{};
  if (!group.source_specific) trees_--;
  groups_.erase(groups_.find(address));
  if (other) host_.changed(IpAddress::any(options_.v4), address);
}

void Pim::tell(Tree& tree, const Route& route) noexcept {
  if (route == tree.told) return;
  tree.told = route;
  host_.changed(tree.source, tree.group.address);
}

void Pim::find_rp(Group& group) noexcept {
  group.rp = rp_of(group.address);
  group.own_rp = group.rp && is_own(*group.rp);
  if (group.rp && !group.own_rp) return find_way(group.star, *group.rp);
  group.star.rpf.reset();
}

void Pim::find_way(Tree& tree, const IpAddress& to) noexcept {
  const auto before = tree.rpf;
  tree.rpf = host_.rpf(to);
  if (!before || (tree.rpf && tree.rpf->interface == before->interface)) return;
  // "RPF_interface stops being I" (figures 8 and 9).
  if (Leg* const leg = tree.find(before->interface)) leg->assertion.on_release();
}

void Pim::compute(Source& source) noexcept {
  source.sets =
      sets_of(source, view(), [&](Interface interface) { return metric(source, interface, false); });
}

template <class ItsTree>
void Pim::settle_sets(ItsTree& tree) noexcept {
  do compute(tree);
  while (settle_asserts(tree));
}

void Pim::settle(Star& star, Nanos now) noexcept {
  settle_sets(star);
  settle_upstream(star, join_desired(star), above(star), now);
  star.settle_legs();
  star.watch(std::min(star.join_at, star.held_until));
}

void Pim::settle(Source& source, Nanos now) noexcept {
  settle_registers(source);
  compute(source);
  // Where there is no shared tree, there is nothing to wait for before the source's own is forwarded on
  // (section 4.2.2).
  if (source.group.source_specific) source.spt = source.joined || join_desired(source);
  settle_sets(source);
  const bool spt = source.spt;
  settle_upstream(source, join_desired(source), above(source), now);
  if (source.spt != spt) settle_sets(source);
  settle_rpt(source, now);
  source.settle_legs();
  source.watch(source.next());
}

/** CouldRegister and a change of RP: figure 1. */
void Pim::settle_registers(Source& source) noexcept {
  const Group& group = source.group;
  const bool could = source.alive() && source.rpf && source.rpf->next_hop.is_any() &&
                     (designated_ & only(source.rpf->interface)) != 0 && group.rp && !group.own_rp &&
                     !group.source_specific;
  source.registers.on_could(could);
  if (could && source.registered_at != group.rp) source.registers.on_other_rp();
  source.registered_at = could ? group.rp : std::nullopt;
}

bool Pim::join_desired(const Source& source) const noexcept {
  // An RP that keeps the group has its sources come to it before anybody wants them.
  const bool wanted = source.sets.inherited != 0 || (source.group.own_rp && source.group.star.kept);
  return source.sets.immediate != 0 || source.kept || source.registers.registers() ||
         (source.alive() && wanted);
}

bool Pim::prune_desired(const Source& source) const noexcept {
  const Star& star = source.group.star;
  return join_desired(star) && (is_off_shared(source) || (source.spt && !above(source).same(star.upstream)));
}

/** Nobody wants it by the shared tree, which is not kept for those who may come either. */
bool Pim::is_off_shared(const Source& source) noexcept {
  return source.sets.inherited_rpt == 0 && !source.group.star.kept;
}

/** RPF'(*,G) and RPF'(S,G). */
Upstream Pim::above(const Tree& tree) const noexcept {
  if (!tree.rpf) return {};
  const PimLink* const there = link(tree.rpf->interface);
  if (there == nullptr) return {};
  const Leg* const leg = tree.find(there->interface());
  if (leg != nullptr && leg->assertion.lost())
    return {there->interface(), leg->assertion.winner.address, true};
  if (tree.rpf->next_hop.is_any() && !tree.shared()) return {there->interface(), std::nullopt};
  // An RP of a link of ours is itself the next router.
  const IpAddress& next = tree.rpf->next_hop.is_any() ? *tree.group.rp : tree.rpf->next_hop;
  return {there->interface(), there->neighbour_with(next)};
}

/** RPF'(S,G,rpt). */
Upstream Pim::above_rpt(const Source& source) const noexcept {
  const Star& star = source.group.star;
  const Leg* const leg = star.rpf ? source.find(star.rpf->interface) : nullptr;
  if (leg != nullptr && leg->assertion.lost()) return {leg->interface, leg->assertion.winner.address, true};
  return star.upstream;
}

/** Figures 5 and 6. */
void Pim::settle_upstream(Tree& tree, bool desired, const Upstream& above, Nanos now) noexcept {
  if (desired) tree.held_until = kNever;
  if (!desired && !tree.joined) return;
  if (!desired) {
    if (tree.held_until == kNever) tree.held_until = now + options_.leave_hold;
    if (tree.held_until <= now) return leave(tree);
  }
  const Upstream before = tree.upstream;
  tree.upstream = above;
  if (!tree.joined) {
    tree.joined = true;
    say(tree, above, false);
    tree.join_at = next_join(above, now);
  } else if (!above.same(before)) {
    move(tree, before, now);
  } else if (tree.shared() && tree.group.rp != tree.group.joined_rp) {
    say(tree, above, false);
  }
  if (tree.shared()) tree.group.joined_rp = tree.group.rp;
}

void Pim::leave(Tree& tree) noexcept {
  say(tree, tree.upstream, true);
  tree.joined = false;
  tree.upstream = {};
  tree.join_at = tree.held_until = kNever;
  if (!tree.shared()) static_cast<Source&>(tree).spt = false;
}

/** RPF' was another one. */
void Pim::move(Tree& tree, const Upstream& before, Nanos now) noexcept {
  const Upstream& above = tree.upstream;
  if (before.neighbour && above.neighbour && above.interface == before.interface &&
      (above.by_assert || before.by_assert)) {
    tree.join_at = std::min(tree.join_at, override_at(above.interface, now));
    return;
  }
  say(tree, above, false);
  tree.join_at = next_join(above, now);
  const PimLink* const old = link(before.interface);
  if (before.neighbour && old != nullptr && old->knows(*before.neighbour)) say(tree, before, true);
}

/** Figure 7. */
void Pim::settle_rpt(Source& source, Nanos now) noexcept {
  const Star& star = source.group.star;
  const bool was_apart = !source.rpt_upstream.same(star.upstream);
  source.rpt_upstream = above_rpt(source);
  const RptUpstream before = source.rpt;
  if (!join_desired(star) || source.group.source_specific) {
    source.rpt = RptUpstream::not_joined;
    source.override_at = kNever;
    return;
  }
  source.rpt = prune_desired(source) ? RptUpstream::pruned : RptUpstream::not_pruned;
  if (source.rpt == RptUpstream::pruned) source.override_at = kNever;
  if (before == RptUpstream::pruned && source.rpt == RptUpstream::not_pruned)
    say_rpt(source, source.rpt_upstream, false);
  if (before != RptUpstream::not_pruned) return;
  if (source.rpt == RptUpstream::pruned) return say_rpt(source, source.rpt_upstream, true);
  if (was_apart && source.rpt_upstream.same(star.upstream) && star.upstream.neighbour)
    source.override_at = std::min(source.override_at, override_at(star.upstream.interface, now));
}

bool Pim::on_own_tree(const Source& source) const noexcept {
  return source.spt || (join_desired(source) && source.sets.inherited_rpt == 0);
}

Route Pim::route(const IpAddress& source, const IpAddress& group) const noexcept {
  const auto known = groups_.find(group);
  if (known == groups_.end()) return {};
  const auto its = known->second.sources.find(source);
  return route_of(known->second, its == known->second.sources.end() ? nullptr : &its->second);
}

Route Pim::route_of(const Group& group, const Source* source) const noexcept {
  Route route;
  route.rp = group.rp;
  const bool direct = source != nullptr && source->rpf && source->rpf->next_hop.is_any();
  if (source != nullptr && (group.source_specific || on_own_tree(*source))) {
    route.incoming = source->rpf ? source->rpf->interface : kNoInterface;
    route.outgoing = source->sets.inherited & ~only(route.incoming);
    route.registers = source->registers.registers();
    route.spt = true;
    route.warm = source->joined && route.outgoing == 0 && !route.registers;
    route.upstream = above(*source).neighbour;
  } else {
    route.incoming = interface_of_rp(group, view());
    route.outgoing =
        (source != nullptr ? source->sets.inherited_rpt : group.star.sets.immediate) & ~only(route.incoming);
    route.upstream = group.star.upstream.neighbour;
    if (direct && route.outgoing == 0) route.incoming = source->rpf->interface;
  }
  if (route.outgoing == 0 && !route.registers) {
    route.why = why_none(group, source);
  } else if (route.incoming == kNoInterface) {
    route.why = route.spt || group.rp ? NoRoute::no_rpf : NoRoute::no_rp;
  } else {
    const bool from_us = route.spt ? direct : group.own_rp;
    const bool up = link(route.incoming) != nullptr || route.incoming == options_.register_interface;
    route.why = !up                         ? NoRoute::no_rpf
                : from_us || route.upstream ? NoRoute::none
                                            : NoRoute::no_upstream_neighbour;
  }
  return route;
}

NoRoute Pim::why_none(const Group& group, const Source* source) const noexcept {
  InterfaceSet members = 0;
  InterfaceSet joins = 0;
  InterfaceSet lost = 0;
  const auto look = [&](const Tree& tree) {
    for (const Leg& leg : tree.legs) {
      const InterfaceSet here = only(leg.interface);
      if (leg.member == Membership::include) members |= here;
      if (leg.downstream.joined()) joins |= here;
      if (leg.assertion.lost()) lost |= here;
    }
  };
  look(group.star);
  const bool any_source = members != 0;
  if (source != nullptr) look(*source);
  if (((members | joins) & lost) != 0) return NoRoute::assert_lost;
  if (group.source_specific && any_source) return NoRoute::needs_source;
  return (members & ~designated_) != 0 ? NoRoute::not_designated : NoRoute::no_receivers;
}

}  // namespace sluice::membership
