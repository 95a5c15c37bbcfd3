// What packets lead to: sources' own trees, asserts, and registers (RFC 7761 sections 4.2 and 4.4).
#include "membership/pim.h"

namespace sluice::membership {

using codec::IpAddress;

void Pim::on_source(Interface interface, const IpAddress& source, const IpAddress& group, Nanos now) {
  on_data(interface, source, group, now);
}

void Pim::on_wrong_interface(Interface interface, const IpAddress& source, const IpAddress& group,
                             Nanos now) {
  on_data(interface, source, group, now);
}

void Pim::on_active(const IpAddress& source, const IpAddress& group, Nanos now) {
  const Route its = route(source, group);
  if (its.incoming != kNoInterface) on_data(its.incoming, source, group, now);
}

/** A source's packets that do not come in by the shared tree's way come by its own tree, of which nobody but
 * this router knows that it is wanted (section 4.2: SPTbit and Keepalive Timer were set). */
void Pim::resume(Interface interface, const IpAddress& address, const IpAddress& group_address, Nanos now) {
  Group* const group = find(group_address);
  const bool apart = group != nullptr && !group->source_specific && group->star.sets.immediate != 0 &&
                     interface != interface_of_rp(*group, view());
  const auto rpf = apart ? host_.rpf(address) : std::nullopt;
  if (rpf && rpf->interface == interface)
    if (Source* const source = make(*group, address); source != nullptr && source->sets.inherited != 0)
      source->keepalive = now + options_.keepalive_period;
  on_data(interface, address, group_address, now);
}

/** "On receipt of data from S to G on interface iif" (section 4.2). */
void Pim::on_data(Interface interface, const IpAddress& address, const IpAddress& group_address, Nanos now) {
  if (!is_routed(group_address)) return;
  Source* source = source_of(interface, address, group_address, now);
  Group* const group = source != nullptr ? &source->group : find(group_address);
  if (group == nullptr) return;
  if (source != nullptr) {
    settle(*source, now);
    const bool from_source = source->rpf && source->rpf->interface == interface;
    if (from_source && source->joined && source->sets.inherited != 0 && !group->source_specific)
      source->keepalive = now + options_.keepalive_period;
    update_spt(*source, interface);
    if (from_source && source->spt) return refresh(*source, now);
  }
  const bool spt = source != nullptr && source->spt;
  if (interface != interface_of_rp(*group, view()) || spt) {
    if (on_misplaced(*group, source, interface, address, now)) return refresh(*group, now);
  } else {
    source = check_switch(*group, source, address, now);
  }
  if (source != nullptr) refresh(*source, now);
}

/** The source's state, which begins where its packets come from a link for which we are the designated
 * router. */
Source* Pim::source_of(Interface interface, const IpAddress& address, const IpAddress& group, Nanos now) {
  Group* known = find(group);
  Source* source = known == nullptr ? nullptr : known->find(address);
  if (is_source_specific(group)) return source;
  if (source == nullptr) {
    if ((designated_ & only(interface)) == 0 || !rp_of(group)) return nullptr;
    const auto rpf = host_.rpf(address);
    if (!rpf || rpf->interface != interface || !rpf->next_hop.is_any()) return nullptr;
    known = make(group, Need::data);
    source = known == nullptr ? nullptr : make(*known, address, Need::data);
    if (source == nullptr) {
      if (known != nullptr) retire(*known);
      return nullptr;
    }
  }
  if (source->rpf && source->rpf->next_hop.is_any() && source->rpf->interface == interface)
    source->keepalive = now + options_.keepalive_period;
  return source;
}

/** Section 4.2.2. */
void Pim::update_spt(Source& source, Interface interface) noexcept {
  if (!source.rpf || source.rpf->interface != interface || !join_desired(source)) return;
  const Upstream way = above(source);
  source.spt = source.spt || source.rpf->next_hop.is_any() ||
               interface != interface_of_rp(source.group, view()) || source.sets.inherited_rpt == 0 ||
               (way.neighbour && way.same(above(source.group.star))) || way.by_assert;
}

/** CheckSwitchToSpt (section 4.2.1): a keepalive timer that runs makes us join the source's own tree. */
Source* Pim::check_switch(Group& group, Source* source, const IpAddress& address, Nanos now) {
  const InterfaceSet excluded = source != nullptr ? source->sets.pim_exclude : 0;
  const InterfaceSet own = source != nullptr ? source->sets.pim_include : 0;
  if (!options_.spt_switch || ((group.star.sets.pim_include & ~excluded) | own) == 0) return source;
  Source* const switched = make(group, address, Need::data);
  if (switched != nullptr) switched->keepalive = now + options_.keepalive_period;
  return switched;
}

/** A packet where we forward, or would: another router forwards there, too. Whether the shared tree has
 * changed. */
bool Pim::on_misplaced(Group& group, Source* source, Interface interface, const IpAddress& address,
                       Nanos now) {
  const InterfaceSet here = only(interface);
  const bool own = source != nullptr && on_own_tree(*source);
  if (own && (source->sets.inherited & here) != 0) {
    // Its route was made ahead of its packets, which are there now.
    source->spt = true;
    Leg& leg = source->leg(interface);
    act(leg, leg.assertion.on_data(view_of(*source, interface), assert_times(), now), address);
  }
  if (own || ((source != nullptr ? source->sets.inherited_rpt : group.star.sets.immediate) & here) == 0)
    return false;
  Leg& leg = group.star.leg(interface);
  act(leg, leg.assertion.on_data(view_of(group.star, interface), assert_times(), now), address);
  return true;
}

InterfaceSet Pim::on_register(const IpAddress& from, const IpAddress& to, const codec::pim::Register& message,
                              Nanos now) {
  counters_.registers_in++;
  if (!is_own(to) || !is_routed(message.group)) return 0;
  const auto stop = [&] {
    counters_.register_stops_out++;
    host_.send_register_stop(to, from, {message.group, message.source});
  };
  if (rp_of(message.group) != to) return stop(), 0;
  Group* const group = options_.spt_switch ? make(message.group, Need::data) : find(message.group);
  if (group == nullptr) return 0;
  Source* const source =
      options_.spt_switch ? make(*group, message.source, Need::data) : group->find(message.source);
  if (source == nullptr) {
    const InterfaceSet shared = message.null ? 0 : group->star.sets.immediate;
    retire(*group);
    return shared;
  }
  const bool unwanted = source->spt || (options_.spt_switch && source->sets.inherited == 0);
  if (unwanted) stop();
  const Nanos kept = 3 * options_.register_suppression_time + options_.register_probe_time;
  if (source->spt || options_.spt_switch)
    source->keepalive =
        now + (unwanted ? std::max(kept, options_.keepalive_period) : options_.keepalive_period);
  const InterfaceSet outgoing = source->spt || message.null ? 0 : source->sets.inherited_rpt;
  refresh(*source, now);
  return outgoing;
}

void Pim::on_register_stop(const IpAddress& from, const codec::pim::RegisterStop& stop, Nanos now) {
  counters_.register_stops_in++;
  Group* const group = find(stop.group);
  if (group == nullptr || group->rp != from) {
    counters_.register_stops_refused++;
    return;
  }
  const Nanos time = options_.register_suppression_time;
  const Nanos until = now + chance_.between(time / 2, time * 3 / 2) - options_.register_probe_time;
  for (auto& [address, source] : group->sources)
    if (stop.source.is_any() || stop.source == address) source.registers.on_stop(until);
  refresh(*group, now);
}

void Pim::run_registers(Source& source, Nanos now) noexcept {
  if (!source.registers.run(now, options_.register_probe_time) || !source.registered_at) return;
  counters_.null_registers_out++;
  host_.send_null_register(*source.registered_at, source.source, source.group.address);
}

}  // namespace sluice::membership
