// Asserts: which of several routers forwards onto a link (RFC 7761 section 4.6).
#include "membership/pim.h"

namespace sluice::membership {

using codec::IpAddress;

/** spt_assert_metric or rpt_assert_metric: that of the way to the source, or to the RP. */
AssertMetric Pim::metric(const Tree& way, Interface interface, bool rpt) const noexcept {
  const PimLink* const there = link(interface);
  if (there == nullptr) return {};
  if (way.shared() && way.group.own_rp) return {rpt, 0, 0, there->address()};
  if (!way.rpf) return {};
  return {rpt, way.rpf->preference, way.rpf->metric, there->address()};
}

AssertView Pim::view_of(const Star& star, Interface interface) const noexcept {
  const InterfaceSet here = only(interface);
  const StarSets& sets = star.sets;
  const bool from_rp = interface_of_rp(star.group, view()) == interface;
  AssertView view;
  view.could = !from_rp && ((sets.joins | sets.pim_include) & here) != 0;
  view.tracking =
      view.could || (sets.members & (designated_ | sets.won) & here) != 0 || (from_rp && join_desired(star));
  if (view.could) view.mine = metric(star, interface, true);
  return view;
}

AssertView Pim::view_of(const Source& source, Interface interface) const noexcept {
  const InterfaceSet here = only(interface);
  const Star& star = source.group.star;
  const SourceSets& sets = source.sets;
  const bool from_source = source.rpf && source.rpf->interface == interface;
  const bool from_rp = interface_of_rp(source.group, view()) == interface;
  const InterfaceSet by_group =
      ((star.sets.joins & ~sets.prunes) | (star.sets.pim_include & ~sets.pim_exclude)) & ~star.sets.lost;
  AssertView view;
  view.could = source.spt && !from_source && ((by_group | sets.joins | sets.pim_include) & here) != 0;
  view.tracking = ((by_group | sets.joins | (sets.members & (designated_ | sets.won))) & here) != 0 ||
                  (from_source && join_desired(source)) || (from_rp && join_desired(star) && !source.spt);
  view.mine = view.could ? metric(source, interface, false) : view_of(star, interface).mine;
  return view;
}

AssertView Pim::view_of(const Tree& tree, Interface interface) const noexcept {
  return tree.shared() ? view_of(static_cast<const Star&>(tree), interface)
                       : view_of(static_cast<const Source&>(tree), interface);
}

/** Whether an assert has ended because of what has changed. */
bool Pim::settle_asserts(Tree& tree) noexcept {
  bool ended = false;
  for (Leg& leg : tree.legs) {
    const auto action = leg.assertion.on_view(view_of(tree, leg.interface));
    if (action == AssertMachine::Action::none) continue;
    act(leg, action, tree.source);
    ended = true;
  }
  return ended;
}

/** `named`: of an assert (*,G), the source of the packet that led to it. */
void Pim::act(Leg& leg, AssertMachine::Action action, const IpAddress& named) noexcept {
  using Action = AssertMachine::Action;
  if (action == Action::assert || action == Action::cancel) send_assert(leg, named, action == Action::cancel);
  if (action != Action::lost || leg.tree.shared()) return;
  auto& source = static_cast<Source&>(leg.tree);
  if (source.joined && source.rpf && source.rpf->interface == leg.interface) source.spt = true;
}

void Pim::send_assert(const Leg& leg, const IpAddress& named, bool cancel) noexcept {
  const bool shared = leg.tree.shared();
  const AssertMetric metric = cancel ? AssertMetric{} : leg.assertion.winner;
  counters_.asserts_out++;
  links_[leg.interface]->introduce();
  host_.send_assert(leg.interface, {leg.tree.group.address, shared ? named : leg.tree.source,
                                    shared || cancel, metric.preference, metric.metric});
}

void Pim::on_assert(Interface interface, const IpAddress& from, const codec::pim::Assert& assertion,
                    Nanos now) {
  PimLink* const link = known(interface, from);
  Group* const group = link != nullptr ? find(assertion.group) : nullptr;
  if (group == nullptr) return;
  counters_.asserts_in++;
  const AssertMetric heard{assertion.rpt, assertion.preference, assertion.metric, from};
  const bool of_source = hear_assert(*link, *group, assertion.source, heard, now);
  // Section 4.6.2: the shared tree is not concerned where the source's own machine is.
  if (!of_source && !group->source_specific) {
    if (Leg* const leg = make_leg(group->star, *link))
      act(*leg, leg->assertion.on_assert(heard, view_of(group->star, interface), true, assert_times(), now),
          IpAddress::any(options_.v4));
  }
  refresh(*group, now);
}

/** Whether the source's machine is in a state, or was. */
bool Pim::hear_assert(PimLink& link, Group& group, const IpAddress& address, const AssertMetric& heard,
                      Nanos now) {
  Source* const source = address.is_any() ? nullptr : make(group, address);
  Leg* const leg = source == nullptr ? nullptr : make_leg(*source, link);
  if (leg == nullptr) return false;
  const bool before = !leg->assertion.idle();
  act(*leg, leg->assertion.on_assert(heard, view_of(*source, link.interface()), false, assert_times(), now),
      address);
  return before || !leg->assertion.idle();
}

}  // namespace sluice::membership
