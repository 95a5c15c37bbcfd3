#include "membership/pim_tree.h"

namespace sluice::membership {

void Leg::on_time(Nanos now) noexcept {
  tree.owner_.on_leg(tree, interface, now);
}

Tree::~Tree() {
  for (const Leg& leg : legs) owner_.count_leg(leg.interface, -1);
}

Leg* Tree::find(Interface interface) noexcept {
  const auto one =
      std::find_if(legs.begin(), legs.end(), [&](const Leg& leg) { return leg.interface == interface; });
  return one == legs.end() ? nullptr : &*one;
}

Leg& Tree::leg(Interface interface) {
  if (Leg* const known = find(interface)) return *known;
  owner_.count_leg(interface, 1);
  return legs.emplace_back(*this, interface);
}

void Tree::drop(Interface interface) noexcept {
  if (legs.remove_if([&](const Leg& leg) { return leg.interface == interface; }) > 0)
    owner_.count_leg(interface, -1);
}

void Tree::settle_legs() noexcept {
  legs.remove_if([&](const Leg& leg) {
    if (leg.empty()) owner_.count_leg(leg.interface, -1);
    return leg.empty();
  });
  for (Leg& leg : legs) watch(leg.timer, leg.next());
}

// Most timers are put off before they are due: they are let run out, and then set anew.
void Tree::watch(Deadline& timer, Nanos next) noexcept {
  if (next < timer.at()) owner_.deadlines().set(timer, next);
}

Interface interface_of_rp(const Group& group, const TreeView& view) noexcept {
  if (group.own_rp) return view.register_interface;
  return group.star.rpf ? group.star.rpf->interface : kNoInterface;
}

StarSets sets_of(const Star& star, const TreeView& view) noexcept {
  StarSets sets;
  if (star.group.source_specific) return sets;
  const Interface from_rp = interface_of_rp(star.group, view);
  for (const Leg& leg : star.legs) {
    const InterfaceSet here = only(leg.interface);
    if (leg.downstream.joined()) sets.joins |= here;
    if (leg.member == Membership::include) sets.members |= here;
    if (leg.assertion.lost() && leg.interface != from_rp) sets.lost |= here;
    if (leg.assertion.won()) sets.won |= here;
  }
  sets.pim_include = ((view.designated & ~sets.lost) | sets.won) & sets.members;
  sets.immediate = (sets.joins | sets.pim_include) & ~sets.lost;
  return sets;
}

}  // namespace sluice::membership
