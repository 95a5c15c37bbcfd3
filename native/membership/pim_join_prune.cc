// Joins and prunes: those for us, those for others of a link that concern us, and ours.
#include "membership/pim.h"

namespace sluice::membership {

using codec::IpAddress;
using codec::pim::JoinPruneGroup;
using codec::pim::JoinPruneSource;

/** A message on a link that is for another router. */
struct Pim::Seen {
  PimLink& link;
  const IpAddress& upstream;
  /** A join: ours need not be sent before. */
  Nanos suppress_until;
  /** A prune: ours is to be sent by then. */
  Nanos override_at;

  [[nodiscard]] bool is_to(const Upstream& above) const noexcept {
    return above.is(link.interface(), upstream);
  }
  void apply(Tree& tree, bool prune) const noexcept {
    if (!tree.joined || !is_to(tree.upstream)) return;
    tree.join_at = prune ? std::min(tree.join_at, override_at) : std::max(tree.join_at, suppress_until);
    tree.watch(tree.join_at);
  }
};

void Pim::on_join_prune(Interface interface, const IpAddress& from, const codec::pim::JoinPrune& message,
                        Nanos now) {
  PimLink* const link = known(interface, from);
  if (link == nullptr) return;
  const bool ours = message.upstream == link->address();
  const Nanos hold = holdtime(message.holdtime_s);
  const Nanos period = link->options().join_period;
  const Nanos suppressed = link->suppression() ? chance_.between(period * 11 / 10, period * 14 / 10) : 0;
  const Seen seen{*link, message.upstream, now + std::min(suppressed, hold), override_at(interface, now)};
  // A message may name a group's shared tree again and again: once does it.
  Groups shared;
  for (const JoinPruneGroup& set : message.groups) {
    if (!is_routed(set.group)) {
      counters_.wrong_group++;
    } else if (ours) {
      on_downstream(*link, set, shared, after(now, hold), now);
    } else {
      on_seen(seen, set, shared, now);
    }
  }
  for (const IpAddress& address : shared)
    if (Group* const group = ours ? find(address) : nullptr) refresh(*group, now);
}

/** Whether the set names the shared tree. */
bool Pim::names_shared(const JoinPruneGroup& set) noexcept {
  const auto shared = [](const JoinPruneSource& one) { return one.wildcard; };
  return std::any_of(set.joins.begin(), set.joins.end(), shared) ||
         std::any_of(set.prunes.begin(), set.prunes.end(), shared);
}

/** One group of a message for us. What a Join(*,G) makes temporary ends with the group, since its prunes must
 * not be told elsewhere (section 4.9.5.2). */
void Pim::on_downstream(PimLink& link, const JoinPruneGroup& set, Groups& named, Nanos until, Nanos now) {
  const bool names = names_shared(set);
  const bool again = names && !named.insert(set.group).second;
  Group* const group = set.joins.empty() ? find(set.group) : make(set.group);
  if (group == nullptr) return;
  const Interface interface = link.interface();
  bool shared = false;
  for (const JoinPruneSource& one : set.joins) {
    counters_.joins_in++;
    if (one.wildcard) {
      shared = shared || (!again && join_star(link, *group, one.address, until));
    } else if (one.rpt) {
      Source* const source = group->find(one.address);
      if (Leg* const leg = source == nullptr ? nullptr : source->find(interface)) leg->rpt.on_join();
    } else if (Source* const source = make(*group, one.address)) {
      Leg* const leg = make_leg(*source, link);
      if (leg == nullptr) continue;
      leg->downstream.on_join(until);
      leg->assertion.on_release();
    }
  }
  for (const JoinPruneSource& one : set.prunes) {
    counters_.prunes_in++;
    prune(link, *group, one, until, now);
  }
  if (shared) end_star_join(interface, *group);
  if (!names) settle_touched(*group, set, now);
}

/** False where it is not for our RP. */
bool Pim::join_star(PimLink& link, Group& group, const IpAddress& rp, Nanos until) {
  if (group.source_specific) return counters_.wrong_group++, false;
  if (group.rp != rp) return counters_.wrong_rp++, false;
  Leg* const leg = make_leg(group.star, link);
  if (leg == nullptr) return false;
  leg->downstream.on_join(until);
  leg->assertion.on_release();
  for (auto& [address, source] : group.sources)
    if (Leg* const its = source.find(link.interface())) its->rpt.on_star_join();
  return true;
}

void Pim::end_star_join(Interface interface, Group& group) noexcept {
  for (auto& [address, source] : group.sources) {
    Leg* const leg = source.find(interface);
    if (leg == nullptr) continue;
    leg->rpt.on_end_of_message();
    // Section 4.6.5, rule 7: who joins us does not hear the winner.
    if (leg->rpt.idle()) leg->assertion.on_release();
  }
}

void Pim::prune(PimLink& link, Group& group, const JoinPruneSource& one, Nanos until, Nanos now) {
  const Interface interface = link.interface();
  const Nanos at = now + link.prune_delay();
  if (one.rpt && !one.wildcard) {
    const Leg* const star = group.star.find(interface);
    if (star == nullptr || !star->downstream.joined()) return;
    Source* const source = make(group, one.address);
    Leg* const leg = source == nullptr ? nullptr : make_leg(*source, link);
    if (leg == nullptr) return;
    leg->rpt.on_prune(until, at);
    leg->rpt.run(now);
    return;
  }
  Source* const source = one.wildcard ? nullptr : group.find(one.address);
  if (!one.wildcard && source == nullptr) return;
  Tree& tree = one.wildcard ? static_cast<Tree&>(group.star) : *source;
  Leg* const leg = tree.find(interface);
  if (leg == nullptr) return;
  leg->downstream.on_prune(at);
  leg->downstream.run(now);
}

/** The sources' trees that the set names. */
void Pim::settle_touched(Group& group, const JoinPruneGroup& set, Nanos now) noexcept {
  const IpAddress address = group.address;
  for (const auto& list : {set.joins, set.prunes}) {
    for (const JoinPruneSource& one : list) {
      // The group may be gone with its last source.
      Group* const still = find(address);
      Source* const source = still == nullptr ? nullptr : still->find(one.address);
      if (source != nullptr) refresh(*source, now);
    }
  }
  if (Group* const still = find(address)) retire(*still);
}

void Pim::on_seen(const Seen& seen, const JoinPruneGroup& set, Groups& shared, Nanos now) {
  Group* const group = find(set.group);
  if (group == nullptr) return;
  for (const JoinPruneSource& one : set.joins) see(seen, *group, one, false);
  bool made = false;
  for (const JoinPruneSource& one : set.prunes) {
    if (one.wildcard && !shared.insert(set.group).second) continue;
    see(seen, *group, one, true);
    made = made || !one.wildcard;
  }
  // What was made in order to override watches its timer from then on.
  if (made) settle_touched(*group, set, now);
}

void Pim::see(const Seen& seen, Group& group, const JoinPruneSource& one, bool prune) {
  if (one.wildcard) {
    seen.apply(group.star, prune);
    if (!prune) return;
    // Routers of RFC 2362 prune all sources with the group.
    for (auto& [address, source] : group.sources) seen.apply(source, true);
    return;
  }
  Source* const source = group.find(one.address);
  if (source != nullptr && (prune || !one.rpt)) seen.apply(*source, prune);
  if (group.source_specific || !group.star.joined) return;
  if (!prune) {
    if (one.rpt && source != nullptr && seen.is_to(source->rpt_upstream)) source->override_at = kNever;
    return;
  }
  if (source == nullptr ? seen.is_to(group.star.upstream)
                        : source->rpt == RptUpstream::not_pruned && seen.is_to(source->rpt_upstream))
    override_rpt(seen, group, one.address);
}

/** A peer's prune of a source off the shared tree that we want: a Join(S,G,rpt) is to be sent. */
void Pim::override_rpt(const Seen& seen, Group& group, const IpAddress& address) {
  Source* const source = make(group, address);
  if (source != nullptr) source->override_at = std::min(source->override_at, seen.override_at);
}

void Pim::say(const Tree& tree, const Upstream& to, bool prune) noexcept {
  if (!to.neighbour) return;
  if (!tree.shared())
    return add({to.interface, *to.neighbour, tree.group.address, {tree.source, false, false}, prune});
  // A prune names the RP that was joined, which may not be the group's any more.
  const auto& rp = prune && tree.joined ? tree.group.joined_rp : tree.group.rp;
  if (rp) add({to.interface, *to.neighbour, tree.group.address, {*rp, true, true}, prune});
}

void Pim::say_rpt(const Source& source, const Upstream& to, bool prune) noexcept {
  if (to.neighbour)
    add({to.interface, *to.neighbour, source.group.address, {source.source, false, true}, prune});
}

void Pim::add(const PimEntry& entry) noexcept {
  // Whom it would go to may have been behind an interface that is down.
  if (link(entry.interface) == nullptr) return;
  outbox_.add(entry);
  if (!flush_.is_set()) deadlines_.set(flush_, 0);
}

/** Section 4.5.6: what a Join(*,G) is to say of sources. */
void Pim::add_compound_prunes(const Group& group, const PimEntry& join) noexcept {
  const Upstream& shared = group.star.upstream;
  for (const auto& [address, source] : group.sources) {
    const bool prunes = source.spt              ? !above(source).same(shared)
                        : is_off_shared(source) ? true
                                                : !above_rpt(source).same(shared);
    if (prunes) outbox_.add({join.interface, join.neighbour, group.address, {address, false, true}, true});
  }
}

void Pim::flush(Nanos) noexcept {
  flush_.clear();
  const std::size_t decided = outbox_.entries().size();
  for (std::size_t i = 0; i < decided; i++) {
    const PimEntry entry = outbox_.entries()[i];
    Group* const group = entry.source.wildcard && !entry.prune ? find(entry.group) : nullptr;
    if (group != nullptr && group->star.upstream.is(entry.interface, entry.neighbour))
      add_compound_prunes(*group, entry);
  }
  outbox_.flush([this](Interface interface, codec::pim::JoinPrune& message) {
    PimLink& there = *links_[interface];
    // The neighbour may have gone since; an echo of a prune names us.
    if (!there.knows(message.upstream) && message.upstream != there.address()) return;
    there.introduce();
    message.holdtime_s = holdtime_of(there.options().join_period);
    counters_.messages_out++;
    for (const JoinPruneGroup& group : message.groups) {
      counters_.joins_out += group.joins.count();
      counters_.prunes_out += group.prunes.count();
    }
    host_.send_join_prune(interface, message);
  });
}

/** In t_periodic, or up to a twelfth sooner: so joins that were decided apart leave together. */
Nanos Pim::next_join(const Upstream& above, Nanos now) noexcept {
  const PimLink* const there = link(above.interface);
  const Nanos period = there != nullptr ? there->options().join_period : PimLinkOptions{}.join_period;
  const Nanos grid = std::max<Nanos>(period / 12, 1);
  return (now + period) / grid * grid;
}

/** In t_override. */
Nanos Pim::override_at(Interface interface, Nanos now) noexcept {
  const PimLink* const there = link(interface);
  return now + (there != nullptr ? chance_.between(0, there->override_interval()) : 0);
}

}  // namespace sluice::membership
